"""How a person looks at a comparison; kept while an entry of it is open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar, get_args

from pegbox_runs.arena.results import Axis
from pegbox_runs.arena.watching.watch import Contestant, EntryNow, Watched
from pegbox_runs.run_folder import RunFolder

Choice = TypeVar("Choice")
Sort = Literal["place", "loss", "memory", "time", "speed", "size", "forgetting", "name"]
SORTS: tuple[Sort, ...] = get_args(Sort)
COSTS: tuple[Axis, ...] = ("memory", "time", "size", "forgetting")
"""What the loss is held against."""


class View(NamedTuple):
    """What is chosen."""

    chosen: str | None = None
    """A contestant's name; None: the first of the list, whoever that is."""
    sort: Sort = "place"
    page: int = 0
    cost: Axis = "memory"
    seed: int | None = None
    """The place of a seed; None: all of them."""
    zoom: int = 0
    """How often the curves were halved to their later part."""


@dataclass(frozen=True)
class Scene:
    """What the panes are drawn from; each takes what it needs."""

    watched: Watched
    view: View
    now: float
    """Seconds since 1970."""
    folder: Path = Path()
    """The comparison's."""

    @property
    def chosen(self) -> Contestant | None:
        """The contestant that is looked at."""
        return next((one for one in self.watched.contestants if one.name == self.view.chosen), None)

    @property
    def seed(self) -> int | None:
        """The seed that is looked at alone; None: all."""
        seeds = self.watched.comparison.seeds if self.watched.comparison else ()
        return seeds[self.view.seed] if self.view.seed is not None and self.view.seed < len(seeds) else None


@dataclass(frozen=True)
class EntryChoice:
    """The entry of a comparison whose dashboard shall be opened."""

    folder: RunFolder


def behind(one: Choice, choices: Sequence[Choice]) -> Choice:
    """Give the next of some choices; behind the last one comes the first."""
    return choices[(choices.index(one) + 1) % len(choices)]


def next_seed(place: int | None, by: int, seeds: int) -> int | None:
    """Give the place of the seed after one, or before it; behind the last one and before the first are all: None."""
    at = (-1 if place is None else place) + by
    at = seeds - 1 if at < -1 else at
    return at if 0 <= at < seeds else None


def entry_to_open(one: Contestant, seed: int | None) -> EntryNow | None:
    """Pick the chosen seed's training, else what runs, else the first training, else the newest try."""
    chosen = [entry for entry in one.finals if entry.entry.seed == seed]
    running = [one.running] if one.running else []
    return next(iter((*chosen, *running, *one.finals, *reversed(one.trials))), None)


def standing_of(watched: Watched) -> tuple[object, ...]:
    """Give what is drawn at once where it changes; all else may wait for the next drawing."""
    return watched.state.status, watched.results, watched.comparison, watched.share < 1.0
