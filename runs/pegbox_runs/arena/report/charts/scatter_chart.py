"""What a loss costs: each contestant as a point, and the line of those that nobody beats on both axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from pegbox_runs.arena.report.leaderboard import on_device
from pegbox_runs.arena.results import ContestantResult, Interval, Results
from pegbox_runs.figures import duration
from pegbox_runs.reporting import digits
from pegbox_runs.reporting.charts.frame import across_title, axes_picture
from pegbox_runs.reporting.charts.scales import Scale, drawable, linear, logarithmic, without_far_ones
from pegbox_runs.reporting.charts.svg import Look, layer, line, path, percent, sign, tag

_HEIGHT = 280
_WIDE = 30
"""Costs that differ more than so many times get an axis of orders of magnitude."""
_LINE = 14
"""Height of a label's line, in px."""
_NEAR = 0.25
"""Labels of points nearer to each other than this share of the width may touch."""


@dataclass(frozen=True)
class Cost:
    """What is paid for a loss."""

    key: str
    title: str
    of: Callable[[ContestantResult], float | None]
    """In the axis' unit."""
    unit: str
    said: Callable[[float], str]


@dataclass(frozen=True)
class _Point:
    name: str
    look: Look
    cost: float
    loss: Interval


def costs(results: Results) -> tuple[Cost, ...]:
    """Give what the report holds against the loss: memory and time; on a CPU time and the adapter's size.

    There memory is known as an upper bound only, by which nobody can be said to beat another.
    """
    unit, divisor, letters = _time_unit(results)
    memory = Cost(
        "memory",
        "Loss against memory",
        lambda one: None if one.device_peak is None else one.device_peak / 2**30,
        "peak memory of the GPU, GiB",
        lambda gib: digits.memory(round(gib * 2**30)),
    )
    size = Cost(
        "size",
        "Loss against the adapter's size",
        lambda one: None if one.adapter_bytes is None else one.adapter_bytes / 2**20,
        "adapter on the disk, MiB",
        lambda mib: digits.bytes_(round(mib * 2**20)),
    )
    return (
        memory if on_device(results) else size,
        Cost(
            "time",
            "Loss against time",
            lambda one: None if one.training_seconds is None else one.training_seconds.value / divisor,
            f"training time, {unit}",
            lambda amount: f"{amount:.3g} {letters}" if divisor == 1 else duration(amount * divisor),
        ),
    )


def scatter_chart(results: Results, cost: Cost) -> tuple[Markup, str] | None:
    """Draw the points. Returns: the chart and what should be said under it; None: fewer than two have both figures."""
    points = [
        _Point(one.name, Look(number), paid, one.loss)
        for number, one in enumerate(results.contestants, 1)
        if one.loss is not None and drawable(one.loss.value) and (paid := cost.of(one)) is not None and drawable(paid)
    ]
    if len(points) < 2:
        return None
    most = max(without_far_ones([point.loss.value for point in points]))
    near = [point for point in points if point.loss.value <= most]
    far = [point for point in points if point.loss.value > most]
    scales = _scales(near)
    best = cheapest_first(near)
    drawn = [layer(_HEIGHT, path(_stairs(best, scales), _HEIGHT, "front")), *_whiskers(near, scales)]
    for point in sorted(near, key=lambda one: -one.look.number):
        at = (scales[0].part(point.cost), _HEIGHT * (1 - scales[1].part(point.loss.value)))
        said = f"{point.name}: loss {digits.together(digits.plain(point.loss))}, {cost.said(point.cost)}"
        drawn.append(sign(point.look, *at, said, "on-front" if point in best else ""))
    drawn += _labels(near, scales)
    who = ", ".join(point.name for point in best)
    said = "; ".join(f"{one.name} {digits.loss(one.loss.value)} at {cost.said(one.cost)}" for one in points)
    title = (cost.title, "loss, nats per token")
    chart = axes_picture(
        cost.key,
        title,
        f"{said}. On the line: {who}.",
        scales,
        _HEIGHT,
        *drawn,
        across_title(cost.unit, _HEIGHT),
    )
    return chart, _under(who, far)


def cheapest_first(points: Sequence[_Point]) -> list[_Point]:
    """Give those that no other beats on both axes, the cheapest first; of two alike, both stay."""
    return sorted(
        (
            one
            for one in points
            if not any(
                other.cost <= one.cost
                and other.loss.value <= one.loss.value
                and (other.cost, other.loss.value) != (one.cost, one.loss.value)
                for other in points
            )
        ),
        key=lambda one: (one.cost, one.look.number),
    )


def _under(who: str, far: Sequence[_Point]) -> str:
    above = ", ".join(f"{one.name} ({digits.loss(one.loss.value)})" for one in far)
    said = f"Nobody has both a lower loss and a lower cost than those on the line: {who}."
    return said + (f" Far above the chart: {above}." if far else "")


def _scales(points: Sequence[_Point]) -> tuple[Scale, Scale]:
    paid = [point.cost for point in points]
    ends = [end for one in points for end in (one.loss.low, one.loss.value, one.loss.high) if drawable(end)]
    wide = min(paid) > 0 and max(paid) > _WIDE * min(paid)
    across = logarithmic(paid) if wide else linear(paid, 4)
    return across, linear([end for end in ends if end is not None])


def _stairs(best: Sequence[_Point], scales: tuple[Scale, Scale]) -> list[tuple[float, float]]:
    """Give the corners of the line: what loss the best has at no more than a cost."""
    across, up = scales
    corners = [(across.part(best[0].cost), 1.0)]
    for point in best:
        x, y = across.part(point.cost), up.part(point.loss.value)
        corners += [(x, corners[-1][1]), (x, y)]
    return [*corners, (1.0, corners[-1][1])]


def _whiskers(points: Sequence[_Point], scales: tuple[Scale, Scale]) -> list[Markup]:
    drawn = []
    for point in points:
        low, high = point.loss.low, point.loss.high
        if low is not None and high is not None and drawable(low) and drawable(high):
            x = percent(scales[0].part(point.cost))
            bottom, top = (_HEIGHT * (1 - scales[1].part(end)) for end in (low, high))
            drawn.append(line(x, bottom, x, top, f"whisker {point.look.kind}"))
    return drawn


def _labels(points: Sequence[_Point], scales: tuple[Scale, Scale]) -> list[Markup]:
    """Write names beside the points, moved up or down where they would touch; narrow pages show the numbers alone."""
    taken: list[tuple[float, float]] = []
    drawn = []
    for point in sorted(points, key=lambda one: one.look.number):
        x, y = scales[0].part(point.cost), _HEIGHT * (1 - scales[1].part(point.loss.value)) + 4
        tries = [y + way * _LINE * far for far in range(40) for way in (1, -1)]
        free = (at for at in tries if all(abs(at - b) >= _LINE or abs(x - a) >= _NEAR for a, b in taken))
        at = next((at for at in free if 8 <= at <= _HEIGHT - 4), y)
        taken.append((x, at))
        right = x < 0.7
        inside = [f"{point.look.number}", tag("tspan", f" {point.name}", class_="full")]
        kind = "label first" if right else "label end"
        drawn.append(tag("text", *inside, x=percent(x), dx="9" if right else "-9", y=f"{at:.1f}", class_=kind))
    return drawn


def _time_unit(results: Results) -> tuple[str, int, str]:
    longest = max((one.training_seconds.value for one in results.contestants if one.training_seconds), default=0.0)
    return ("hours", 3600, "h") if longest >= 7200 else ("minutes", 60, "min") if longest >= 120 else ("s", 1, "s")
