"""A contestant's search for its learning rate: the loss of each try, short ones and long ones."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from pegbox_runs.arena.results import ContestantResult, Trial
from pegbox_runs.reporting import digits
from pegbox_runs.reporting.charts.frame import across_title, axes_picture
from pegbox_runs.reporting.charts.scales import Scale, drawable, linear, logarithmic
from pegbox_runs.reporting.charts.svg import Look, layer, line, path, percent, tag, words

_HEIGHT = 110
_SAME = 1e-9


def search_chart(one: ContestantResult, number: int) -> Markup | None:
    """Draw the tries; None: fewer than two have a loss."""
    tries = [(trial.rate, trial.steps, trial.loss) for trial in one.trials if trial.loss is not None]
    told = [(rate, steps, loss) for rate, steps, loss in tries if drawable(loss) and drawable(rate) and rate > 0]
    if len(told) < 2:
        return None
    rates = sorted({trial.rate for trial in one.trials if drawable(trial.rate) and trial.rate > 0})
    scales = (logarithmic(rates, rates), linear([loss for _, _, loss in told], 3))
    drawn = [_chosen(one.rate, scales[0])]
    for place, steps in enumerate(sorted({steps for _, steps, _ in told})):
        drawn += _rung(sorted((rate, loss) for rate, length, loss in told if length == steps), scales, place, number)
    drawn += [_without(trial, scales[0]) for trial in one.trials if trial.loss is None and trial.rate > 0]
    return axes_picture(
        f"search-{number}",
        (f"{one.name}: search for the learning rate", "loss on the rows that choose"),
        "; ".join(said_of(trial) for trial in one.trials) + ".",
        scales,
        _HEIGHT,
        *drawn,
        across_title("learning rate", _HEIGHT),
    )


def said_of(trial: Trial) -> str:
    """Say what a try came to."""
    came = digits.loss(trial.loss) if trial.loss is not None else trial.why or "no loss"
    return f"{digits.few_digits(trial.rate)} for {trial.steps} steps: {came}"


def _rung(points: Sequence[tuple[float, float]], scales: tuple[Scale, Scale], place: int, number: int) -> list[Markup]:
    """Draw tries of one length: hollow signs and a dashed line for the shortest, full ones for longer ones."""
    kind, across, up = Look(number).kind, *scales
    at = [(across.part(rate), up.part(loss)) for rate, loss in points]
    drawn = [layer(_HEIGHT, path(at, _HEIGHT, f"tries {kind} long{min(place, 1)}"))] if len(at) > 1 else []
    for (x, y), (rate, loss) in zip(at, points, strict=True):
        said = tag("title", f"{digits.few_digits(rate)}: {digits.loss(loss)}")
        dot = tag("circle", said, cx=percent(x), cy=f"{_HEIGHT * (1 - y):.1f}")
        drawn.append(tag("g", dot, class_=f"dot {kind} long{min(place, 1)}"))
    return drawn


def _chosen(rate: float | None, across: Scale) -> Markup:
    if rate is None or not drawable(rate) or rate <= 0 or not across.holds(rate):
        return Markup("")
    x = percent(across.part(rate))
    return line(x, 0, x, _HEIGHT, "chosen")


def _without(trial: Trial, across: Scale) -> Markup:
    """Mark a try that came to no loss."""
    if not drawable(trial.rate):
        return Markup("")
    return words("✕", percent(across.part(trial.rate)), 10, "middle failed")
