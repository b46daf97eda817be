"""The held-out loss while training: a thin line per seed, a thick one for their mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from pegbox_runs.arena.results import ContestantResult, Results
from pegbox_runs.reporting.charts.frame import across_title, axes_picture, legend
from pegbox_runs.reporting.charts.scales import Scale, drawable, linear
from pegbox_runs.reporting.charts.svg import Look, layer, path, sign
from pegbox_runs.reporting.thinning import Point, mean_curve, thinned

_HEIGHT = 300
_MOST_POINTS = 120
"""Of a mean's curve; a seed's has half as many."""
_HEADROOM = 0.25


@dataclass(frozen=True)
class _Curves:
    name: str
    look: Look
    seeds: Sequence[Sequence[Point]]
    mean: Sequence[Point]


@dataclass(frozen=True)
class CurveChart:
    """The chart, and what belongs under it."""

    drawn: Markup
    legend: Markup
    cut: bool
    """Whether a curve leaves it."""


def curve_chart(results: Results) -> CurveChart | None:
    """Draw the curves; None: there are none."""
    made = [_curves_of(number, one) for number, one in enumerate(results.contestants, 1)]
    there = [one for one in made if one.seeds]
    if not there:
        return None
    scales, cut = _scales(there)
    lines: list[Markup] = []
    ends: list[Markup] = []
    for one in reversed(there):  # the best on top
        if one.look.told_apart and len(one.seeds) > 1:
            lines += [_line(curve, scales, f"seed {one.look.kind}", _MOST_POINTS // 2) for curve in one.seeds]
        lines.append(_line(one.mean, scales, f"mean {one.look.kind}", _MOST_POINTS))
        if one.look.told_apart and one.mean and scales[1].holds(one.mean[-1][1]):
            step, value = one.mean[-1]
            at = (scales[0].part(step), _HEIGHT * (1 - scales[1].part(value)))
            ends.append(sign(one.look, *at, f"{one.name}: {value:.4f} after {step:g} steps"))
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
    return CurveChart(chart, legend([(one.look, one.name) for one in there]), cut)


def _curves_of(number: int, one: ContestantResult) -> _Curves:
    seeds = [[point for point in seed.curve if drawable(point[1])] for seed in one.seeds]
    seeds = [curve for curve in seeds if curve]
    return _Curves(one.name, Look(number), seeds, mean_curve(seeds))


def _scales(there: Sequence[_Curves]) -> tuple[tuple[Scale, Scale], bool]:
    """Make the axes, and tell whether a curve leaves them: what rises a good deal above where the highest one began."""
    curves = [curve for one in there for curve in one.seeds]
    start, lowest = max(curve[0][1] for curve in curves), min(min(value for _, value in curve) for curve in curves)
    ceiling = start + _HEADROOM * (start - lowest)
    highest = [max(value for _, value in curve) for curve in curves]
    across = linear((float(step) for curve in curves for step, _ in (curve[0], curve[-1])), pad=False)
    return (across, linear([lowest, *(min(value, ceiling) for value in highest)], 6)), max(highest) > ceiling


def _line(curve: Sequence[Point], scales: tuple[Scale, Scale], kind: str, most: int) -> Markup:
    across, up = scales
    points = [(across.part(step), min(2.0, up.part(value))) for step, value in thinned(curve, most)]
    return path(points, _HEIGHT, kind) if len(points) > 1 else Markup("")


def _said(there: Sequence[_Curves]) -> str:
    return "; ".join(
        f"{one.name} from {one.mean[0][1]:.4f} to {one.mean[-1][1]:.4f} in {one.mean[-1][0]:g} steps"
        for one in there
        if one.mean
    )
