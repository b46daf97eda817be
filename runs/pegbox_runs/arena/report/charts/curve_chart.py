"""The held-out loss while training: a thin line per seed, a thick one for their mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from pegbox_runs.arena.report.charts.frame import across_title, axes_picture, legend
from pegbox_runs.arena.report.charts.scales import Scale, drawable, linear
from pegbox_runs.arena.report.charts.svg import Look, layer, path, sign
from pegbox_runs.arena.report.thinning import Point, mean_curve, thinned
from pegbox_runs.arena.results import ContestantResult, Results

_HEIGHT = 300
_MOST_POINTS = 120
"""Of a mean's curve; a seed's has half as many."""
_HEADROOM = 0.15


@dataclass(frozen=True)
class CurveChart:
    """The chart, and what belongs under it."""

    drawn: Markup
    legend: Markup
    cut: bool
    """Whether a curve leaves it."""


def curve_chart(results: Results) -> CurveChart | None:
    """Draw the curves; None: there are none."""
    there = [
        (Look(number), one)
        for number, one in enumerate(results.contestants, 1)
        if any(_drawable_points(seed.curve, 3) for seed in one.seeds)
    ]
    if not there:
        return None
    scales, cut = _scales([one for _, one in there])
    lines: list[Markup] = []
    ends: list[Markup] = []
    for look, one in reversed(there):  # the best on top
        curves = [_drawable_points(seed.curve, _MOST_POINTS // 2) for seed in one.seeds]
        if look.told_apart and len(curves) > 1:
            lines += [_line(curve, scales, f"seed {look.kind}") for curve in curves if len(curve) > 1]
        mean = _drawable_points(mean_curve([seed.curve for seed in one.seeds]), _MOST_POINTS)
        if len(mean) > 1:
            lines.append(_line(mean, scales, f"mean {look.kind}"))
        if look.told_apart and mean and scales[1].holds(mean[-1][1]):
            last = (scales[0].part(mean[-1][0]), _HEIGHT * (1 - scales[1].part(mean[-1][1])))
            ends.append(sign(look, *last, f"{one.name}: {mean[-1][1]:.4f} after {mean[-1][0]:g} steps"))
    chart = axes_picture(
        "curves",
        ("Loss on the held-out rows while training", "loss on all held-out rows, nats per token"),
        _said(there),
        scales,
        _HEIGHT,
        layer(_HEIGHT, *lines),
        *ends,
        across_title("optimizer steps", _HEIGHT),
    )
    return CurveChart(chart, legend([(look, one.name) for look, one in there]), cut)


def _scales(contestants: Sequence[ContestantResult]) -> tuple[tuple[Scale, Scale], bool]:
    """Make the axes, and tell whether a curve leaves them: what rises a good deal above where the highest one began."""
    curves = [seed.curve for one in contestants for seed in one.seeds if seed.curve]
    values = [value for curve in curves for _, value in curve if drawable(value)]
    start, lowest = max((curve[0][1] for curve in curves if drawable(curve[0][1])), default=0.0), min(values)
    ceiling = start + _HEADROOM * (start - lowest)
    across = linear((float(step) for curve in curves for step, _ in curve), pad=False)
    return (across, linear(value for value in values if value <= ceiling)), max(values) > ceiling


def _drawable_points(curve: Sequence[Point], most: int) -> list[Point]:
    return thinned([point for point in curve if drawable(point[1])], max(4, most))


def _line(curve: Sequence[Point], scales: tuple[Scale, Scale], kind: str) -> Markup:
    across, up = scales
    return path([(across.part(step), min(2.0, up.part(value))) for step, value in curve], _HEIGHT, kind)


def _said(there: Sequence[tuple[Look, ContestantResult]]) -> str:
    parts = []
    for _, one in there:
        mean = mean_curve([seed.curve for seed in one.seeds])
        if mean:
            parts.append(f"{one.name} from {mean[0][1]:.4f} to {mean[-1][1]:.4f} in {mean[-1][0]:g} steps")
    return "; ".join(parts) + "."
