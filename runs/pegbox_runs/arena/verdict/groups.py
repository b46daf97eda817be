"""Who is better than whom, as far as the rows and the seeds can tell."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from pegbox_runs.arena.verdict.chance import LEAST_ROWS, LEVEL, Estimate, SameRows

ROUNDING = 1e-6
"""Share of a loss below which two differ by no more than the order in which they were added up."""


@dataclass(frozen=True)
class Compared:
    """A group's first, which has the lower loss, and one that came behind it."""

    first: str
    other: str
    difference: Estimate
    """The first's loss less the other's."""
    level: float
    """What the difference was held against at most: 5 %, shared by all who were compared with the first."""
    told_apart: bool


@dataclass(frozen=True)
class Verdict:
    """What may be said."""

    order: tuple[str, ...]
    """By mean loss, the lowest first."""
    groups: tuple[tuple[str, ...], ...] = ()
    """Each: a first one, and those that can't be told apart from it; empty where the rows can't tell anything."""
    pairs: tuple[Compared, ...] = ()
    """The first of each group with all that come behind it."""

    @property
    def winner(self) -> str | None:
        """Who is better than every other."""
        alone = len(self.order) > 1 and self.groups and len(self.groups[0]) == 1
        return self.order[0] if alone else None

    @property
    def places(self) -> dict[str, int]:
        """Give each one's place: that of its group's first by loss, from 1."""
        return {name: 1 + self.order.index(group[0]) for group in self.groups for name in group}


def verdict_of(
    rows: SameRows, names: Sequence[str], key: Mapping[str, Hashable], assumed: Mapping[str, float], row_count: int
) -> Verdict:
    """Compare contestants.

    `key`: contestant -> its series among the rows; `assumed`: contestant -> how far one seed's loss is off, as a
    standard deviation, where the seeds are too few to tell; two contestants are off independently of each other.
    Of two with the same loss, the one that was named first comes first.
    """
    loss = {name: rows.mean(key[name]) for name in names}
    order = tuple(sorted(names, key=loss.__getitem__))
    if row_count < LEAST_ROWS:
        return Verdict(order)
    groups: list[tuple[str, ...]] = []
    pairs: list[Compared] = []
    left = list(order)
    while left:
        first, *others = left
        found = {
            other: rows.difference(key[first], key[other], assumed=(assumed[first] ** 2 + assumed[other] ** 2) ** 0.5)
            for other in others
        }
        apart = _told_apart(found, least=ROUNDING * abs(loss[first]))
        level = LEVEL / max(1, len(others))
        pairs += [Compared(first, other, one, level, other in apart) for other, one in found.items()]
        groups.append((first, *(other for other in others if other not in apart)))
        left = [other for other in others if other in apart]
    return Verdict(order, tuple(groups), tuple(pairs))


def _told_apart(found: Mapping[str, Estimate], least: float) -> set[str]:
    """Give those whose difference isn't chance, so that in 95 of 100 comparisons not one of them is wrong.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6.
    """
    count = len(found)
    strictest = {
        name: max((by for by in range(1, count + 1) if one.is_beyond_chance(LEVEL / by)), default=0)
        for name, one in found.items()
        if abs(one.value) > least
    }
    apart: set[str] = set()
    for name in sorted(strictest, key=lambda one: -strictest[one]):
        if strictest[name] < count - len(apart):
            break
        apart.add(name)
    return apart
