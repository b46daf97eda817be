"""What the gradients say: their size, how often they are cut or thrown away, and AdaLoRA's ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pegbox_runs.hints.hint import PLAYBOOK, WINDOW, Hint, middle, percent

if TYPE_CHECKING:
    from pegbox_runs.run_state import RunState

PASCANU = 'Pascanu et al. 2013, "On the difficulty of training recurrent neural networks", arXiv:1211.5063'
MIXED = 'Micikevicius et al. 2018, "Mixed precision training", arXiv:1710.03740'
ADALORA = "Zhang et al. 2023, AdaLoRA, arXiv:2303.10512; PEFT moves no rank unless it is told to at each step."
LEAST = 30
"""Steps below which a median says little."""
NEWEST = 20
GROWN, SHRUNK = 10.0, 1e-3
"""Times the median of the steps before: far outside what rows and schedules do."""
MOSTLY = 0.5
"""Of the steps. The playbook's bound: beyond it the clipping only stands for a lower rate."""
NEARLY_ALL = 0.9
"""Of the steps. AdamW divides the size of the gradient out again, so that fewer cuts hardly matter to it."""
SKIPPED = 0.1
"""float16's factor finds its size in the first few steps, and is tried higher each 2000: a tenth is more than that."""
HALFWAY = 0.5
LEAST_LOSS = 0.05
"""Nats: where the loss is as good as nothing, so is its gradient."""


def exploding(state: RunState) -> Hint | None:
    """The gradient has grown many times over."""
    before, now = _middles(state)
    if before is None or now is None or now < GROWN * before or now < 1.0:
        return None
    return Hint(
        name="exploding-gradient",
        level="act",
        text=f"The gradient norm has grown from {before:.2g} to {now:.2g}: the run is about to diverge. Clipping holds "
        "it for a while; start again with a lower training.learning_rate.",
        source=f"{PASCANU}.",
    )


def vanishing(state: RunState) -> Hint | None:
    """The gradient is all but gone though there is much left to learn."""
    before, now = _middles(state)
    losses = state.loss.last(NEWEST)
    if before is None or now is None or not losses or now > SHRUNK * before or min(losses) < LEAST_LOSS:
        return None
    return Hint(
        name="vanishing-gradient",
        level="act",
        text=f"The gradient norm has fallen from {before:.2g} to {now:.2g} while the loss is {losses[-1]:.2f}: hardly "
        "anything is learned any more. Look whether training.precision or the method's settings cut it off.",
        source=f"{PASCANU}.",
    )


def clipped(state: RunState) -> Hint | None:
    """Most steps' gradients are cut."""
    most = None if state.prepared is None else state.prepared.max_gradient_norm
    norms = state.gradient_norms.last(WINDOW)
    if not most or len(norms) < LEAST or state.over:
        return None
    share = sum(norm > most for norm in norms) / len(norms)
    if share <= NEARLY_ALL:
        return None
    return Hint(
        name="clipped",
        level="look",
        text=f"The gradient was cut to {most:g} in {percent(share)} of the last {len(norms)} steps (its usual norm is "
        f"{middle(norms):.2g}). That acts as a lower learning rate: lower training.learning_rate, or raise "
        "training.max_gradient_norm.",
        source=f"{PLAYBOOK}: clipping more than {percent(MOSTLY)} of the updates only stands for a lower rate.",
    )


def skipped(state: RunState) -> Hint | None:
    """Many steps' gradients weren't finite, and changed nothing."""
    first = max(1, state.steps_done - WINDOW + 1)
    taken = state.steps_done - first + 1
    if taken < LEAST or state.over:
        return None
    lost = taken - len(state.gradient_norms.between(first, state.steps_done))
    if lost < SKIPPED * taken:
        return None
    precision = "" if state.prepared is None else f" in {state.prepared.precision}"
    return Hint(
        name="skipped-steps",
        level="act" if lost > MOSTLY * taken else "look",
        text=f"{lost} of the last {taken} steps were skipped{precision}: their gradient wasn't finite. Set "
        "training.precision to bfloat16 where the card has it, else to float32, or lower training.learning_rate.",
        source=f"{MIXED}, section 3.2: loss scaling skips steps that overflow.",
    )


def ranks_not_moved(state: RunState) -> Hint | None:
    """AdaLoRA trains as plain LoRA."""
    if state.started is None or state.started.method != "adalora" or state.prepared is None:
        return None
    moved = state.ranks is not None and sum(state.ranks.ranks.values()) != state.ranks.before
    if moved or state.steps_done < HALFWAY * state.prepared.steps or state.steps_done < LEAST:
        return None
    return Hint(
        name="ranks-not-moved",
        level="act",
        text=f"After {state.steps_done:,} of {state.prepared.steps:,} steps AdaLoRA hasn't taken a single rank away, "
        "so it trains as plain LoRA. Lower method.settings.free_share or method.settings.interval.",
        source=ADALORA,
    )


def _middles(state: RunState) -> tuple[float | None, float | None]:
    """Give the usual norm before the newest steps, and that of these; None: too few to tell."""
    norms = state.gradient_norms.last(WINDOW)
    if len(norms) < NEWEST + LEAST or state.over:
        return None, None
    before = middle(norms[:-NEWEST])
    return (before if before else None), middle(norms[-NEWEST:])
