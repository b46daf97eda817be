"""What an evaluation comes to, in one plain sentence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pegbox_runs.arena.results import Interval
from pegbox_runs.evaluating.evaluated import Evaluated, Figure, Measure
from pegbox_runs.reporting.digits import LOSS_DECIMALS, decimals_for, number, plain

NAMES: dict[Measure, str] = {
    "loss": "loss",
    "exact-match": "exact match",
    "token-f1": "token F1",
    "rouge-l": "ROUGE-L",
    "general-loss": "loss on general rows",
}
"""Measures by the names that people read."""
SAME_LOSS = 1e-3
"""Nats per token by which a run's own evaluation may differ for the sake of another device or batch."""


def verdict(figures: Sequence[Figure], *, held_out: bool) -> str:
    """Sum up: the rows' loss first, then what the answers say, then what was forgotten. `held_out`: whether the rows
    are the run's own."""
    found = {figure.measure: figure for figure in figures}
    scores = [figure for figure in figures if figure.higher_is_better]
    rows = "the held-out rows" if held_out else "these rows"
    parts = [_of_loss(found["loss"], rows)]
    if scores:
        parts.append(_of_answers(scores))
    if "general-loss" in found:
        parts.append(_of_general(found["general-loss"]))
    return "; ".join(parts) + "."


def loss_told_otherwise(found: Evaluated) -> Iterator[str]:
    """Say so where the run itself told another loss of these weights on these rows."""
    if found.kept_loss is None:
        return
    apart = abs(found.kept_loss - found.loss.tuned)
    if apart > SAME_LOSS * max(1.0, found.kept_loss):
        yield (
            f"The run itself told a loss of {number(found.kept_loss, 4)} of these weights on these rows, and it is "
            f"{number(found.loss.tuned, 4)} here: it was computed otherwise, or the adapter isn't what was trained."
        )


def _of_loss(loss: Figure, rows: str) -> str:
    if loss.finding == "no difference shown":
        return (
            f"The tuned model isn't shown to differ from its base on {rows}: its loss is {_times(loss)}, no more than "
            "chance explains"
        )
    return f"The tuned model is {loss.finding} than its base on {rows}: its loss is {_times(loss)}"


def _times(loss: Figure) -> str:
    """Say how much lower or higher it is, with the range to the same side."""
    difference = loss.difference
    falls = difference.value < 0
    turned = difference
    if falls:
        low, high = difference.low, difference.high
        turned = Interval(
            value=-difference.value, low=None if high is None else -high, high=None if low is None else -low
        )
    if round(difference.value, LOSS_DECIMALS) == 0:
        return f"the same to {LOSS_DECIMALS} digits"
    value, spread = plain(turned)
    return f"{value} nats per token {'lower' if falls else 'higher'}{f' ({spread})' if spread else ''}"


def _of_answers(scores: Sequence[Figure]) -> str:
    better = [NAMES[one.measure] for one in scores if one.finding == "better"]
    worse = [NAMES[one.measure] for one in scores if one.finding == "worse"]
    if not better and not worse:
        return "its answers aren't shown to be nearer to the rows', or further off"
    told = [f"{' and '.join(names)} {verb}" for names, verb in ((better, "rose"), (worse, "fell")) if names]
    return "of its answers' scores " + ", but ".join(told)


def _of_general(general: Figure) -> str:
    by = number(abs(general.difference.value), max(2, decimals_for(general.difference)))
    if general.finding == "worse":
        return f"and it forgot: its loss on general rows is {by} higher"
    if general.finding == "better":
        return f"and on general rows its loss is {by} lower, so nothing was forgotten that these show"
    return "and general rows don't show that it forgot anything"
