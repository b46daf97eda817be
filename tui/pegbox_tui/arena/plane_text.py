"""Loss against what it costs: who is beaten by nobody."""

from __future__ import annotations

from typing import NamedTuple

from rich.text import Text

from pegbox_runs.arena.results import Axis
from pegbox_tui.arena.rows import Row, rows_of
from pegbox_tui.arena.view import Scene
from pegbox_tui.chart.plane import Point, drawn_plane, front

TITLES: dict[Axis, str] = {
    "loss": "loss",
    "memory": "peak memory",
    "time": "training time",
    "size": "adapter's size",
    "forgetting": "forgetting",
}
UNITS: dict[Axis, tuple[tuple[float, str], ...]] = {
    "memory": ((2.0**30, "GiB"), (2.0**20, "MiB")),
    "size": ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB")),
    "time": ((3600.0, "h"), (60.0, "min"), (1.0, "s")),
    "forgetting": ((1.0, "nats"),),
}


class Unit(NamedTuple):
    """What values are divided by, and how that is called."""

    divisor: float
    name: str


def cost_of(row: Row, axis: Axis) -> float | None:
    """Give what a contestant costs on an axis."""
    figures: dict[Axis, float | None] = {
        "memory": row.memory,
        "time": row.seconds,
        "size": row.size,
        "forgetting": row.forgetting,
    }
    return figures.get(axis)


def points_of(scene: Scene, axis: Axis) -> list[Point]:
    """Give the contestants of which both figures are known."""
    found = []
    for row in rows_of(scene.watched, "place"):
        cost = cost_of(row, axis)
        if cost is not None and row.loss is not None and not row.provisional:
            chosen = row.name == scene.view.chosen
            found.append(Point(cost, row.loss, row.sign.letter, row.name, row.sign.color, chosen))
    return found


def unit_of(axis: Axis, points: list[Point]) -> Unit:
    """Choose the largest unit in which the highest value is at least a half."""
    highest = max((one.x for one in points), default=0.0)
    units = UNITS[axis]
    return Unit(*next((one for one in units if highest >= one[0] / 2), units[-1]))


def plane_title(scene: Scene) -> str:
    """Say what is held against what."""
    points = points_of(scene, scene.view.cost)
    unit = unit_of(scene.view.cost, points)
    bound = "at most, " if is_bound(scene) else ""
    return f"loss by {TITLES[scene.view.cost]}, {bound}{unit.name} · x: other costs"


def is_bound(scene: Scene) -> bool:
    """Tell whether what the loss is held against is an upper bound: the memory on a CPU."""
    rows = rows_of(scene.watched, "place")
    return scene.view.cost == "memory" and any(row.at_most and row.memory is not None for row in rows)


def plane_lines(scene: Scene, width: int, height: int, *, ascii: bool) -> list[Text]:  # noqa: A002 - Look's own word
    """Draw it, or say why there is nothing to draw."""
    axis = scene.view.cost
    points = points_of(scene, axis)
    if not points:
        return [Text(""), Text(_nothing(scene), "dim")]
    unit = unit_of(axis, points)
    names = ", ".join(one.name for one in front(points))
    how = "nobody is better on both by these upper bounds" if is_bound(scene) else "nobody is better on both"
    said = Text(f"( ) {how}: {names}" if len(points) > 1 else _alone(scene, names), no_wrap=True)
    said.truncate(width, overflow="ellipsis")
    return [said, *drawn_plane(points, width, height - 1, ascii=ascii, unit=unit.divisor)]


def _alone(scene: Scene, name: str) -> str:
    alone = len(scene.watched.contestants) == 1
    return f"{name} is {'the only contestant' if alone else 'alone so far'}: one point compares nothing"


def _nothing(scene: Scene) -> str:
    results = scene.watched.results
    if results is None or not any(one.loss for one in results.contestants):
        return "nobody's training that counts has ended yet"
    return f"{TITLES[scene.view.cost]} isn't known of anybody"
