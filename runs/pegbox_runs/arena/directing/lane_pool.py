"""The lanes of a comparison: which are free, and which was there first; each is made when it is needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush

from pegbox_runs.arena.directing.lanes import Lane


class LanePool:
    """Lanes in their order. A thousand of them cost nothing until each has its first entry."""

    def __init__(self, gpus: Sequence[str | None], make: Callable[[str | None], Lane]) -> None:
        """`gpus`: each lane's, as CUDA_VISIBLE_DEVICES names it."""
        self._gpus = gpus
        self._make = make
        self._lanes: dict[int, Lane] = {}
        self._places: dict[Lane, int] = {}
        self._free = set(range(len(gpus)))
        self._order = sorted(self._free)
        """A heap, which may name some that aren't free."""

    @property
    def made(self) -> Sequence[Lane]:
        """Those that have begun to work."""
        return tuple(self._lanes.values())

    @property
    def busy(self) -> int:
        """How many have an entry in hand."""
        return len(self._gpus) - len(self._free)

    @property
    def some_free(self) -> bool:
        """Whether any has none."""
        return bool(self._free)

    def is_free(self, lane: Lane) -> bool:
        """Tell whether a lane has no entry in hand."""
        return self._places[lane] in self._free

    def first(self, gpu: str | None = None) -> Lane | None:
        """Find the first free lane, of a GPU if one is named that has lanes; None: there is none."""
        if gpu is not None and gpu in self._gpus:
            place = next((place for place in sorted(self._free) if self._gpus[place] == gpu), None)
            return None if place is None else self._lane(place)
        while self._order and self._order[0] not in self._free:
            heappop(self._order)
        return self._lane(self._order[0]) if self._order else None

    def hold(self, lane: Lane) -> None:
        """Count a lane among the busy ones."""
        self._free.discard(self._places[lane])

    def let_go(self, lane: Lane) -> None:
        """Count a lane among the free ones again."""
        place = self._places[lane]
        self._free.add(place)
        heappush(self._order, place)
        if len(self._order) > 2 * len(self._gpus) + 100:  # of those that were taken out of turn, some are named twice
            self._order = [*self._free]
            heapify(self._order)

    def _lane(self, place: int) -> Lane:
        if place not in self._lanes:
            self._lanes[place] = lane = self._make(self._gpus[place])
            self._places[lane] = place
        return self._lanes[place]
