"""What is run next, decided from what has been: a pure function, so that nothing is run or counted twice.

The search for a learning rate is a successive halving: three rates around the recipe's own are tried for a short
while, the best two for twice as long, and the best of those is the contestant's. Every contestant gets the same tries.
Source: Jamieson and Talwalkar 2016, arXiv:1502.07943.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence

from pegbox_runs.arena.entries import Entry, Outcome
from pegbox_runs.arena.spec import Comparison
from pegbox_runs.judging.judged import RowLosses

FACTORS = (0.3, 1.0, 3.0)
"""Of the recipe's own learning rate: half an order of magnitude to either side."""
KEPT = 2
"""Rates that the second rung tries again, for twice as long."""
TRIAL_SHARE = len(FACTORS) + 2 * KEPT
"""What a search costs, in lengths of its shortest try."""
CHOICE_EVERY = 4
LEAST_ROWS_TO_PART = 40

Outcomes = Mapping[str, Outcome]
"""Entry's id -> what became of it."""
Turn = tuple[int, int, int, int]
"""Where an entry stands among those that are due: its phase, its seed's place, its contestant's place, and its number
among the tries of one rung.
"""


def due(comparison: Comparison, outcomes: Outcomes) -> list[Entry]:
    """Give every entry that could run now, those first that are wanted first.

    Tries come before trainings that count, and of those one seed of all contestants before the next seed, so that
    whenever it ends, it ends with what can be compared. What is done or failed isn't given again; what was stopped is.
    """
    return [entry for entry in entries_of(comparison, outcomes) if not _is_over(entry, outcomes)]


def entries_of(comparison: Comparison, outcomes: Outcomes) -> list[Entry]:
    """Give every entry that is known by now, done or not, in the order of `due`."""
    return [entry for _, entry in sorted(_wanted(comparison, outcomes), key=lambda one: one[0])]


def is_over(comparison: Comparison, outcomes: Outcomes) -> bool:
    """Tell whether nothing is left to run: all is done, or nobody takes part any more."""
    if due(comparison, outcomes):
        return False
    nobody = all(out_of(name, comparison, outcomes) is not None for name in comparison.asked.contestants)
    return nobody or comparison.steps is not None


def all_entries_count(comparison: Comparison) -> int:
    """Count the entries of a comparison in which nothing fails."""
    contestants = len(comparison.asked.contestants)
    tries = len(FACTORS) + KEPT if comparison.asked.search else _paces(comparison)
    return contestants * (tries + len(comparison.seeds))


def total_steps(contestants: int, seeds: int, steps: int, trial_steps: int, *, search: bool) -> int:
    """Count the optimizer steps of all entries."""
    return contestants * (seeds * steps + (TRIAL_SHARE * trial_steps if search else 0))


def trials_of(name: str, outcomes: Outcomes) -> list[Outcome]:
    """Give what became of a contestant's tries so far, in the order in which they were due."""
    found = [one for one in _own(name, outcomes) if one.entry.rung is not None]
    return sorted(found, key=lambda one: (one.entry.rung, one.entry.rate))


def finals_of(name: str, comparison: Comparison, outcomes: Outcomes) -> list[Outcome]:
    """Give what became of a contestant's trainings that count, in the order of the seeds."""
    order = {seed: place for place, seed in enumerate(comparison.seeds)}
    found = [one for one in _own(name, outcomes) if one.entry.rung is None]
    return sorted((one for one in found if one.entry.seed in order), key=lambda one: order[one.entry.seed])


def chosen_rate(name: str, comparison: Comparison, outcomes: Outcomes) -> float | None:
    """Give a contestant's learning rate; None: it isn't known yet, or none of its tries came to anything.

    Once a training that counts has begun with a rate, that is it.
    """
    begun = [one for one in finals_of(name, comparison, outcomes) if one.state != "new"]  # of those nothing is known
    if begun:
        return begun[0].entry.rate
    if not comparison.asked.search:
        return _own_rate(name, comparison)
    last = [one for one in trials_of(name, outcomes) if one.entry.rung == 1]
    if len(last) < min(KEPT, _alive(name, outcomes)) or not all(one.over for one in last):
        return None
    best = _best(last, 1)
    return best[0].entry.rate if best else None


def out_of(name: str, comparison: Comparison, outcomes: Outcomes) -> str | None:
    """Say why a contestant takes no further part, in the words of what failed; None: it does.

    One that has finished a training that counts isn't out by another that failed: see `failed_final`.
    """
    finals = finals_of(name, comparison, outcomes)
    if any(one.state == "done" for one in finals):
        return None
    for one in (*trials_of(name, outcomes), *finals):
        if takes_out(one):
            return one.why
    first = [one for one in trials_of(name, outcomes) if one.entry.rung == 0]
    last = [one for one in trials_of(name, outcomes) if one.entry.rung == 1]
    for tried, count in ((first, len(FACTORS)), (last, min(KEPT, _alive(name, outcomes)))):
        if comparison.asked.search and len(tried) == count > 0 and all(one.diverged for one in tried):
            return tried[0].why
    return None


def takes_out(outcome: Outcome) -> bool:
    """Tell whether a failure is the contestant's own: a try whose loss blew up only had a bad rate."""
    return outcome.state == "failed" and not (outcome.diverged and outcome.entry.rung is not None)


def failed_final(name: str, comparison: Comparison, outcomes: Outcomes) -> Outcome | None:
    """Give a contestant's first training that counts and failed: no further seed of it is run; None: none failed."""
    return next((one for one in finals_of(name, comparison, outcomes) if one.state == "failed"), None)


def choice_rows(rows: int, *, search: bool) -> frozenset[int]:
    """Give the places of the held-out rows that choose learning rates, and are left out of the verdict.

    Empty: no rate is chosen, or there are too few rows to part them; then all rows serve both.
    """
    if not search or rows < LEAST_ROWS_TO_PART:
        return frozenset()
    return frozenset(range(CHOICE_EVERY - 1, rows, CHOICE_EVERY))


def loss_of(losses: RowLosses, rows: Iterable[int] | None = None) -> float:
    """Give the loss per labelled token over some rows; None: over all."""
    places = range(len(losses.nats)) if rows is None else list(rows)
    return sum(losses.nats[place] for place in places) / max(1, sum(losses.tokens[place] for place in places))


def _own(name: str, outcomes: Outcomes) -> Iterable[Outcome]:
    if isinstance(outcomes, Grouped):
        return outcomes.of(name)
    return (one for one in outcomes.values() if one.entry.contestant == name)


def _is_over(entry: Entry, outcomes: Outcomes) -> bool:
    return entry.id in outcomes and outcomes[entry.id].over


def _wanted(comparison: Comparison, outcomes: Outcomes) -> Iterable[tuple[Turn, Entry]]:
    """Give every entry that is known, with its turn."""
    own = by_contestant(outcomes)
    for place, name in enumerate(comparison.asked.contestants):
        yield from wanted_of(name, place, comparison, own.get(name, {}))


class Grouped(dict[str, Outcome]):
    """Outcomes, with each contestant's own at hand for whoever asks for those again and again. They don't change."""

    def __init__(self, outcomes: Outcomes) -> None:
        super().__init__(outcomes)
        self._own = by_contestant(outcomes)

    def of(self, name: str) -> Collection[Outcome]:
        """Give those of one contestant."""
        return self._own.get(name, {}).values()


def by_contestant(outcomes: Outcomes) -> dict[str, dict[str, Outcome]]:
    """Part outcomes by whose they are."""
    found: dict[str, dict[str, Outcome]] = {}
    for id_, one in outcomes.items():
        found.setdefault(one.entry.contestant, {})[id_] = one
    return found


def wanted_of(name: str, place: int, comparison: Comparison, own: Outcomes) -> Iterable[tuple[Turn, Entry]]:
    """Give every entry of a contestant that is known, with its turn. `own`: its own outcomes, at least."""
    if out_of(name, comparison, own) is not None:
        return
    for number, entry in enumerate(_trials(name, comparison, own)):
        yield (entry.rung or 0, 0, place, number), entry
    rate = chosen_rate(name, comparison, own)
    if rate is None or comparison.steps is None:
        return
    ends = failed_final(name, comparison, own) is not None
    for round_, seed in enumerate(comparison.seeds):
        entry = Entry(contestant=name, seed=seed, steps=comparison.steps, rate=rate)
        if not ends or _is_over(entry, own):
            yield (2, round_, place, 0), entry


def _trials(name: str, comparison: Comparison, outcomes: Outcomes) -> Iterable[Entry]:
    asked = comparison.asked
    own = _own_rate(name, comparison)
    factors = FACTORS if asked.search else (1.0,) * _paces(comparison)
    first = [_trial(name, comparison, own if factor == 1.0 else _round(own * factor), 0) for factor in factors]
    yield from first
    known = [outcomes[entry.id] for entry in first if entry.id in outcomes]
    if asked.search and len(known) == len(first) and all(one.over for one in known):
        for one in _best(known, KEPT):
            yield _trial(name, comparison, one.entry.rate, 1)


def _round(rate: float) -> float:
    """Leave off what the multiplication added behind a rate's digits."""
    return float(f"{rate:.3g}")


def _trial(name: str, comparison: Comparison, rate: float, rung: int) -> Entry:
    asked = comparison.asked
    return Entry(contestant=name, seed=asked.seeds[0], steps=asked.trial_steps * 2**rung, rate=rate, rung=rung)


def _best(trials: Sequence[Outcome], count: int) -> list[Outcome]:
    """Give those of the lowest loss on the rows that choose; of two alike, the lower rate's. A blown-up one is none."""
    judged = [(one, one.judged.after.held_out) for one in trials if one.state == "done" and one.judged is not None]
    finite = [(loss, one) for one, rows in judged if math.isfinite(loss := _loss_to_choose_by(rows))]
    finite.sort(key=lambda pair: (pair[0], pair[1].entry.rate))
    return [one for _, one in finite[:count]]


def _loss_to_choose_by(losses: RowLosses) -> float:
    rows = choice_rows(len(losses.nats), search=True)
    return loss_of(losses, rows or None)


def _alive(name: str, outcomes: Outcomes) -> int:
    """Count the first tries that came to something."""
    first = [one for one in trials_of(name, outcomes) if one.entry.rung == 0]
    return sum(one.state == "done" for one in first)


def _own_rate(name: str, comparison: Comparison) -> float:
    rate = comparison.recipes[name].training.learning_rate
    if rate is None:
        raise ValueError(f"{name}'s recipe isn't complete: it has no learning rate")
    return rate


def _paces(comparison: Comparison) -> int:
    """Count the tries that are made only to learn the pace, where there is no search."""
    return 1 if comparison.asked.budget_seconds is not None else 0
