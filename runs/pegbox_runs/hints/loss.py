"""What the training loss says: where it begins, whether it falls, whether it jumps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pegbox_runs.hints.hint import PLAYBOOK, WINDOW, Hint, mean, middle, percent
from pegbox_runs.hints.looks import KARPATHY, trained_looks

if TYPE_CHECKING:
    from pegbox_runs.run_state import RunState

SMITH = 'Smith 2018, "A disciplined approach to neural network hyper-parameters", arXiv:1803.09820'
SMOOTHED = 10
"""Steps whose mean is taken: rows differ, and one step's loss with them."""
DIVERGED = 1.5
"""Times the lowest smoothed loss of the window. Small batches move it by a tenth or two."""
SPIKE = 3.0
"""Times the median of the window, for a single step."""
SETTLED = 30
"""Steps that no jump is looked for in: a run begins high, and its median is soon that of what it has learned."""
LEAST_LOSS = 0.1
"""Nats: below it a multiple of the loss says nothing."""
GUESSING = 0.6
"""Share of the logarithm of the vocabulary: a model that reads its own language starts at a fifth or a third of it."""
GUESSING_BUNDLED = 0.95
"""The same of the bundled model, which is tiny and read little: 0.6 to 0.9 is usual, and only guessing is odd."""
BUNDLED = "bundled"
LEARNED = 0.1
"""Share of the untrained model's loss that says that it learns from these rows, so that the beginning is no riddle."""
LEAST_VOCABULARY = 1000
RISE = 1.15
"""Times the first steps' loss, once the rate is up."""
FALL = 0.02
"""Share of the first steps' loss that a fifth of the run should gain at the least."""
FIFTH = 0.2
FIRST = 5


def diverging(state: RunState) -> Hint | None:
    """The smoothed loss has left its lowest of late far behind."""
    losses = state.loss.last(WINDOW)
    if len(losses) < 3 * SMOOTHED or state.over:
        return None
    smoothed = [mean(losses[at : at + SMOOTHED]) for at in range(0, len(losses) - SMOOTHED + 1, SMOOTHED // 2)]
    lowest, now = min(smoothed), mean(losses[-SMOOTHED:])
    if now < DIVERGED * max(lowest, LEAST_LOSS):
        return None
    return Hint(
        name="diverging",
        level="act",
        text=f"The training loss has risen from {lowest:.2f} to {now:.2f} within {len(losses)} steps: it is "
        "diverging. Stop, and start again with training.learning_rate at a third, or with a longer warm-up.",
        source=f"{PLAYBOOK}: how can optimization failures be debugged and mitigated.",
    )


def spike(state: RunState) -> Hint | None:
    """A single settled step's loss was far above its neighbours', and above those before it: falling is no jump."""
    first, warmup = state.steps_done - WINDOW + 1, (state.prepared.warmup if state.prepared else None) or 0
    settled = state.loss.between(max(first, SETTLED + 1, min(warmup, WINDOW) + 1), state.steps_done)
    usual = middle([loss for _, loss in settled])
    if usual is None or len(settled) < SMOOTHED or state.over:
        return None
    step, highest = max(settled, key=lambda point: point[1])
    before = middle([loss for _, loss in state.loss.between(step - SMOOTHED, step - 1)])
    if highest < SPIKE * max(usual, before or 0.0, LEAST_LOSS) or diverging(state) is not None:
        return None
    return Hint(
        name="spike",
        level="look",
        text=f"The loss jumped to {highest:.2f} at step {step:,}, where {usual:.2f} is usual. One jump that passes is "
        "harmless, and comes of odd rows most often; many ask for a lower training.learning_rate.",
        source=f"{PLAYBOOK}: how can optimization failures be debugged and mitigated.",
    )


def far_above_usual(state: RunState) -> Hint | None:
    """Before it is trained, the model all but guesses: what it is shown isn't what it knows."""
    prepared, before = state.prepared, state.untrained_evaluation
    if prepared is None or not prepared.vocabulary or prepared.vocabulary < LEAST_VOCABULARY:
        return None
    (begun,) = state.loss.means(1, FIRST, 1)
    first = before.loss if before is not None else begun
    guessing = math.log(prepared.vocabulary)
    usual = GUESSING_BUNDLED if state.started is not None and state.started.model == BUNDLED else GUESSING
    if first is None or first < usual * guessing or _learns(state, first):
        return None
    return Hint(
        name="wrong-beginning",
        level="act",
        text=f"The untrained model's loss is {first:.1f}; one that only guesses among {prepared.vocabulary:,} tokens "
        f"has {guessing:.1f}, and 1 to 3 is usual. Look at the rows as the model sees them: a wrong chat template, a "
        "language it doesn't know, or a base that was never trained.",
        source=f"{KARPATHY}: verify the loss at the beginning.",
    )


def _learns(state: RunState, first: float) -> bool:
    """Tell whether the loss has fallen clearly: an evaluation's, or the training's where none was made yet."""
    looks = trained_looks(state)
    if looks:
        return min(look.loss for look in looks) < (1 - LEARNED) * first
    losses = state.loss.last(SMOOTHED)
    return len(losses) == SMOOTHED and mean(losses) < (1 - LEARNED) * first


def rate_too_high(state: RunState) -> Hint | None:
    """The loss rises while the learning rate does."""
    prepared = state.prepared
    if prepared is None or state.over:
        return None
    warm = max(prepared.warmup or 0, SMOOTHED)
    if not warm + SMOOTHED <= state.steps_done <= max(3 * warm, prepared.steps // 10):
        return None
    (begun,) = state.loss.means(1, FIRST, 1)
    now = mean(state.loss.last(SMOOTHED) or [0.0])
    if begun is None or now < RISE * max(begun, LEAST_LOSS):
        return None
    return Hint(
        name="rate-too-high",
        level="act",
        text=f"Since the warm-up the loss has risen from {begun:.2f} to {now:.2f}: the learning rate is likely too "
        "high. Stop, and start again with a third of training.learning_rate.",
        source=f"{SMITH}: the loss rises where the rate is too high.",
    )


def rate_too_low(state: RunState) -> Hint | None:
    """A fifth of the run has hardly moved the loss, of the training and of the evaluations."""
    prepared = state.prepared
    if prepared is None or state.over or state.steps_done < max(FIFTH * prepared.steps, 5 * SMOOTHED):
        return None
    (begun,) = state.loss.means(1, SMOOTHED, 1)
    now = mean(state.loss.last(WINDOW) or [0.0])
    if begun is None or begun < LEAST_LOSS or not (1 - FALL) * begun <= now <= (1 + FALL) * begun:
        return None
    before, looks = state.untrained_evaluation, trained_looks(state)
    if before is not None and looks and looks[-1].loss < (1 - FALL) * before.loss:
        return None
    return Hint(
        name="rate-too-low",
        level="look",
        text=f"After {percent(state.steps_done / prepared.steps)} of the run the training loss is {now:.2f}, and began "
        f"at {begun:.2f}: the learning rate may be too low. Try three times training.learning_rate.",
        source=f"{SMITH}: a rate that is too low underfits.",
    )
