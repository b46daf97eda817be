"""A chart over a run's steps: a line for what was measured, with a band around it where many steps share a place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from pegbox_runs.curve import Curve
from pegbox_runs.reporting.charts.frame import across_title, axes_picture, legend
from pegbox_runs.reporting.charts.scales import Scale, drawable, linear, without_far_ones
from pegbox_runs.reporting.charts.svg import Look, layer, line, path, percent, sign, words
from pegbox_runs.reporting.thinning import Point
from pegbox_runs.run_report.parts import Drawn

COLUMNS = 240
"""Places across a chart: what has more points is drawn as means, in the band of its lowest and highest."""
MOST_SIGNS = 60
"""Points that get a sign of their own."""


@dataclass(frozen=True)
class Traced:
    """One line of a chart."""

    name: str
    look: Look
    points: Sequence[Point]
    low: Sequence[Point] = ()
    """The lowest of each place; empty: each point is drawn itself."""
    high: Sequence[Point] = ()
    signs: bool = False
    """Whether each point is marked: for what was measured a few times."""


@dataclass(frozen=True)
class Level:
    """A value that lies across the whole chart."""

    value: float
    said: str


def traced(name: str, number: int, curve: Curve, *, scale: float = 1.0) -> Traced:
    """Take a curve of the state, however long; its values are divided by `scale`. Costs little for a million steps."""
    ends = curve.ends
    if ends is None:
        return Traced(name, Look(number), ())
    first, last = ends
    if len(curve) <= COLUMNS:
        points = [(float(step), value / scale) for step, value in curve if drawable(value)]
        return Traced(name, Look(number), points)
    wide = (last - first + 1) / COLUMNS
    middles = [first + wide * (column + 0.5) - 0.5 for column in range(COLUMNS)]
    spans = list(zip(middles, curve.extremes(first, last, COLUMNS), strict=True))
    means = zip(middles, curve.means(first, last, COLUMNS), strict=True)
    return Traced(
        name,
        Look(number),
        [(step, mean / scale) for step, mean in means if mean is not None and drawable(mean)],
        [(step, span[0] / scale) for step, span in spans if span is not None and drawable(span[0])],
        [(step, span[1] / scale) for step, span in spans if span is not None and drawable(span[1])],
    )


def step_chart(
    key: str,
    titles: tuple[str, str],
    caption: str,
    lines: Sequence[Traced],
    *,
    levels: Sequence[Level] = (),
    height: int = 170,
    broad: bool = False,
) -> Drawn | None:
    """Draw it; None: there is nothing to draw. `titles` name the chart and its vertical axis."""
    there = [one for one in lines if one.points]
    if not there:
        return None
    scales, cut = _scales(there, levels)
    drawn: list[Markup] = []
    for level in levels:
        if scales[1].holds(level.value):
            drawn += _level(level, scales[1], height)
    strokes = [piece for one in there for piece in _strokes(one, scales, height)]
    drawn.append(layer(height, *strokes))
    drawn += [mark for one in there for mark in _signs(one, scales, height)]
    said = _said(there, levels)
    picture = axes_picture(key, titles, said, scales, height, *drawn, across_title("optimizer steps", height))
    looks = legend([(one.look, one.name) for one in there]) if len(there) > 1 else None
    leaves = " What lies far above the rest leaves the chart." if cut else ""
    return Drawn(picture, caption + leaves, said, looks, broad)


def _scales(there: Sequence[Traced], levels: Sequence[Level]) -> tuple[tuple[Scale, Scale], bool]:
    """Make the axes, and tell whether something leaves them."""
    highs = [value for one in there for _, value in (*one.points, *one.high)]
    lows = [value for one in there for _, value in (*one.points, *one.low)]
    near = without_far_ones(highs)
    steps = [step for one in there for step, _ in one.points]
    # A level far above what was measured would make that a flat line.
    beside = [level.value for level in levels if drawable(level.value) and level.value <= 3 * near[-1]]
    up = linear([*(value for value in lows if value <= near[-1]), *near, *beside])
    return (linear([min(0.0, *steps), *steps], pad=False), up), len(near) < len(highs)


def _strokes(one: Traced, scales: tuple[Scale, Scale], height: int) -> Iterator[Markup]:
    across, up = scales

    def places(points: Sequence[Point]) -> list[tuple[float, float]]:
        return [(across.part(step), max(-1.0, min(2.0, up.part(value)))) for step, value in points]

    if one.high and one.low:
        yield path([*places(one.high), *reversed(places(one.low))], height, f"spread {one.look.kind}")
    if len(one.points) > 1:
        yield path(places(one.points), height, f"mean {one.look.kind}")


def _signs(one: Traced, scales: tuple[Scale, Scale], height: int) -> Iterator[Markup]:
    if not one.signs and len(one.points) > 1:
        return
    apart = -(-len(one.points) // MOST_SIGNS)
    for step, value in one.points[::apart]:
        if scales[1].holds(value):
            y = height * (1 - scales[1].part(value))
            yield sign(one.look, scales[0].part(step), y, f"{one.name}, step {step:g}: {value:.5g}")


def _level(level: Level, up: Scale, height: int) -> list[Markup]:
    y = height * (1 - up.part(level.value))
    return [line("0", y, percent(1.0), y, "base"), words(level.said, "99%", y - 5, "label end")]


def _said(there: Sequence[Traced], levels: Sequence[Level]) -> str:
    told = [
        f"{one.name} from {one.points[0][1]:.5g} at step {one.points[0][0]:.0f} to {one.points[-1][1]:.5g} at step "
        f"{one.points[-1][0]:.0f}"
        for one in there
    ]
    return "; ".join([*told, *(f"{level.said}: {level.value:.5g}" for level in levels)]) + "."
