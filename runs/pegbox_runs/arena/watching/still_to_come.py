"""How long a comparison will still take, by what its entries have taken so far."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from pegbox_runs.arena.schedule import FACTORS, KEPT
from pegbox_runs.arena.spec import Comparison
from pegbox_runs.arena.watching.entry_watching import EntryNow
from pegbox_runs.time_left import TimeLeft

KNOWN_SPREAD, GUESSED_SPREAD = 0.15, 0.6
"""Share by which an entry's seconds may be off: of a contestant that was timed, and of one that wasn't yet."""


class _Pace(NamedTuple):
    step_seconds: float
    beside: float | None
    """Seconds of an entry outside its steps: loading, evaluating, judging. None: none has ended yet."""


def steps_to_come(entries: Sequence[EntryNow], comparison: Comparison) -> list[int]:
    """Give the steps of each entry of a contestant that nobody has begun yet, if nothing fails."""
    asked = comparison.asked
    seeds = {one.entry.seed for one in entries if one.entry.rung is None}
    steps = [comparison.steps or asked.steps for seed in comparison.seeds if seed not in seeds]
    if seeds:  # the tries are over once a training that counts has begun
        return steps
    for rung, count in enumerate(tries_of(comparison)):
        there = sum(one.entry.rung == rung for one in entries)
        steps += [asked.trial_steps * 2**rung] * max(0, count - there)
    return steps


def tries_of(comparison: Comparison) -> tuple[int, ...]:
    """Give how many tries a contestant has on each rung."""
    asked = comparison.asked
    if asked.search:
        return len(FACTORS), KEPT
    return () if asked.budget_seconds is None else (1,)


def time_left(contestants: Mapping[str, Sequence[EntryNow]], comparison: Comparison) -> TimeLeft | None:
    """Foretell it; None: nothing was timed yet. `contestants`: the entries of each that still takes part."""
    paces = {name: pace for name, entries in contestants.items() if (pace := _pace(entries)) is not None}
    if not paces:
        return None
    known = [one.beside for one in paces.values() if one.beside is not None]
    usual_beside = _mean(known)
    usual = _Pace(_mean(one.step_seconds for one in paces.values()), usual_beside)
    likely = low = high = 0.0
    for name, entries in contestants.items():
        pace, spread = paces.get(name, usual), KNOWN_SPREAD if name in paces else GUESSED_SPREAD
        beside = usual_beside if pace.beside is None else pace.beside
        for steps in steps_to_come(entries, comparison):
            seconds = steps * pace.step_seconds + beside
            likely, low, high = likely + seconds, low + seconds * (1 - spread), high + seconds * (1 + spread)
        for one in entries:
            if one.outcome.over:
                continue
            # Its own forecast knows nothing of the judging behind the last step; those that have ended do.
            spent = max(0.0, one.outcome.wall_seconds - one.outcome.training_seconds)
            seconds = max(0, one.entry.steps - one.steps_done) * pace.step_seconds + max(0.0, beside - spent)
            left = TimeLeft(likely=seconds, low=seconds * (1 - spread), high=seconds * (1 + spread))
            if one.left is not None:
                own = one.left
                left = TimeLeft(
                    likely=max(own.likely, seconds), low=max(own.low, left.low), high=max(own.high, left.high)
                )
            likely, low, high = likely + left.likely, low + left.low, high + left.high
    lanes = len(comparison.asked.places)
    return TimeLeft(likely=likely / lanes, low=low / lanes, high=high / lanes)


def _pace(entries: Sequence[EntryNow]) -> _Pace | None:
    """Give a contestant's own pace by the newest of its entries that were timed; None: none was."""
    timed = [one for one in entries if one.outcome.training_seconds > 0 and one.steps_done > 0]
    if not timed:
        return None
    step_seconds = _mean(one.outcome.training_seconds / one.steps_done for one in timed)
    ended = [one.outcome for one in timed if one.state == "done"]
    beside = [max(0.0, one.wall_seconds - one.training_seconds) for one in ended]
    return _Pace(step_seconds, _mean(beside) if beside else None)


def _mean(values: Iterable[float]) -> float:
    known = [*values]
    return sum(known) / len(known) if known else 0.0
