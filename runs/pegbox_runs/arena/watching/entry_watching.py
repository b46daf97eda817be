"""One entry as it is seen from outside while it goes on: read as its log grows, and only then."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import msgspec

from pegbox_methods.events import Failed
from pegbox_methods.refusal import Refusal
from pegbox_runs.arena.entries import Entry, EntryState, Outcome
from pegbox_runs.arena.entry_log import EntryLog
from pegbox_runs.arena.outcomes import entry_there, outcome_of
from pegbox_runs.arena.results import SeedResult, Trial
from pegbox_runs.arena.schedule import choice_rows, loss_of
from pegbox_runs.arena.spec import Comparison
from pegbox_runs.judging.judged import RowLosses
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.time_left import TimeLeft


@dataclass(frozen=True)
class EntryNow:
    """What an entry has come to, and what it is at."""

    outcome: Outcome
    """Without `judged`: the loss below is made from it."""
    loss: float | None = None
    """Of one that is done: nats per token over the rows that count for it."""
    doing: str = ""
    """Of one that runs: its phase, or its status where that isn't `running`."""
    steps_done: int = 0
    training_loss: float | None = None
    """The newest step's."""
    left: TimeLeft | None = None
    """Until it ends, judging left out."""
    remedy: str = ""
    """Of what failed: what to do."""

    @property
    def entry(self) -> Entry:
        """What is run."""
        return self.outcome.entry

    @property
    def state(self) -> EntryState:
        """What became of it."""
        return self.outcome.state

    @property
    def share(self) -> float:
        """Of its steps, those that are done."""
        return min(1.0, self.steps_done / max(1, self.entry.steps))


class EntryWatch:
    """Follows the log of one entry."""

    def __init__(self, entry: Entry, folder: RunFolder, *, search: bool) -> None:
        self._folder, self._search = folder, search
        self._begin(entry)

    def _begin(self, entry: Entry) -> None:
        self._log = EntryLog(self._folder)
        self._size = -1
        self._read: Entry | None = None
        self.now = EntryNow(Outcome(entry=entry, state="new"))

    def look(self) -> bool:
        """Read what is new. Returns: whether anything is."""
        before = self.now
        try:
            size = self._folder.events.stat().st_size
            if size < self._size:  # it was thrown away, and is run anew
                self._begin(before.entry)
            if size != self._size or self._may_change():
                self._log.read()
                self._size = size
                self.now = self._told(outcome_of(self._entry(), self._folder, self._log))
        except FileNotFoundError:
            self._begin(before.entry)
        except OSError as error:
            self._size = -1
            why = f"its events.jsonl can't be read: {error.strerror}"
            self.now = EntryNow(Outcome(entry=before.entry, state="failed", why=why))
        return self.now != before

    def _entry(self) -> Entry:
        """Give what is run, by its own recipe once it has begun: until then its rate and steps are a guess."""
        if not self._read and self._log.state.last_seq:
            with contextlib.suppress(Refusal):  # the director tells what is wrong with it
                found = entry_there(self._folder)
                self._read = found if found.id == self.now.entry.id else None
        return self._read or self.now.entry

    def _may_change(self) -> bool:
        """Tell whether what lies beside the log can change it: the process may die, the judgement may come late."""
        late = self._log.state.status == "finished" and self.now.state == "failed"
        return self.now.state == "running" or late

    def _told(self, outcome: Outcome) -> EntryNow:
        state = self._log.state
        runs = outcome.state == "running"
        phase = state.phase.phase if state.phase else "starting"
        held_out = outcome.judged.after.held_out if outcome.judged else None
        return EntryNow(
            msgspec.structs.replace(outcome, judged=None),
            loss=_loss(held_out, outcome.entry, search=self._search) if held_out else None,
            doing="" if not runs else phase if state.status == "running" else state.status,
            steps_done=state.steps_done,
            training_loss=state.step.loss if state.step else None,
            left=state.time_left if runs else None,
            remedy=state.ended.remedy if isinstance(state.ended, Failed) else "",
        )


def of_seed(seed: SeedResult, name: str, steps: int, rate: float) -> EntryNow:
    """Take a training that is done as results.json tells it, without reading its log."""
    entry = Entry(contestant=name, seed=seed.seed, steps=steps, rate=rate)
    outcome = Outcome(
        entry=entry,
        state="done",
        changed=seed.changed,
        device_peak=seed.device_peak,
        process_peak=seed.process_peak,
        training_seconds=seed.training_seconds,
        wall_seconds=seed.wall_seconds,
        curve=seed.curve,
    )
    return EntryNow(outcome, loss=seed.loss, steps_done=steps)


def of_trial(trial: Trial, name: str, comparison: Comparison) -> EntryNow | None:
    """Take a try that came to a loss, as results.json tells it; None: its log must be looked at."""
    rung = (trial.steps // comparison.asked.trial_steps).bit_length() - 1
    if trial.loss is None or rung < 0:
        return None
    entry = Entry(contestant=name, seed=comparison.asked.seeds[0], steps=trial.steps, rate=trial.rate, rung=rung)
    return EntryNow(Outcome(entry=entry, state="done"), loss=trial.loss, steps_done=trial.steps)


def _loss(losses: RowLosses, entry: Entry, *, search: bool) -> float:
    """Give the loss over the rows that choose, for a try, or over those of the verdict."""
    choosing = choice_rows(len(losses.nats), search=search)
    if entry.rung is not None:
        return loss_of(losses, choosing or None)
    return loss_of(losses, [row for row in range(len(losses.nats)) if row not in choosing])
