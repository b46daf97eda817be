"""What happened to a run on its way, a sentence an event: for plain lines and the dashboard alike.

The sentences may hold what libraries or people wrote, as it is; whoever shows them makes them printable.
"""

from __future__ import annotations

from pegbox_methods.events import (
    AnyEvent,
    Checkpoint,
    CommandAnswer,
    Continued,
    Failed,
    Finished,
    Inspected,
    Notice,
    Paused,
    Queued,
    Replanned,
    Restarting,
    Resumed,
    WorkerEnded,
    WorkerFailed,
)
from pegbox_runs.event_log import BadLine
from pegbox_runs.figures import duration
from pegbox_runs.run_state import RunState

WHY_SAVED = {
    "asked": ", as it was asked for",
    "ending": "",
    "pause": " before the pause",
    "rescue": " by a worker that couldn't go on",
}


def sentence(event: AnyEvent | BadLine) -> str | None:
    """Tell one event that a person may want to know of; None: it is figures, or goes without saying."""
    match event:
        case Notice():
            return f"notice: {event.text}"
        case CommandAnswer():
            return f"{event.command}{'' if event.taken else ' refused'}: {event.text}"
        case BadLine():
            return f"notice: line {event.number} of the event log is damaged and left out ({event.reason})"
        case Checkpoint(reason="planned"):
            return None
        case Checkpoint():
            return f"checkpoint of step {event.step} written{WHY_SAVED[event.reason]}"
        case Inspected():
            return _inspected(event)
        case Queued():
            before = event.place - 1
            return (
                f"queued behind {before} other run{'s' if before > 1 else ''}" if before else "queued: it is the next"
            )
        case WorkerEnded():
            return _worker_ended(event)
        case Finished() | Failed():
            return _end(event)
    return _turn(event)


def how_to_go_on(run: str, state: RunState) -> str | None:
    """Say how a run that isn't carried any more is continued; None: it is done, or the same would come again."""
    if isinstance(state.ended, Failed):
        again = state.ended.kind not in {"refused", "diverged", "inspection"}
        if not again or "pegbox resume" in state.ended.remedy:
            return None
    elif state.status not in {"stopped", "aborted", "lost"}:
        return None
    saved = state.checkpoint
    where = f"from the checkpoint of step {saved.step}" if saved else "from its beginning, for want of a checkpoint"
    return f"`pegbox resume {run}` goes on {where}."


def _turn(event: AnyEvent) -> str | None:
    """Tell where the run took another way than straight on."""
    match event:
        case Resumed(step=0):
            return "goes on from the beginning: there is no good checkpoint"
        case Resumed():
            return f"goes on from the checkpoint of step {event.step}"
        case Paused(memory="kept"):
            return f"paused after step {event.step}, with its memory kept"
        case Paused():
            return f"paused after step {event.step}, with its memory released"
        case Continued():
            return f"goes on after a pause of {duration(event.seconds)}"
        case Replanned():
            why = "for memory" if event.why == "memory" else "as it was asked for"
            return f"changed after step {event.step} {why}: {event.text}"
        case WorkerFailed():
            return f"the worker couldn't go on while {event.where}: {event.what}"
        case Restarting():
            left = f"{event.left} more restart{'' if event.left == 1 else 's'}"
            return f"starts again in {duration(event.after_seconds)}, {left} left: {event.why}"
    return None


def _worker_ended(event: WorkerEnded) -> str | None:
    if event.oom_killer:
        return f"the kernel killed the worker for memory ({event.evidence})"
    if event.signal is not None:
        return f"the worker was killed by {event.signal}"
    return f"the worker ended with exit code {event.exit_code}" if event.exit_code not in {None, 0, 1} else None


def _end(event: Finished | Failed) -> str:
    if isinstance(event, Failed):
        return f"failed while {event.where}: {event.what}\n{event.remedy}"
    kept = f"; the adapter has the weights of step {event.kept_step}" if event.adapter else ""
    return f"{event.reason} after {event.steps} steps in {duration(event.seconds)}{kept}"


def _inspected(event: Inspected) -> str:
    odd = [f"{check.name}: {check.text}" for check in event.checks if check.verdict in {"unsure", "failed"}]
    passed = sum(check.verdict == "passed" for check in event.checks)
    said = "; ".join(odd) or f"{passed} check{'' if passed == 1 else 's'} passed"
    return f"looked at after step {event.step}: {said}"
