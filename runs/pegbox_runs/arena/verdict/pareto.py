"""Who is beaten by nobody: the front over the axes that a person cares for. Light, so that a screen may ask."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pegbox_runs.arena.memory import memory_of
from pegbox_runs.arena.results import Axis, ContestantResult, Interval, Pareto

ON_DEVICE: tuple[Axis, ...] = ("loss", "memory", "time")
"""What is compared where each one's memory is known."""
WITHOUT_MEMORY: tuple[Axis, ...] = ("loss", "time", "size")
"""The same on a CPU, where a process' peak is only the most that a training may have taken."""


def pareto_of(contestants: Sequence[ContestantResult], axes: Sequence[Axis] | None = None) -> Pareto:
    """Find those that no other beats: is as good on each axis, and better on one.

    Who can't be told to be better than its own base model isn't on it, and beats nobody: it is cheap for nothing.
    Else figures count as they were measured, the loss too: who can't be told apart from a better one by chance isn't
    equal to it, and stays on the front for any advantage it has shown. So nobody else is taken off it without a figure,
    and some may be on it by luck. Two that are alike on all axes are both on it.
    `axes`: None: loss, memory and time where memory is known of all, else loss, time and size.
    Axes on which nobody has a figure are left out; who lacks one on an axis that is left isn't compared.
    Returns: the axes that were compared on, and the front in the contestants' order.
    """
    ranked = [one for one in contestants if one.place is not None]
    if axes is None:
        axes = ON_DEVICE if knows_memory(ranked) else WITHOUT_MEMORY
    told = tuple(
        axis for axis in dict.fromkeys(axes) if any(figure_on(one, axis, ranked) is not None for one in ranked)
    )
    points: dict[str, tuple[float, ...]] = {}
    for one in filter(is_better_than_base, ranked):
        figures = [figure for axis in told if (figure := figure_on(one, axis, ranked)) is not None]
        if told and len(figures) == len(told):
            points[one.name] = tuple(figures)
    front = (name for name, point in points.items() if not any(_beats(other, point) for other in points.values()))
    return Pareto(axes=told, front=tuple(front))


def figure_on(
    contestant: ContestantResult, axis: Axis, others: Sequence[ContestantResult] | None = None
) -> float | None:
    """Give a contestant's figure on an axis, of which less is better; None: it has none, or none that is finite.

    `others`: all that it is compared with, itself too: they decide of which kind memory is; None: itself alone.
    """
    figures: dict[Axis, Interval | int | None] = {
        "loss": contestant.loss,
        "memory": memory_of(contestant, (contestant,) if others is None else others),
        "time": contestant.training_seconds,
        "size": contestant.adapter_bytes,
        "forgetting": contestant.forgetting,
    }
    found = figures[axis]
    figure = found.value if isinstance(found, Interval) else found
    return figure if figure is not None and math.isfinite(figure) else None


def is_better_than_base(contestant: ContestantResult) -> bool:
    """Tell whether its training made it better than its own base model, beyond chance."""
    change = contestant.change
    return change is not None and change.high is not None and change.high < 0


def knows_memory(contestants: Sequence[ContestantResult]) -> bool:
    """Tell whether memory can be held against each other: a device's is each one's own, a process' a bound."""
    return all(one.device_peak is not None for one in contestants)


def _beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(mine <= theirs for mine, theirs in zip(one, other, strict=True))
