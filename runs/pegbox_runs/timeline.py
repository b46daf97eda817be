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
    Joined,
    Notice,
    Paused,
    Queued,
    RankFailed,
    Replanned,
    Restarting,
    Resumed,
    WorkerEnded,
    WorkerFailed,
)
from pegbox_runs.event_log import BadLine
from pegbox_runs.figures import duration
from pegbox_runs.run_state import RunState
from pegbox_runs.setbacks import Setback
from pegbox_runs.together import failure_sentence, how_it_ended, joined_sentence, process_name

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
        case Joined():
            return joined_sentence(event)
        case RankFailed():
            return failure_sentence(event)
    return _turn(event)


def ending(state: RunState) -> str | None:
    """Tell how a run ended, with its whole time where several workers carried it; None: it has told no end."""
    end = state.ended
    if end is None:
        return None
    workers = state.started.attempt if state.started else 1
    if isinstance(end, Failed) or workers < 2:
        return _end(end)
    whole = duration(state.last_time - state.first_time)
    in_steps = f"{whole} in all with {workers} workers, {duration(end.seconds)} of it in these steps"
    return f"{end.reason} after {end.steps} steps: {in_steps}{_kept(end)}"


def setback_sentence(lost: Setback, *, names: bool = True) -> str:
    """Tell what a worker's end cost: it is told as long as the run is, whatever else happens.

    `names`: whether the machine of one of several processes is named.
    """
    how = _how(lost, names=names)
    how += f" at step {lost.step:,}" if lost.step else " before its first step"
    again = "begun again from step 0" if not lost.back_to else f"gone on from the checkpoint of step {lost.back_to:,}"
    anew = f"{lost.steps_anew:,} step{'s are' if lost.steps_anew > 1 else ' is'} taken anew"
    return f"worker {lost.worker} {how}; {again}" + (f": {anew}" if lost.steps_anew else "")


def _how(lost: Setback, *, names: bool) -> str:
    ended = lost.ended
    if lost.asked is not None:
        return "ended as it should" if lost.asked == "completed" else f"was {lost.asked}"
    if lost.rank is not None:
        return f"lost {process_name(lost.rank, names=names)}{how_it_ended(lost.rank)}"
    if ended is None:
        return "was lost"
    if ended.oom_killer:
        return "was killed by the kernel for memory"
    if ended.signal is not None:
        return f"was killed ({ended.signal})"
    return "couldn't go on" if ended.exit_code in {None, 0, 1} else f"ended with exit code {ended.exit_code}"


def how_to_go_on(run: str, state: RunState) -> str | None:
    """Say how a run that isn't carried any more is continued; None: it is done, or the same would come again."""
    if not can_go_on(state) or (isinstance(state.ended, Failed) and "pegbox resume" in state.ended.remedy):
        return None
    return f"`pegbox resume {run}` goes on {goes_on_from(state)}."


def what_next(run: str, state: RunState) -> str | None:
    """Say what can be done with what a run left; None: it left nothing, or goes on."""
    if state.deleted or not isinstance(state.ended, Finished) or not state.ended.adapter:
        return None
    return f"next: pegbox evaluate, chat or export {run}"


def can_go_on(state: RunState) -> bool:
    """Tell whether a run that isn't carried any more has something to go on with."""
    if state.deleted:
        return False
    if isinstance(state.ended, Failed):
        return state.ended.kind not in {"refused", "diverged", "inspection"}
    return state.status in {"stopped", "aborted", "lost"}


def goes_on_from(state: RunState) -> str:
    """Say where a run that is continued takes itself up."""
    saved = state.checkpoint
    return f"from the checkpoint of step {saved.step}" if saved else "from its beginning, for want of a checkpoint"


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
    return f"{event.reason} after {event.steps} steps in {duration(event.seconds)}{_kept(event)}"


def _kept(event: Finished) -> str:
    return f"; the adapter has the weights of step {event.kept_step}" if event.adapter else ""


def _inspected(event: Inspected) -> str:
    odd = [f"{check.name}: {check.text}" for check in event.checks if check.verdict in {"unsure", "failed"}]
    passed = sum(check.verdict == "passed" for check in event.checks)
    said = "; ".join(odd) or f"{passed} check{'' if passed == 1 else 's'} passed"
    return f"looked at after step {event.step}: {said}"
