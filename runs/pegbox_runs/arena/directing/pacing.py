"""What a budget of seconds allows, by the pace that was measured on the way.

Seconds are those in which entries had a worker, so that a night between two parts of a comparison costs it nothing.
"""

from __future__ import annotations

import heapq
import statistics
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pegbox_runs.arena.asking.budget import LEAST_STEPS
from pegbox_runs.arena.entries import Entry, Outcome
from pegbox_runs.arena.schedule import Grouped, Outcomes, due, failed_final, out_of
from pegbox_runs.arena.spec import Comparison, Paced

MORE_LOOKS = 3
"""At the held-out rows, that a training which counts takes by default (each quarter) and a try doesn't."""


class Pace(NamedTuple):
    """What a contestant's entries take. Seconds."""

    step: float
    entry: float
    """Whatever the number of steps: loading, evaluating, judging, saving; but not the judging of the base model."""

    def of(self, steps: int) -> float:
        """Give what an entry of so many steps takes."""
        return self.entry + steps * self.step


def pace(comparison: Comparison, outcomes: Outcomes, places: Sequence[str | None]) -> Paced:
    """Decide how many steps each training that counts takes: as many as fit into what is left, the same for all.

    At most those that were asked for; at least as many as a try has, and `LEAST_STEPS`, though they don't fit. To be
    called once all tries are over. `places`: those where entries work side by side. Where a training that counts has
    begun already, its steps hold.
    """
    begun = [one.entry.steps for one in outcomes.values() if one.entry.rung is None]
    return Paced(
        steps=begun[0] if begun else _most_steps(comparison, outcomes, places),
        seconds=sum(one.wall_seconds for one in outcomes.values()),
    )


def seconds_left(comparison: Comparison, outcomes: Outcomes, places: Sequence[str | None]) -> float:
    """Give what is left of the budget, less than 0 where it is passed; infinite: there is none."""
    budget = comparison.asked.budget_seconds
    spent = (comparison.aside_seconds + sum(one.wall_seconds for one in outcomes.values())) / _lanes(places)
    return float("inf") if budget is None else budget - spent


def seconds_needed(comparison: Comparison, outcomes: Outcomes, places: Sequence[str | None], steps: int) -> float:
    """Give what all trainings that count will take with so many steps each, by the clock."""
    paces = _paces(comparison, outcomes)
    needed = _by_the_clock([one.of(steps) for _ in comparison.seeds for one in paces.values()], places)
    return needed + _bases_again(outcomes, places)


def seeds_that_fit(
    comparison: Comparison, outcomes: Outcomes, places: Sequence[str | None], entry: Entry
) -> int | None:
    """Say with how many seeds the comparison ends, where `entry` would begin the next one's round and that as a whole
    doesn't fit into what is left of the budget; None: it may begin.
    """
    if comparison.asked.budget_seconds is None or entry.rung is not None or entry.seed not in comparison.seeds:
        return None
    round_ = comparison.seeds.index(entry.seed)
    counting = [one.entry for one in outcomes.values() if one.entry.rung is None]
    if round_ == 0 or any(one.seed == entry.seed for one in counting):
        return None
    paces = _paces(comparison, outcomes)
    earlier = [one for one in due(comparison, outcomes) if one.rung is None and one.seed != entry.seed]
    open_ = [one for one in earlier if comparison.seeds.index(one.seed) < round_ and one.contestant in paces]
    rest = [max(0.0, paces[one.contestant].of(one.steps) - _spent(one, outcomes)) for one in open_]
    needed = _by_the_clock([*rest, *(one.of(entry.steps) for one in paces.values())], places)
    return round_ if needed > seconds_left(comparison, outcomes, places) else None


def _most_steps(comparison: Comparison, outcomes: Outcomes, places: Sequence[str | None]) -> int:
    asked, left = comparison.asked, seconds_left(comparison, outcomes, places)
    low, high = min(max(LEAST_STEPS, asked.trial_steps), asked.steps), asked.steps
    while low < high:
        middle = (low + high + 1) // 2
        if seconds_needed(comparison, outcomes, places, middle) <= left:
            low = middle
        else:
            high = middle - 1
    return low


def _paces(comparison: Comparison, outcomes: Outcomes) -> dict[str, Pace]:
    """Give the pace of each contestant that still takes part and has shown one: by its trainings that count, if some
    are done, else by its tries."""
    found = {}
    outcomes = Grouped(outcomes)
    for name in comparison.asked.contestants:
        mine = [one for one in outcomes.of(name) if one.state == "done"]
        counting = [one for one in mine if one.entry.rung is None]
        stays = out_of(name, comparison, outcomes) is None and failed_final(name, comparison, outcomes) is None
        if stays and mine:
            found[name] = _pace(counting) if counting else _pace_by_tries(mine, outcomes)
    return found


def _pace(done: Sequence[Outcome]) -> Pace:
    steps = sum(one.entry.steps for one in done)
    return Pace(
        step=sum(one.training_seconds for one in done) / max(1, steps),
        # The first entry of a worker loads libraries too; the middle one says what most take.
        entry=statistics.median(_beside(one) + _after(one) for one in done),
    )


def _pace_by_tries(done: Sequence[Outcome], outcomes: Outcomes) -> Pace:
    """Give the pace of trainings that count: they look more often, and general rows and answers are part of theirs."""
    look = max((one.judged.look_seconds for one in done if one.judged is not None), default=0.0)
    # Whoever's own rate blew up has no try that was judged so; what it took another says most then.
    whole = [one for one in done if _is_judged_whole(one)] or [*filter(_is_judged_whole, outcomes.values())] or done
    beside = statistics.median(_beside(one) for one in done)
    return Pace(_pace(done).step, beside + max(_after(one) for one in whole) + MORE_LOOKS * look)


def _beside(one: Outcome) -> float:
    """Give what an entry took beside its steps and its judging."""
    judging = 0.0 if one.judged is None else one.judged.seconds
    return max(0.0, one.wall_seconds - one.training_seconds - judging)


def _after(one: Outcome) -> float:
    return 0.0 if one.judged is None else one.judged.after_seconds


def _is_judged_whole(one: Outcome) -> bool:
    """Tell whether an entry was judged by more than the held-out rows' losses."""
    return one.judged is not None and (one.judged.after.general is not None or bool(one.judged.after.scores))


def _bases_again(outcomes: Outcomes, places: Sequence[str | None]) -> float:
    """Give what judging the base model takes once more, by the clock: a lane remembers only what it judged itself."""
    if _lanes(places) == 1:
        return 0.0
    return max((one.judged.before_seconds for one in outcomes.values() if one.judged is not None), default=0.0)


def _spent(entry: Entry, outcomes: Outcomes) -> float:
    return outcomes[entry.id].wall_seconds if entry.id in outcomes else 0.0


def _by_the_clock(seconds: Iterable[float], places: Sequence[str | None]) -> float:
    """Give when the last one ends where each begins in turn on the first GPU that is free."""
    ends = [0.0] * _lanes(places)
    for one in seconds:
        heapq.heapreplace(ends, ends[0] + one)
    return max(ends)


def _lanes(places: Sequence[str | None]) -> int:
    return max(1, len(places))
