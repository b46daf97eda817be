"""The held-out loss while training: a thin line per seed, a thick one for their mean."""

from __future__ import annotations

from collections.abc import Sequence

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


def curve_chart(results: Results) -> tuple[Markup, Markup] | None:
    """Draw the curves. Returns: the chart and its legend; None: nobody has two points."""
    there = [
        (Look(number), one)
        for number, one in enumerate(results.contestants, 1)
        if any(_drawable_points(seed.curve, 3) for seed in one.seeds)
    ]
    if not there:
        return None
    scales = _scales([one for _, one in there])
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
    return chart, legend([(look, one.name) for look, one in there])


def is_cut(results: Results) -> bool:
    """Tell whether a curve leaves the chart."""
    return any(value > _ceiling(results.contestants) for value in _values(results.contestants))


def _scales(contestants: Sequence[ContestantResult]) -> tuple[Scale, Scale]:
    steps = [float(step) for one in contestants for seed in one.seeds for step, _ in seed.curve]
    ceiling = _ceiling(contestants)
    return linear(steps, pad=False), linear([value for value in _values(contestants) if value <= ceiling])


def _ceiling(contestants: Sequence[ContestantResult]) -> float:
    """Give the loss above which nothing is drawn: a little above where the highest curve begins."""
    starts = [seed.curve[0][1] for one in contestants for seed in one.seeds if seed.curve]
    highest, values = max((start for start in starts if drawable(start)), default=0.0), _values(contestants)
    return highest + _HEADROOM * (highest - min(values, default=0.0)) if starts else 0.0


def _values(contestants: Sequence[ContestantResult]) -> list[float]:
    return [value for one in contestants for seed in one.seeds for _, value in seed.curve if drawable(value)]


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
