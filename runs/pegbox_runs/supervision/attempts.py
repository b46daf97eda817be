"""What the log tells of a run's workers so far, as far as the next decision depends on it."""

from __future__ import annotations

from typing import Literal

import msgspec

from pegbox_methods.events import (
    AnyEvent,
    Checkpoint,
    CommandAnswer,
    Continued,
    Failed,
    Finished,
    Paused,
    Queued,
    RankFailed,
    Restarting,
    Resumed,
    Started,
    Step,
    Trouble,
    WorkerEnded,
    WorkerFailed,
)
from pegbox_runs.event_log import BadLine

BY_HAND = {"SIGKILL", "SIGTERM", "SIGINT"}


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """Why a worker ended before its run did."""

    kind: Trouble
    what: str
    step: int
    """Steps that were done by then."""
    by_hand: bool = False
    """Whether it may have been killed from outside, which says nothing about the run."""
    taken: bool = False
    """Whether its place was taken from it: its node was lost, or its job ended before it did."""


class Attempts(msgspec.Struct, frozen=True, kw_only=True):
    """The newest worker, and what is remembered of those before it. A pure fold, as RunState is."""

    attempt: int = 0
    steps: int = 0
    """Steps done by the newest worker, those before its checkpoint too."""
    saved: int = 0
    """Step of the newest worker's furthest checkpoint."""
    saved_before: int = 0
    """The same of the workers before it."""
    trouble: WorkerFailed | None = None
    """What the newest worker told of its failure."""
    culprit: RankFailed | None = None
    """The one of its several processes that went wrong."""
    ended: WorkerEnded | None = None
    """What a supervisor told of its end."""
    paused: Paused | None = None
    asked: Literal["stop", "abort"] | None = None
    """What a person asked for, and was told yes."""
    over: bool = False
    left: int | None = None
    """Restarts that are left; None: none was needed yet."""
    before: Fault | None = None
    """Why the worker before this one ended."""
    restarting: Restarting | None = None
    """A next worker was announced and hasn't been started."""
    queued: bool = False
    """The run waits for its turn, whatever became of it before."""

    def after(self, event: AnyEvent | BadLine) -> Attempts:
        """Give what is known once the event has happened."""
        if isinstance(event, Step):
            return self if event.step <= self.steps else msgspec.structs.replace(self, steps=event.step)
        changes = self._changes(event)
        return msgspec.structs.replace(self, **changes) if changes else self

    def _changes(self, event: AnyEvent | BadLine) -> dict[str, object]:
        match event:
            case Started() if event.attempt == self.attempt and not self.over:
                return {}  # the line that this process wrote itself, read back
            case Started():
                same_series = self.restarting is not None or (self.paused is not None and not self.over)
                kept = self._kept() if same_series else {}
                return msgspec.structs.asdict(Attempts(attempt=event.attempt, **kept))  # type: ignore[arg-type]
            case Queued():
                return msgspec.structs.asdict(Attempts(attempt=self.attempt, queued=True))
            case Resumed():
                return {"steps": event.step}
            case Checkpoint():
                return {"saved": max(self.saved, event.step)}
            case WorkerFailed():
                return {"trouble": event}
            case RankFailed(first=True):
                return {"culprit": event}
            case WorkerEnded():
                return {"ended": event}
            case Restarting():
                return {"restarting": event, "left": event.left, "before": self.fault(self.ended)}
            case Paused():
                return {"paused": event}
            case Continued():
                return {"paused": None}
            case CommandAnswer(command="stop" | "abort", taken=True):
                return {"asked": event.command}
            case Finished() | Failed():
                return {"over": True}
        return {}

    def _kept(self) -> dict[str, object]:
        """Give what the next worker's beginning leaves as it is."""
        saved = max(self.saved, self.saved_before)
        return {"left": self.left, "before": self.before, "asked": self.asked, "saved_before": saved}

    def fault(self, ended: WorkerEnded | None) -> Fault:
        """Name why the newest worker ended: by its own word, else by how its process did."""
        if self.trouble is not None:
            steps = max(self.trouble.step, self.steps)
            killed = self.trouble.kind == "crash" and self.culprit is not None and self.culprit.signal in BY_HAND
            return Fault(kind=self.trouble.kind, what=self.trouble.what, step=steps, by_hand=killed)
        if ended is not None and ended.oom_killer:
            what = f"the kernel killed the worker for memory ({ended.evidence})"
            return Fault(kind="host-memory", what=what, step=self.steps)
        if ended is not None and ended.signal is not None:
            by_hand = ended.signal in BY_HAND
            return Fault(
                kind="crash", what=f"the worker was killed by {ended.signal}", step=self.steps, by_hand=by_hand
            )
        if ended is None or ended.exit_code is None:
            what = "the worker ended while no supervisor watched it, and told no reason"
            taken = ended is not None and bool(ended.evidence)
            if ended is not None and taken:
                what = f"the worker was lost: {ended.evidence}"  # with its node, as a rule
            return Fault(kind="crash", what=what, step=self.steps, by_hand=True, taken=taken)
        what = f"the worker ended with exit code {ended.exit_code} and told no reason"
        if ended.exit_code == 0:
            what = "the worker ended as it should, and the log couldn't take its last words (a full disk?)"
        return Fault(kind="crash", what=what, step=self.steps)
