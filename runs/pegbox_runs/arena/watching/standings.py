"""How the contestants of a comparison stand, put together from their entries and from results.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pegbox_runs.arena.results import ContestantResult, Results, Standing
from pegbox_runs.arena.schedule import out_of
from pegbox_runs.arena.spec import Comparison
from pegbox_runs.arena.watching.entry_watching import EntryNow, of_seed, of_trial
from pegbox_runs.arena.watching.still_to_come import steps_to_come, time_left
from pegbox_runs.run_state import RunState
from pegbox_runs.time_left import TimeLeft


@dataclass(frozen=True)
class Contestant:
    """How one contestant stands."""

    name: str
    method: str
    standing: Standing
    result: ContestantResult | None = None
    """What results.json says of it: of the entries that were done when it was written."""
    trials: tuple[EntryNow, ...] = ()
    """In the order in which they were due."""
    finals: tuple[EntryNow, ...] = ()
    """In the order of the seeds."""
    why: str = ""
    """Of what failed: its own words. They may hold anything."""
    remedy: str = ""
    out_of_memory: bool = False

    @property
    def lost_seeds(self) -> bool:
        """Whether a training that counts failed: no further seed of it is run."""
        return any(one.state == "failed" for one in self.finals)

    @property
    def running(self) -> EntryNow | None:
        """The entry that is being trained."""
        return next((one for one in (*self.finals, *self.trials) if one.state == "running"), None)

    @property
    def latest_loss(self) -> float | None:
        """The newest evaluation of its newest training that counts: all that is known before results are."""
        curves = [one.outcome.curve for one in self.finals if one.outcome.curve]
        return curves[-1][-1][1] if curves else None


@dataclass(frozen=True)
class Watched:
    """One moment of a comparison."""

    id: str
    state: RunState = field(default_factory=RunState)
    """The comparison's own: its status, its director, its commands' answers."""
    comparison: Comparison | None = None
    """None: it isn't read yet, or can't be: `fault` says why."""
    fault: str = ""
    contestants: tuple[Contestant, ...] = ()
    """In the order in which they were asked for."""
    results: Results | None = None
    done: int = 0
    """Entries that are over."""
    entries: int = 0
    """Entries in all, as far as is known: those of contestants that failed aren't run."""
    left: TimeLeft | None = None
    """Seconds; None: nothing was timed yet, or nothing is left."""
    share: float = 1.0
    """Of the entries' logs, those that are read. Below 1 only while they are read for the first time."""

    @property
    def over(self) -> bool:
        """Whether nothing more comes by itself."""
        return self.state.over or self.state.deleted or self.state.status == "lost"


def known_by_results(results: Results | None, comparison: Comparison) -> dict[str, EntryNow]:
    """Give the entries of which results.json says all that is asked here: their logs needn't be read."""
    found: dict[str, EntryNow] = {}
    for one in results.contestants if results else ():
        if one.name not in comparison.asked.contestants:
            continue
        steps = results.steps if results and results.steps else comparison.asked.steps
        entries = [of_seed(seed, one.name, steps, one.rate or 0.0) for seed in one.seeds]
        entries += [entry for trial in one.trials if (entry := of_trial(trial, one.name, comparison)) is not None]
        found |= {entry.entry.id: entry for entry in entries}
    return found


def told(
    id_: str,
    state: RunState,
    comparison: Comparison | None,
    results: Results | None,
    entries: Mapping[str, EntryNow],
    fault: str = "",
    share: float = 1.0,
) -> Watched:
    """Put together what was read."""
    if comparison is None:
        return Watched(id=id_, state=state, fault=fault, share=share)
    own: dict[str, list[EntryNow]] = {name: [] for name in comparison.asked.contestants}
    for one in entries.values():
        own[one.entry.contestant].append(one)
    by_name = {one.name: one for one in results.contestants} if results else {}
    contestants = tuple(
        contestant(name, found, by_name.get(name), comparison, share=share) for name, found in own.items()
    )
    part = {one.name: own[one.name] for one in contestants if one.standing != "failed" and not one.lost_seeds}
    done = sum(one.outcome.over for one in entries.values())
    to_come = sum(len(steps_to_come(found, comparison)) for found in part.values())
    unfinished = sum(not one.outcome.over for found in part.values() for one in found)
    over = state.over or state.status == "lost" or state.deleted
    return Watched(
        id=id_,
        state=state,
        comparison=comparison,
        fault=fault,
        contestants=contestants,
        results=results,
        done=done,
        entries=done + unfinished + to_come,
        left=None if over or share < 1.0 or not (unfinished or to_come) else time_left(part, comparison),
        share=share,
    )


def contestant(
    name: str, entries: Sequence[EntryNow], result: ContestantResult | None, comparison: Comparison, *, share: float
) -> Contestant:
    """Say how a contestant stands by its entries; while they aren't all read, by results.json too."""
    order = {seed: place for place, seed in enumerate(comparison.seeds)}
    finals = sorted(
        (one for one in entries if one.entry.rung is None and one.entry.seed in order),
        key=lambda one: order[one.entry.seed],
    )
    trials = sorted((one for one in entries if one.entry.rung is not None), key=lambda one: one.entry.id)
    why = out_of(name, comparison, {one.entry.id: one.outcome for one in entries})
    failed = next((one for one in (*trials, *finals) if one.state == "failed" and one.outcome.why == why), None)
    standing = _standing(finals, trials, comparison)
    if why is not None:
        standing = "failed"
    elif share < 1.0 and result is not None and standing == "waiting":
        standing, why = result.standing, result.why
    return Contestant(
        name=name,
        method=comparison.recipes[name].method.name,
        standing=standing,
        result=result,
        trials=tuple(trials),
        finals=tuple(finals),
        why=(why or "") if standing == "failed" else "",
        remedy=failed.remedy if failed else "",
        out_of_memory=failed.outcome.out_of_memory if failed else bool(result and result.out_of_memory),
    )


def _standing(finals: Sequence[EntryNow], trials: Sequence[EntryNow], comparison: Comparison) -> Standing:
    done = sum(one.state == "done" for one in finals)
    if done == len(comparison.seeds):
        return "done"
    if any(one.state == "running" for one in (*finals, *trials)):
        return "running"
    return "part" if done else "waiting"
