"""What the evaluations say: of the held-out rows' loss, against the training's and the untrained model's."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from pegbox_methods.events import Evaluation
from pegbox_runs.hints.hint import PLAYBOOK, Hint, percent

if TYPE_CHECKING:
    from pegbox_runs.run_state import RunState

PRECHELT = 'Prechelt 1998, "Early stopping - but when?", in: Neural Networks: Tricks of the Trade'
KARPATHY = 'Karpathy 2019, "A recipe for training neural networks", karpathy.github.io/2019/04/25/recipe'
RISES = 3
"""Evaluations that rise one after the other. Prechelt's UP criterion with 3 strips."""
LOST = 0.05
"""Share above the lowest loss from which one evaluation is enough. Prechelt's GL criterion with alpha = 5."""
GAIN = 0.005
"""Share of the loss that three evaluations must gain, or it is a plateau: less is within what a seed moves."""
FALLING = 0.02
"""Share that the last evaluation gained, from which more steps look worth it; a rate that ends brings half of that."""
LEAST_LOOKS = 3
"""Evaluations below which neither a rise nor a plateau can be told from chance."""
HALFWAY, AT_END = 0.5, 0.95
"""Of the steps."""


def overfitting(state: RunState) -> Hint | None:
    """The held-out loss rises while the training loss goes on falling."""
    looks = trained_looks(state)
    best = min(looks, key=lambda look: look.loss, default=None)
    if best is None or looks[-1] is best or best.loss <= 0:
        return None
    rises = rises_at_end(looks)
    lost = looks[-1].loss / best.loss - 1
    if (rises < RISES and lost < LOST) or not _training_falls(state, best.step, looks[-1].step):
        return None
    seen = f"has risen for {rises} evaluations" if rises >= RISES else f"is {percent(lost)} above its lowest"
    return Hint(
        name="overfitting",
        level="act" if rises >= RISES and not state.over else "look",
        text=f"The evaluation loss {seen} ({best.loss:.3f} to {looks[-1].loss:.3f}) while the training loss falls: "
        f"overfitting. The best checkpoint is step {best.step}, and the adapter is taken from it"
        f"{'' if state.over else '; stopping now loses nothing'}. Next time: fewer epochs, or more rows.",
        source=f"{PRECHELT}: UP with {RISES} strips, GL with {percent(LOST)}.",
    )


def plateau(state: RunState) -> Hint | None:
    """The held-out loss has stopped falling, and doesn't rise."""
    looks = trained_looks(state)
    if len(looks) <= LEAST_LOOKS or state.prepared is None or state.over:
        return None
    before = min(look.loss for look in looks[:-LEAST_LOOKS])
    now = min(look.loss for look in looks[-LEAST_LOOKS:])
    left = state.prepared.steps - state.steps_done
    if before <= 0 or (before - now) / before >= GAIN or looks[-1].loss > (1 + LOST) * before or left <= 0:
        return None
    if rises_at_end(looks) >= RISES:
        return None
    return Hint(
        name="plateau",
        level="look",
        text=f"The last {LEAST_LOOKS} evaluations gained {percent(max(0.0, (before - now) / before))} ({before:.3f} to "
        f"{now:.3f}), and {left:,} steps are left. A run whose rate still falls may gain a little more; stopping now "
        "keeps the best weights.",
        source=f"{PLAYBOOK}: examining the training curves, saturated long before the final step.",
    )


def no_gain(state: RunState) -> Hint | None:
    """No evaluation was better than the untrained model's."""
    before, looks = state.untrained_evaluation, trained_looks(state)
    best = min(looks, key=lambda look: look.loss, default=None)
    if before is None or best is None or best.loss < before.loss:
        return None
    return Hint(
        name="no-gain",
        level="act" if len(looks) > 1 else "look",
        text=f"No evaluation was below the untrained model's {before.loss:.3f}; the best was {best.loss:.3f} after "
        f"step {best.step}. Lower training.learning_rate, and look whether the rows say what you want said.",
        source=f"{KARPATHY}: compare with a baseline before anything else.",
    )


def still_falling(state: RunState) -> Hint | None:
    """The run ended while the held-out loss was still falling."""
    looks = trained_looks(state)
    if len(looks) < LEAST_LOOKS or state.prepared is None or looks[-1].step < AT_END * state.prepared.steps:
        return None
    *_, before, last = looks
    if before.loss <= 0 or last is not min(looks, key=lambda look: look.loss):
        return None
    gained = 1 - last.loss / before.loss
    if gained < FALLING:
        return None
    return Hint(
        name="underfitting",
        level="look",
        text=f"The last evaluation still gained {percent(gained)} ({before.loss:.3f} to {last.loss:.3f}): more epochs "
        "are likely to bring more. Repeat the run with training.epochs doubled.",
        source=f"{PLAYBOOK}: examining the training curves, still improving at the end of training.",
    )


def not_evaluated(state: RunState) -> Hint | None:
    """Nothing is held out."""
    if state.prepared is None or state.prepared.rows_evaluated:
        return None
    return Hint(
        name="not-evaluated",
        level="look",
        text="No rows are held out, so nobody can tell learning from memorizing. Next time leave split.share at 0.1.",
        source=f"{PRECHELT}: only rows that aren't trained on show it.",
    )


def few_looks(state: RunState) -> Hint | None:
    """There will be too few evaluations to see which way the loss goes."""
    prepared = state.prepared
    if prepared is None or not prepared.rows_evaluated or not prepared.every:
        return None
    planned = -(-prepared.steps // prepared.every)
    if planned >= LEAST_LOOKS or state.steps_done < HALFWAY * prepared.steps:
        return None
    every = max(1, prepared.steps // 4)
    return Hint(
        name="few-evaluations",
        level="look",
        text=f"Of {planned} evaluation{'s' * (planned > 1)} neither overfitting nor a plateau can be told. Next time "
        f"set evaluation.every to {every}, a quarter of the run.",
        source=f"{PRECHELT}: it takes several strips to tell a rise from chance.",
    )


def trained_looks(state: RunState) -> list[Evaluation]:
    """Give the evaluations of the trained model, in order."""
    return [look for look in state.evaluations if look.step > 0]


def rises_at_end(looks: Sequence[Evaluation]) -> int:
    """Count how many of the last evaluations were each above the one before."""
    count = 0
    for before, after in pairwise(reversed(looks)):
        if before.loss <= after.loss:
            break
        count += 1
    return count


def _training_falls(state: RunState, best_step: int, last_step: int) -> bool:
    """Hold the training loss behind the best evaluation against as many steps before it."""
    wide = last_step - best_step
    (before,) = state.loss.means(max(1, best_step - wide + 1), best_step, 1)
    (behind,) = state.loss.means(best_step + 1, last_step, 1)
    return before is not None and behind is not None and behind < before
