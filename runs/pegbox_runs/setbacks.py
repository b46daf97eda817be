"""What a run lost on its way: a worker that died, and the steps that are taken anew since."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from pegbox_methods.events import Finished, RankFailed, Resumed, WorkerEnded

if TYPE_CHECKING:
    from pegbox_runs.run_state import RunState


class AskedEnd(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An end that a person or the recipe asked for, which is no worker's death."""

    worker: int
    """Which worker of the run it ended, from 1."""
    reason: Literal["completed", "stopped", "aborted"]


class Setback(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a worker's end took with it, and where the next one went on. Kept as long as the run's log is."""

    worker: int
    """Which worker of the run it was, from 1."""
    ended: WorkerEnded | None
    """How its process ended; None: nobody saw it, as in a power cut."""
    step: int
    """The last step that it told."""
    back_to: int
    """The step after which the next one went on; 0: from the beginning."""
    asked: Literal["completed", "stopped", "aborted"] | None = None
    """How its end was asked for; None: it wasn't."""
    rank: RankFailed | None = None
    """Which of its several processes was the cause; None: there was one, or none is known to be."""

    @property
    def steps_anew(self) -> int:
        """How many steps are taken once more."""
        return self.step - self.back_to


def asked_end(state: RunState, event: Finished) -> AskedEnd | None:
    """Tell whose end it was; a worker that waits to be replaced had died before anybody asked."""
    if state.started is None or state.status == "restarting":
        return state.asked_end
    return AskedEnd(worker=state.started.attempt, reason=event.reason)


def setback(state: RunState, event: Resumed) -> Setback | None:
    """Find what a run has lost that goes on at a step; None: it ended or paused as it was asked to, with all saved."""
    worker = max((state.started.attempt if state.started else 2) - 1, 1)
    asked = state.asked_end.reason if state.asked_end is not None and state.asked_end.worker == worker else None
    ended = state.worker_ended
    if ended is not None and ended.attempt != worker:
        ended = None
    died = asked is None and ended is not None and (ended.signal is not None or ended.exit_code not in {None, 0})
    if state.steps_done <= event.step and not died:
        return None
    step = max(state.steps_done, event.step)
    rank = state.losses.cause if state.losses.worker == worker else None
    return Setback(worker=worker, ended=ended, step=step, back_to=event.step, asked=asked, rank=rank)
