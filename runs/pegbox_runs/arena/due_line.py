"""What is due, kept up to date: the same as `schedule.due` gives, for the price of what has changed since."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import TypeVar

from pegbox_runs.arena.entries import Entry, EntryState, Outcome
from pegbox_runs.arena.schedule import Turn, by_contestant, chosen_rate, failed_final, out_of, wanted_of
from pegbox_runs.arena.spec import Comparison

Place = TypeVar("Place")
QUIET: frozenset[EntryState] = frozenset({"running", "stopped", "done"})
"""What a training that counts may come to without changing what else its contestant is wanted for."""


@dataclass
class _Contestant:
    place: int
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    due: dict[str, tuple[Turn, Entry]] = field(default_factory=dict)
    """Those in hand too."""
    out: bool = False
    rate: float | None = None
    ends: bool = False
    """Whether a training that counts failed."""


class DueLine:
    """The entries that are due, of which some are in hand. Learning an outcome and giving an entry take O(log n).

    A contestant's part is made anew where more than one of its entries may change: at its tries, and when one of its
    trainings fails.
    """

    def __init__(self, comparison: Comparison, outcomes: Mapping[str, Outcome]) -> None:
        self.comparison = comparison
        self.outcomes: dict[str, Outcome] = {}
        """What became of each entry that has a folder; for others to read."""
        self.states: Counter[EntryState] = Counter()
        """How many of them came to what."""
        self._taken: set[str] = set()
        self._begin(outcomes)

    def learn(self, comparison: Comparison, outcomes: Mapping[str, Outcome]) -> None:
        """Take in all that is known now. What is in hand stays so."""
        if comparison != self.comparison:
            self.comparison = comparison
            self._begin(outcomes)
            return
        gone = self.outcomes.keys() - outcomes.keys()
        for id_ in gone:
            contestant = self._contestants[self._forget(id_).entry.contestant]
            del contestant.outcomes[id_]
            self._make(contestant)
        for one in outcomes.values():
            if self.outcomes.get(one.entry.id) is not one:
                self.learn_one(one)

    def learn_one(self, one: Outcome) -> None:
        """Take in what became of one entry."""
        entry = one.entry
        contestant = self._contestants[entry.contestant]
        before = contestant.outcomes.get(entry.id)
        if before is one:
            return
        self._note(one)
        contestant.outcomes[entry.id] = one
        if (
            entry.rung is None
            and one.state in QUIET
            and (before is None or before.state not in {"failed", "done"})
            and not (contestant.out or contestant.ends)
            and entry.rate == contestant.rate
        ):
            if one.over:
                self._drop(contestant, entry.id)
            else:
                self._mark(one, contestant)
        else:
            self._make(contestant)

    def take(self, place_for: Callable[[Entry], Place | None]) -> tuple[Entry, Place] | None:
        """Take the first one in hand for which there is a place; None: there is none for any that is due."""
        passed: list[tuple[Turn, str]] = []
        try:
            while self._heap:
                turn, id_ = self._heap[0]
                entry = self._at(turn, id_)
                place = None if entry is None else place_for(entry)
                heappop(self._heap)
                if entry is None:
                    continue
                if place is not None:
                    self._hold(id_)
                    return entry, place
                passed.append((turn, id_))
            return None
        finally:
            for one in passed:
                heappush(self._heap, one)

    def take_this(self, entry: Entry) -> None:
        """Take one in hand that is due."""
        self._hold(entry.id)

    def give_back(self, entry: Entry) -> None:
        """Take one out of hand: it is due again unless it is over."""
        if entry.id not in self._taken:
            return
        self._taken.discard(entry.id)
        contestant = self._contestants.get(entry.contestant)
        found = contestant.due.get(entry.id) if contestant else None
        if contestant is None or found is None:
            return
        self._waiting += 1
        heappush(self._heap, (found[0], entry.id))
        if entry.id in contestant.outcomes:
            self._mark(contestant.outcomes[entry.id], contestant)

    def waiting(self) -> Iterator[Entry]:
        """Give those that nobody has in hand, in their order."""
        every = ((id_, found) for one in self._contestants.values() for id_, found in one.due.items())
        waiting = sorted((found for id_, found in every if id_ not in self._taken), key=_turn)
        yield from (entry for _, entry in waiting)

    @property
    def waits(self) -> int:
        """How many are due that nobody has in hand."""
        return self._waiting

    @property
    def left_running(self) -> list[Entry]:
        """Those that nobody here has in hand and that ran when they were looked at last, in their order."""
        found = [self._contestants[self.outcomes[id_].entry.contestant].due[id_] for id_ in self._running]
        return [entry for _, entry in sorted(found, key=_turn)]

    @property
    def over(self) -> bool:
        """Whether nothing is left to run, as `schedule.is_over` says."""
        if self._due_count:
            return False
        return self._out == len(self._contestants) or self.comparison.steps is not None

    @property
    def over_count(self) -> int:
        """How many entries are done or failed."""
        return self.states["done"] + self.states["failed"]

    def _begin(self, outcomes: Mapping[str, Outcome]) -> None:
        self.outcomes, self.states = {}, Counter()
        self._heap: list[tuple[Turn, str]] = []
        self._running: set[str] = set()
        self._due_count = self._waiting = self._out = 0
        own = by_contestant(outcomes)
        self._contestants = {name: _Contestant(place) for place, name in enumerate(self.comparison.asked.contestants)}
        for name, contestant in self._contestants.items():
            contestant.outcomes = own.get(name, {})
            for one in contestant.outcomes.values():
                self._note(one)
            self._make(contestant, name)

    def _make(self, contestant: _Contestant, name: str | None = None) -> None:
        """Find anew what a contestant is wanted for."""
        name = name or self.comparison.asked.contestants[contestant.place]
        comparison, own = self.comparison, contestant.outcomes
        out = out_of(name, comparison, own) is not None
        self._out += out - contestant.out
        contestant.out = out
        contestant.rate = chosen_rate(name, comparison, own)
        contestant.ends = failed_final(name, comparison, own) is not None
        wanted = {
            entry.id: (turn, entry)
            for turn, entry in wanted_of(name, contestant.place, comparison, own)
            if entry.id not in own or not own[entry.id].over
        }
        for id_ in [id_ for id_ in contestant.due if id_ not in wanted]:
            self._drop(contestant, id_)
        for id_, one in wanted.items():
            before = contestant.due.get(id_)
            contestant.due[id_] = one
            if before is None:
                self._due_count += 1
                self._waiting += id_ not in self._taken
            if before is None or before[0] != one[0]:
                heappush(self._heap, (one[0], id_))
            if id_ in own:
                self._mark(own[id_], contestant)

    def _at(self, turn: Turn, id_: str) -> Entry | None:
        """Give what is due at a place of the heap; None: nothing is any more, or it is in hand."""
        if id_ in self._taken:
            return None
        name = self.comparison.asked.contestants[turn[2]]
        found = self._contestants[name].due.get(id_)
        return found[1] if found is not None and found[0] == turn else None

    def _hold(self, id_: str) -> None:
        self._taken.add(id_)
        self._waiting -= 1
        self._running.discard(id_)

    def _drop(self, contestant: _Contestant, id_: str) -> None:
        if contestant.due.pop(id_, None) is not None:
            self._due_count -= 1
            self._waiting -= id_ not in self._taken
        self._running.discard(id_)

    def _mark(self, one: Outcome, contestant: _Contestant) -> None:
        """Keep whether somebody else may have an entry in hand."""
        id_ = one.entry.id
        if one.state == "running" and id_ not in self._taken and id_ in contestant.due:
            self._running.add(id_)
        else:
            self._running.discard(id_)

    def _note(self, one: Outcome) -> None:
        if one.entry.id in self.outcomes:
            self._forget(one.entry.id)
        self.outcomes[one.entry.id] = one
        self.states[one.state] += 1

    def _forget(self, id_: str) -> Outcome:
        one = self.outcomes.pop(id_)
        self.states[one.state] -= 1
        self._running.discard(id_)
        return one


def _turn(one: tuple[Turn, Entry]) -> Turn:
    return one[0]
