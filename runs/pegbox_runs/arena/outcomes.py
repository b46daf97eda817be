"""What became of each entry, read from the folders alone: nothing else is remembered, so nothing else can be lost."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pegbox_methods.events import Failed
from pegbox_methods.recipe import Recipe
from pegbox_methods.recipe_file import read_recipe
from pegbox_methods.refusal import Refusal
from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.arena.entries import Entry, EntryState, Outcome, entry_recipe
from pegbox_runs.arena.entry_log import EntryLog
from pegbox_runs.arena.file_marks import Mark, grew, is_whole, mark_of
from pegbox_runs.arena.schedule import FACTORS
from pegbox_runs.arena.spec import Comparison
from pegbox_runs.judging.judged import JUDGED, OncePerBase, read_judged
from pegbox_runs.printable import one_line
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_state import RunState, Status
from pegbox_runs.viewing import mark_lost

STATES: dict[Status, EntryState] = {
    "new": "new",
    "queued": "running",
    "running": "running",
    "paused": "running",
    "restarting": "running",
    "stopped": "stopped",
    "aborted": "stopped",
    "lost": "stopped",
    "failed": "failed",
}
_TRIAL = re.compile(r"trial-(\d+)-rate-")


def read_outcomes(folder: ComparisonFolder, comparison: Comparison) -> dict[str, Outcome]:
    """Read what became of every entry that has a folder, by the entry's id. Who asks again takes an OutcomeReader."""
    return OutcomeReader(folder).read(comparison)


class OutcomeReader:
    """Reads the same again and again for the price of what is new. For one thread."""

    def __init__(self, folder: ComparisonFolder) -> None:
        self._folder = folder
        self._place = os.fspath(folder.entries)
        self._names = folder.recipe.name, folder.events.name, JUDGED
        self._known: dict[str, _Known] = {}
        self._comparison: Comparison | None = None
        self._possible: dict[str, Entry] = {}
        self._once = OncePerBase()
        self.remarks: tuple[str, ...] = ()
        """What was found and belongs to no entry, for people."""

    def read(self, comparison: Comparison) -> dict[str, Outcome]:
        """Give what became of every entry that has a folder, by the entry's id."""
        possible = self._possible_of(comparison)
        known: dict[str, _Known] = {}
        remarks = []
        for name in sorted(_names(self._folder.entries)):
            if name in possible:
                known[name] = self._look_at(possible[name], self._known.get(name), comparison)
            else:
                remarks.append(f"entries/{one_line(name, 80)} is no entry of this comparison and was left out")
        self._known, self.remarks = known, tuple(remarks)
        return {name: one.outcome for name, one in known.items()}

    def read_one(self, entry: Entry, comparison: Comparison) -> Outcome | None:
        """Give what became of one entry, and keep what is known of all others; None: it has no folder."""
        known = self._known.pop(entry.id, None)
        possible = self._possible_of(comparison)
        if entry.id not in possible or not self._folder.entry(entry.id).path.is_dir():
            return None
        self._known[entry.id] = self._look_at(possible[entry.id], known, comparison)
        return self._known[entry.id].outcome

    def failed(self, id_: str) -> Failed | None:
        """Give how an entry failed, as it was read last; None: it didn't, or it can't be read."""
        known = self._known.get(id_)
        return None if known is None else known.failed

    @property
    def device(self) -> str | None:
        """Where the entries are trained, as torch names it; None: it isn't known yet."""
        return next((known.device for known in self._known.values() if known.device is not None), None)

    def _possible_of(self, comparison: Comparison) -> dict[str, Entry]:
        if comparison is not self._comparison:
            self._comparison, self._possible = comparison, possible_entries(comparison)
        return self._possible

    def _look_at(self, expected: Entry, known: _Known | None, comparison: Comparison) -> _Known:
        # A string: of ten thousand entries the making of their paths takes longer than the looks themselves.
        place = f"{self._place}/{expected.id}"
        mark = Mark(*(mark_of(f"{place}/{name}") for name in self._names))
        if known is not None and known.settled and known.mark == mark:
            return known
        folder = self._folder.entry(expected.id)
        log = known.log if known is not None and grew(known.mark, mark) else None
        log = EntryLog(folder) if log is None else log
        try:
            log.read()
        except OSError as error:
            return _damaged(mark, expected, f"its events.jsonl can't be read: {error.strerror}")
        if mark.events is None or (mark.events.size and not log.state.last_seq and is_whole(folder.events)):
            return _damaged(mark, expected, "its events.jsonl is gone, or no line of it tells an event of a run")
        if not log.state.last_seq:  # who finds it so makes it anew, whatever lies in it
            return _Known(mark, Outcome(entry=expected, state="new"), log, settled=False)
        try:
            read_before = known is not None and known.mark.recipe == mark.recipe
            entry = (known.entry if known is not None and read_before else None) or _entry(folder, expected, comparison)
        except Refusal as refusal:
            return _damaged(mark, expected, refusal.sentence)
        if entry.id != expected.id:
            return _damaged(mark, expected, f"its recipe.toml is that of {entry.id}")
        state, over = log.state, log.state.over
        return _Known(
            mark,
            outcome_of(entry, folder, log, self._once),
            None if over else log,  # many that are over take less room without; one that goes on is read anew
            entry,
            settled=over,
            device=state.prepared.device if state.prepared else None,
            failed=state.ended if isinstance(state.ended, Failed) else None,
        )


class _Known(NamedTuple):
    """What is kept of an entry between two looks."""

    mark: Mark
    outcome: Outcome
    log: EntryLog | None
    entry: Entry | None = None
    """As its own recipe has it; None: it wasn't read."""
    settled: bool = True
    """Whether only its files can change what became of it."""
    device: str | None = None
    """Where it is trained, as torch names it."""
    failed: Failed | None = None


def possible_entries(comparison: Comparison) -> dict[str, Entry]:
    """Name every entry that a comparison may ever have, by its id; a rate or a pace that isn't decided is a guess."""
    asked = comparison.asked
    rungs = (0, 1) if asked.search else () if asked.budget_seconds is None else (0,)
    found = []
    for name in asked.contestants:
        rate = comparison.recipes[name].training.learning_rate or 0.0
        steps = comparison.steps or asked.steps
        found += [Entry(contestant=name, seed=seed, steps=steps, rate=rate) for seed in asked.seeds]
        for rung in rungs:
            found += [
                Entry(
                    contestant=name,
                    seed=asked.seeds[0],
                    steps=asked.trial_steps * 2**rung,
                    rate=rate * factor,
                    rung=rung,
                )
                for factor in (FACTORS if asked.search else (1.0,))
            ]
    return {entry.id: entry for entry in found}


def entry_there(folder: RunFolder) -> Entry:
    """Read what an entry runs from its own recipe. Raises: Refusal: it can't be read."""
    return _entry_of(folder.id, read_recipe(folder.recipe))


def _entry_of(id_: str, recipe: Recipe) -> Entry:
    contestant, _, what = id_.partition(".")
    trial = _TRIAL.match(what)
    return Entry(
        contestant=contestant,
        seed=recipe.seeds.training,
        steps=recipe.training.max_steps or 0,
        rate=recipe.training.learning_rate or 0.0,
        rung=None if trial is None else int(trial[1]),
    )


def _entry(folder: RunFolder, expected: Entry, comparison: Comparison) -> Entry:
    """Read from its own recipe what an entry really ran. Raises: Refusal: that can't be, or it isn't what was asked."""
    recipe = read_recipe(folder.recipe)
    entry = _entry_of(folder.id, recipe)
    asked = entry_recipe(entry, comparison.recipes[expected.contestant])
    steps = expected.steps if entry.rung is not None or comparison.steps is not None else entry.steps
    there, wanted = _fixed(recipe), {**_fixed(asked), "training.max_steps": steps}
    differs = [key for key, value in wanted.items() if there[key] != value]
    if differs and entry.id == expected.id:
        verb = "differs" if len(differs) == 1 else "differ"
        raise Refusal(f"its recipe.toml isn't its contestant's: {', '.join(differs)} {verb}")
    return entry


def _fixed(recipe: Recipe) -> dict[str, object]:
    """Give what makes a training that of its contestant; how it fits into memory may change on the way."""
    training = recipe.training
    return {
        "rows": recipe.rows,
        "split": recipe.split,
        "model": recipe.model,
        "method": recipe.method,
        "training.max_steps": training.max_steps,
        "training.length": training.length,
        "the effective batch": training.micro_batch * training.accumulation,
    }


def outcome_of(entry: Entry, folder: RunFolder, log: EntryLog, once: OncePerBase | None = None) -> Outcome:
    """Say what an entry has come to, by what was read of its log and by what lies beside it.

    `once`: of all who are read together.
    """
    state = mark_lost(log.state, folder)
    judged = read_judged(folder.path) if state.status == "finished" else None
    judged = judged if judged is None or once is None else once(judged)
    ended = state.ended if isinstance(state.ended, Failed) else None
    came_to, why = _state(state, judged is not None)
    return Outcome(
        entry=entry,
        state=came_to,
        judged=judged,
        diverged=ended is not None and ended.kind == "diverged",
        why=why,
        out_of_memory=ended is not None and ended.kind in {"device-memory", "host-memory"},
        changed=tuple(one.text for one in state.replanned),
        device_peak=log.peak.device_peak,
        process_peak=log.peak.process_peak,
        training_seconds=state.training_seconds,
        wall_seconds=log.wall_seconds,
        tokens=state.tokens,
        trainable_weights=state.prepared.trainable_weights if state.prepared else None,
        adapter_bytes=_bytes(folder.adapter) if state.over else None,
        curve=tuple((one.step, one.loss) for one in state.evaluations),
    )


def _state(state: RunState, judged: bool) -> tuple[EntryState, str]:
    """Say what an entry has come to, and why where it has no result."""
    if state.status == "finished":
        return ("done", "") if judged else ("failed", f"it finished, and its {JUDGED} isn't there, or isn't whole")
    if not isinstance(state.ended, Failed):
        return STATES[state.status], ""
    # A full disk is nothing of the contestant's: it goes on from its checkpoint once there is room.
    return "stopped" if state.ended.kind == "disk" else "failed", state.ended.what


def _damaged(mark: Mark, expected: Entry, why: str) -> _Known:
    return _Known(mark, Outcome(entry=expected, state="failed", why=why), None, settled=False)


def _names(entries: Path) -> Iterator[str]:
    try:
        with os.scandir(entries) as found:
            yield from (one.name for one in found if one.is_dir() and not one.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return


def _bytes(adapter: Path) -> int | None:
    """Sum what a result takes on disk; None: there is none."""
    try:
        sizes = [path.stat().st_size for path in adapter.rglob("*") if path.is_file()]
    except OSError:
        return None
    return sum(sizes) if sizes else None
