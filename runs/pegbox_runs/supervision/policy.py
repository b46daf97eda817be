"""What comes after a worker's end: the end of the run, a pause, or another worker, and when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pegbox_methods.events import Failed, Trouble, WorkerEnded
from pegbox_methods.recipe import Recovery
from pegbox_runs.supervision.attempts import Attempts, Fault

NEVER_AGAIN: frozenset[Trouble] = frozenset({"refused", "diverged", "inspection"})
"""What the same recipe does each time."""
MEMORY: frozenset[Trouble] = frozenset({"device-memory", "host-memory"})
LESS_MEMORY = (
    "Lower training.micro_batch and raise training.accumulation by as much (the effective batch stays the same), set "
    "training.activation_checkpointing to 'on', or start a new run with a lower training.length."
)
READ_THE_LOG = "The end of worker.log in the run's folder says more."
ASK_THE_CLUSTER = "What the cluster itself logged of that job and its node says more."


@dataclass(frozen=True)
class Told:
    """The worker told the run's end itself."""


@dataclass(frozen=True)
class Stay:
    """The run is paused and has no worker; the next one is started when a person says so."""


@dataclass(frozen=True)
class End:
    """The run ends because a person asked for it."""

    reason: Literal["stopped", "aborted"]


@dataclass(frozen=True)
class GiveUp:
    """The run ends without its result."""

    failed: Failed


@dataclass(frozen=True)
class Again:
    """Another worker goes on from the last good checkpoint."""

    why: str
    after_seconds: float
    left: int


@dataclass(frozen=True)
class Replan:
    """Another worker goes on with settings that need less memory; if there are none, the run ends so."""

    why: str
    left: int
    otherwise: Failed


Decision = Told | Stay | End | GiveUp | Again | Replan


@dataclass(frozen=True)
class RestartPolicy:
    """When a worker is started again, and after how long: 1, 2, 4 seconds and so on."""

    first_wait_seconds: float = 1.0
    longest_wait_seconds: float = 60.0

    def decide(self, attempts: Attempts, ended: WorkerEnded, recovery: Recovery, where: str) -> Decision:
        """Decide what comes after the newest worker's end.

        `where`: in which phase it was, for people.
        """
        if attempts.over:
            return Told()
        if attempts.asked == "abort":
            return End("aborted")
        if attempts.paused is not None:
            return Stay()
        if attempts.asked == "stop" and attempts.steps == 0:
            return End("stopped")
        fault = attempts.fault(ended)
        # Once another worker may say how the run ended; a second one that can't would only do it all again.
        wordless = ended.exit_code == 0 and attempts.trouble is None
        if wordless and attempts.before is not None and attempts.before.what == fault.what:
            return GiveUp(_speechless(where))
        left = recovery.restarts if attempts.left is None else attempts.left
        if fault.kind in MEMORY:
            failed = _failed(attempts, ended, fault, where, LESS_MEMORY)
            return Replan(fault.what, left, failed) if recovery.out_of_memory == "replan" else GiveUp(failed)
        if fault.taken and attempts.saved > attempts.saved_before and recovery.restarts:
            # None of its own faults, so none of its restarts. That can't go on for ever: it comes further each time.
            return Again(fault.what, self.wait_seconds(0), left)
        hopeless = _hopeless(attempts, fault, recovery, left)
        if hopeless is not None:
            return GiveUp(_failed(attempts, ended, fault, where, hopeless))
        return Again(fault.what, self.wait_seconds(recovery.restarts - left), left - 1)

    def wait_seconds(self, restarts: int) -> float:
        """Give how long to wait after so many restarts."""
        return min(self.first_wait_seconds * 2.0 ** min(restarts, 30), self.longest_wait_seconds)


def _hopeless(attempts: Attempts, fault: Fault, recovery: Recovery, left: int) -> str | None:
    """Say why another worker would be of no use, in the remedy's words; None: it may be."""
    if fault.kind in NEVER_AGAIN:
        return ""
    if fault.kind == "disk":
        return "The command for that is `pegbox resume`."
    before = attempts.before
    same = before is not None and (before.kind, before.what) == (fault.kind, fault.what)
    if same and before is not None and fault.step <= before.step and not fault.by_hand:
        return "The same happened at the same step before, so it wasn't tried again."
    if left <= 0:
        again = f"It was started again {recovery.restarts} times" if recovery.restarts else "recovery.restarts is 0"
        unknown = fault.by_hand and not fault.taken
        hint = " If you didn't kill it, the kernel may have, for memory." if unknown else ""
        return f"{again}; `pegbox resume` goes on from the last checkpoint.{hint}"
    return None


def _speechless(where: str) -> Failed:
    """Say that two workers did all that they had to, and that nobody can know what."""
    return Failed(
        what="the worker ended as it should, but how the run ended couldn't be written into its log (a full disk?)",
        where=where,
        remedy=(
            "An adapter in the run's folder that is as new as this end is whole: it appears at once or not at all. "
            "Otherwise make room, and `pegbox resume` goes on from the last checkpoint."
        ),
        kind="disk",
        exit_code=0,
    )


def _failed(attempts: Attempts, ended: WorkerEnded, fault: Fault, where: str, last_words: str) -> Failed:
    told = attempts.trouble
    remedy = told.remedy if told else "" if fault.kind in MEMORY else ASK_THE_CLUSTER if fault.taken else READ_THE_LOG
    return Failed(
        what=fault.what,
        where=told.where if told else where,
        remedy=remedy if last_words in remedy else f"{remedy} {last_words}".strip(),
        kind=fault.kind,
        exit_code=ended.exit_code,
        signal=ended.signal,
    )
