"""What a run has come to, folded from its events: every viewer shows these same numbers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Literal, cast

import msgspec

from pegbox_methods.events import (
    AnyEvent,
    Checkpoint,
    CommandAnswer,
    Continued,
    Evaluation,
    Failed,
    Finished,
    Inspected,
    Joined,
    Load,
    Memory,
    Notice,
    Paused,
    Phase,
    Prepared,
    Queued,
    RankFailed,
    Ranks,
    Replanned,
    Restarting,
    Resumed,
    Sample,
    Started,
    Step,
    WorkerEnded,
    WorkerFailed,
)
from pegbox_runs.event_log import BadLine, EventReader
from pegbox_runs.over_processes import OverProcesses
from pegbox_runs.setbacks import AskedEnd, Setback, asked_end, setback
from pegbox_runs.step_sums import StepSplit, added, columns_of, highest, once, taken
from pegbox_runs.time_left import TimeLeft, time_left

Status = Literal["new", "queued", "running", "paused", "restarting", "finished", "stopped", "aborted", "failed", "lost"]
KEPT_REMARKS, KEPT_STEPS, KEPT_SETBACKS = 200, 20, 20
KEPT_LOADS = 24
"""Two minutes of them."""
ENDS: dict[str, Status] = {"completed": "finished", "stopped": "stopped", "aborted": "aborted"}
NEWEST: dict[type, str] = {Phase: "phase", Prepared: "prepared", Checkpoint: "checkpoint", Inspected: "inspected"}
NEWEST |= {Ranks: "ranks", WorkerFailed: "trouble", WorkerEnded: "worker_ended", Joined: "joined"}
"""Events of which the newest is kept, and as what."""

Remark = (
    Notice
    | CommandAnswer
    | BadLine
    | Resumed
    | Paused
    | Continued
    | Replanned
    | RankFailed
    | WorkerFailed
    | WorkerEnded
    | Restarting
    | Inspected
)
"""What is listed for people in the order in which it happened."""


class RunState(OverProcesses, frozen=True, kw_only=True):
    """One moment of a run. `after` gives the next; nothing here is ever changed in place."""

    status: Status = "new"
    started: Started | None = None
    phase: Phase | None = None
    prepared: Prepared | None = None
    step: Step | None = None
    """The newest one that was told; a run that went back to a checkpoint has done fewer: `steps_done`."""
    steps_done: int = 0
    recent: tuple[Step, ...] = ()
    """The newest 20: for means of a few, where one alone jumps about."""
    evaluations: tuple[Evaluation, ...] = ()
    samples: tuple[Sample, ...] = ()
    checkpoint: Checkpoint | None = None
    ranks: Ranks | None = None
    """Where the rank is, for methods that move it."""
    loads: tuple[Load, ...] = ()
    """What the device was doing of late: the newest 24."""
    most_memory_used: int = 0
    """Most bytes that the device was seen to hold, others' too; 0: its driver doesn't tell."""
    split: StepSplit = StepSplit()
    queued: Queued | None = None
    trouble: WorkerFailed | None = None
    """Why the newest worker that failed did."""
    worker_ended: WorkerEnded | None = None
    """How the newest worker that ended did."""
    replanned: tuple[Replanned, ...] = ()
    """What was changed on the way."""
    paused: Paused | None = None
    inspected: Inspected | None = None
    remarks: tuple[Remark, ...] = ()
    """The newest 200."""
    setbacks: tuple[Setback, ...] = ()
    """Workers that ended, and what they took with them: the newest 20."""
    asked_end: AskedEnd | None = None
    """The newest end that was asked for, kept when the run is continued."""
    answered: frozenset[str] = frozenset()
    """Ids of the commands that were answered."""
    bad_lines: int = 0
    tokens: int = 0
    """Tokens trained on so far, without padding."""
    padding: int = 0
    """Positions wasted on padding so far."""
    training_seconds: float = 0.0
    """Sum of the steps' seconds."""
    peak: Memory = Memory()
    """Only the two peaks are filled in."""
    ended: Finished | Failed | None = None
    first_time: float = 0.0
    last_time: float = 0.0
    last_seq: int = 0
    deleted: bool = False
    """Whether its folder went while it was watched."""

    def after(self, event: AnyEvent | BadLine) -> RunState:
        """Give the state once the event has happened. A line that is there twice happened once."""
        if isinstance(event, Step):
            return self.after_steps([event])
        if isinstance(event, BadLine):
            return msgspec.structs.replace(self, remarks=self._with_remark(event), bad_lines=self.bad_lines + 1)
        if 0 < event.seq <= self.last_seq:
            return self
        return msgspec.structs.replace(
            self,
            **self._changes(event),
            first_time=self.first_time or event.time,
            last_time=event.time,
            last_seq=event.seq,
        )

    def after_steps(self, steps: Sequence[Step]) -> RunState:
        """Give the state once these steps, one or more, have been taken; nearly all of a long log are steps."""
        if steps[0].seq <= self.last_seq or steps[-1].seq - steps[0].seq != len(steps) - 1:
            steps = once(steps, self.last_seq)
            if not steps:
                return self
        last, told = steps[-1], columns_of(steps)
        numbers, seconds, memory = told["step"], told["step_seconds"], told["memory"]
        figures = told["loss"], told["learning_rate"], told["tokens_per_second"], taken(memory), seconds
        return msgspec.structs.replace(
            self,
            step=last,
            steps_done=last.step,
            recent=(*self.recent, *steps[-KEPT_STEPS:])[-KEPT_STEPS:],
            curves=self.curves.after(numbers, *figures),
            norms=self.norms.after_told(numbers, told["gradient_norm"]),
            split=self.split.after(told["rows_seconds"], told["optimizer_seconds"], seconds),
            tokens=sum(told["tokens"], self.tokens),
            padding=sum(told["padding"], self.padding),
            training_seconds=added(self.training_seconds, seconds),
            peak=highest(self.peak, memory),
            mean_peak=self.mean_peak_after(told["across"]),
            first_time=self.first_time or steps[0].time,
            last_time=last.time,
            last_seq=last.seq,
        )

    def _changes(self, event: AnyEvent) -> dict[str, object]:
        changes = self._fields(event)
        if not isinstance(event, Remark) or (isinstance(event, RankFailed) and not event.first):
            return changes  # of thousands of processes, all lose the one that failed
        return {**changes, "remarks": self._with_remark(event)}

    def _fields(self, event: AnyEvent) -> dict[str, object]:
        if type(event) in NEWEST:
            return {NEWEST[type(event)]: event}
        match event:
            case Queued():
                return {"status": "queued", "queued": event, "ended": None}
            case Started():
                return {"status": "running", "started": event, "ended": None, "paused": None, "joined": None}
            case RankFailed():
                return {"losses": self.losses.after(event, self.started.attempt if self.started else 1)}
            case Resumed():
                return self._back_at(event)
            case Evaluation():
                return {"evaluations": (*self.evaluations, event), "peak": highest(self.peak, [event.memory])}
            case Sample():
                return {"samples": (*self.samples, event)}
            case Load():
                most = max(self.most_memory_used, event.memory_used or 0)
                return {"loads": (*self.loads[1 - KEPT_LOADS :], event), "most_memory_used": most}
            case CommandAnswer():
                return {"answered": self.answered | {event.id}}
            case Paused():
                return {"status": "paused", "paused": event}
            case Continued():
                return {"status": "running", "paused": None}
            case Replanned():
                return {"replanned": (*self.replanned, event)}
            case Restarting():
                return {"status": "restarting"}
            case Finished():
                return {"status": ENDS[event.reason], "ended": event, "asked_end": asked_end(self, event)}
            case Failed():
                return {"status": "failed", "ended": event}
        return {}

    def _back_at(self, event: Resumed) -> dict[str, object]:
        """Forget what was told of steps that are taken anew; what they needed of memory they needed."""
        begun = event.step > 0
        lost = setback(self, event)
        return {
            "setbacks": (*self.setbacks, lost)[-KEPT_SETBACKS:] if lost else self.setbacks,
            "steps_done": event.step,
            "recent": tuple(step for step in self.recent if step.step <= event.step),
            "curves": self.curves.until(event.step),
            "norms": self.norms.until(event.step),
            "evaluations": tuple(e for e in self.evaluations if begun and e.step <= event.step and not e.extra),
            "samples": tuple(s for s in self.samples if begun and s.step <= event.step),
            "checkpoint": self._checkpoint_at(event),
            "ranks": self.ranks if self.ranks and begun and self.ranks.step <= event.step else None,
            "tokens": event.tokens,
            "padding": event.padding,
            "training_seconds": event.training_seconds,
        }

    def _checkpoint_at(self, event: Resumed) -> Checkpoint | None:
        """Give the newest one that is of use: those behind the step that the run goes on from were passed over."""
        if event.folder is None or self.checkpoint is None or self.checkpoint.step <= event.step:
            return self.checkpoint if event.step > 0 else None
        return Checkpoint(step=event.step, folder=event.folder)

    def _with_remark(self, remark: Remark) -> tuple[Remark, ...]:
        return (*self.remarks[1 - KEPT_REMARKS :], remark)

    @property
    def load(self) -> Load | None:
        """What the device was doing last."""
        return self.loads[-1] if self.loads else None

    @property
    def over(self) -> bool:
        """Whether the run has told its end."""
        return self.ended is not None

    @property
    def padding_share(self) -> float:
        """Of all positions that went through the model in training, those that were padding."""
        return self.padding / max(self.tokens + self.padding, 1)

    @property
    def best_evaluation(self) -> Evaluation | None:
        """The lowest evaluation of the trained model."""
        return min((e for e in self.evaluations if e.step > 0), key=lambda e: e.loss, default=None)

    @property
    def untrained_evaluation(self) -> Evaluation | None:
        """The evaluation before the first step."""
        return next((e for e in self.evaluations if e.step == 0), None)

    @property
    def epochs(self) -> tuple[float, float] | None:
        """Epochs done, and those that the run will take in all; None before the first step."""
        if self.step is None or self.prepared is None or not self.steps_done:
            return None
        a_step = self.step.epoch / max(1, self.step.step)
        return self.steps_done * a_step, self.prepared.steps * a_step

    @property
    def seconds_left(self) -> float | None:
        """The likely one of `time_left`."""
        return None if (left := self.time_left) is None else left.likely

    @property
    def time_left(self) -> TimeLeft | None:
        """Seconds until the last step is evaluated and saved, with their range; None before the first step."""
        return time_left(self)


def fold(items: Sequence[AnyEvent | BadLine], state: RunState | None = None) -> RunState:
    """Apply events in order."""
    now = state or RunState()
    if items and [*map(type, items)].count(Step) == len(items):  # nearly all blocks of a long log
        return now.after_steps(cast(Sequence[Step], items))
    for kind, alike in groupby(items, type):
        if kind is Step:
            now = now.after_steps(cast(list[Step], list(alike)))
        else:
            for item in alike:
                now = now.after(item)
    return now


def catch_up(reader: EventReader, state: RunState) -> RunState:
    """Apply everything the log holds that the reader hasn't given yet."""
    for block in reader.new():
        state = fold(block, state)
    return state
