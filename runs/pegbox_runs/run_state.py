"""What a run has come to, folded from its events: every viewer shows these same numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from itertools import groupby
from operator import add
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
    Memory,
    Notice,
    Paused,
    Phase,
    Prepared,
    Queued,
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
from pegbox_runs.curve import Curve
from pegbox_runs.event_log import BadLine, EventReader

Status = Literal["new", "queued", "running", "paused", "restarting", "finished", "stopped", "aborted", "failed", "lost"]
KEPT_REMARKS = 200
ENDS: dict[str, Status] = {"completed": "finished", "stopped": "stopped", "aborted": "aborted"}

Remark = (
    Notice
    | CommandAnswer
    | BadLine
    | Resumed
    | Paused
    | Continued
    | Replanned
    | WorkerFailed
    | WorkerEnded
    | Restarting
    | Inspected
)
"""What is listed for people in the order in which it happened."""


class RunState(msgspec.Struct, frozen=True, kw_only=True):
    """One moment of a run. `after` gives the next; nothing here is ever changed in place."""

    status: Status = "new"
    started: Started | None = None
    phase: Phase | None = None
    prepared: Prepared | None = None
    step: Step | None = None
    """The newest one that was told; a run that went back to a checkpoint has done fewer: `steps_done`."""
    steps_done: int = 0
    loss: Curve = msgspec.field(default_factory=Curve)
    evaluations: tuple[Evaluation, ...] = ()
    samples: tuple[Sample, ...] = ()
    checkpoint: Checkpoint | None = None
    ranks: Ranks | None = None
    """Where the rank is, for methods that move it."""
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
            steps = _once(steps, self.last_seq)
            if not steps:
                return self
        last = steps[-1]
        return msgspec.structs.replace(
            self,
            step=last,
            steps_done=last.step,
            loss=self.loss.after([step.step for step in steps], [step.loss for step in steps]),
            tokens=sum([step.tokens for step in steps], self.tokens),
            padding=sum([step.padding for step in steps], self.padding),
            # Not sum(): from Python 3.12 on it would give other digits for other portions.
            training_seconds=reduce(add, [step.step_seconds for step in steps], self.training_seconds),
            peak=_highest(self.peak, [step.memory for step in steps]),
            first_time=self.first_time or steps[0].time,
            last_time=last.time,
            last_seq=last.seq,
        )

    def _changes(self, event: AnyEvent) -> dict[str, object]:
        changes = self._fields(event)
        return {**changes, "remarks": self._with_remark(event)} if isinstance(event, Remark) else changes

    def _fields(self, event: AnyEvent) -> dict[str, object]:
        match event:
            case Queued():
                return {"status": "queued", "queued": event, "ended": None}
            case Started():
                return {"status": "running", "started": event, "ended": None, "paused": None}
            case Resumed():
                return self._back_at(event)
            case Phase():
                return {"phase": event}
            case Prepared():
                return {"prepared": event}
            case Evaluation():
                return {"evaluations": (*self.evaluations, event), "peak": _highest(self.peak, [event.memory])}
            case Sample():
                return {"samples": (*self.samples, event)}
            case Checkpoint():
                return {"checkpoint": event}
            case Inspected():
                return {"inspected": event}
            case Ranks():
                return {"ranks": event}
            case CommandAnswer():
                return {"answered": self.answered | {event.id}}
            case Paused():
                return {"status": "paused", "paused": event}
            case Continued():
                return {"status": "running", "paused": None}
            case Replanned():
                return {"replanned": (*self.replanned, event)}
            case WorkerFailed():
                return {"trouble": event}
            case WorkerEnded():
                return {"worker_ended": event}
            case Restarting():
                return {"status": "restarting"}
            case Finished():
                return {"status": ENDS[event.reason], "ended": event}
            case Failed():
                return {"status": "failed", "ended": event}
        return {}

    def _back_at(self, event: Resumed) -> dict[str, object]:
        """Forget what was told of steps that are taken anew; what they needed of memory they needed."""
        begun = event.step > 0
        return {
            "steps_done": event.step,
            "loss": self.loss.until(event.step),
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
    def seconds_left(self) -> float | None:
        """Steps left times the mean seconds of a step, evaluations left out; None before the first step."""
        if self.prepared is None or self.over or not self.steps_done:
            return None
        return (self.prepared.steps - self.steps_done) * self.training_seconds / self.steps_done


def fold(items: Iterable[AnyEvent | BadLine], state: RunState | None = None) -> RunState:
    """Apply events in order."""
    now = state or RunState()
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


def _once(steps: Sequence[Step], last_seq: int) -> list[Step]:
    """Leave out the steps that are in the log twice: each number in it is larger than the one before."""
    new = []
    for step in steps:
        if not 0 < step.seq <= last_seq:
            new.append(step)
            last_seq = step.seq
    return new


def _highest(peak: Memory, seen: Sequence[Memory]) -> Memory:
    return Memory(
        device_peak=max([peak.device_peak or 0, *(memory.device_peak or 0 for memory in seen)]) or None,
        process_peak=max([peak.process_peak or 0, *(memory.process_peak or 0 for memory in seen)]) or None,
    )
