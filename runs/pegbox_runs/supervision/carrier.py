"""Carrying one run: worker after worker, until it is over."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable
from typing import Literal

import msgspec

from pegbox_methods.events import Failed, Notice, Paused, Replanned, Restarting, WorkerEnded
from pegbox_methods.recipe import Recovery
from pegbox_methods.refusal import Refusal
from pegbox_runs import faults
from pegbox_runs.changes import Revision, add_revision, current_recipe
from pegbox_runs.commands import send
from pegbox_runs.faults import now, strike
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_state import RunState
from pegbox_runs.supervision import policy, replies
from pegbox_runs.supervision.attempts import Attempts
from pegbox_runs.supervision.ledger import Ledger
from pegbox_runs.supervision.mailbox import ABORT_SECONDS, Mailbox
from pegbox_runs.supervision.owner import Ownership
from pegbox_runs.supervision.policy import RestartPolicy
from pegbox_runs.supervision.telling import conclude, finished, started, where
from pegbox_runs.supervision.worker import FarSupply, Supply, Worker
from pegbox_runs.supervision.worker_process import WorkerProcess

WAKE_SECONDS = 0.5
FAR_WAKE_SECONDS = 1.0
"""Of workers on other machines, which nothing here wakes for, and of which one process may watch a thousand."""
NOTHING_LEFT = (
    "No setting is left that needs less at the same effective batch. Take a method that needs less (`pegbox advise` "
    "names some), a smaller model, a machine with more memory, or begin a new run with a lower training.length."
)

Wait = Callable[[float, Worker | None], bool]
"""Waits so long at most, less if the worker ends. Returns: whether this process was told to terminate."""


class Carrier:
    """One run in the hands of its owner."""

    def __init__(
        self, folder: RunFolder, ownership: Ownership, supply: Supply, wait: Wait, restarts: RestartPolicy
    ) -> None:
        self._folder = folder
        self._ownership = ownership
        self._supply = supply
        self._wait = wait
        self._policy = restarts
        self._ledger = Ledger(folder)
        self._mailbox = Mailbox(folder.commands, self._ledger.answered)
        self._terminated = False
        self._killed = False
        """Whether the newest worker was killed here, since it didn't heed an abort."""
        self.has_a_worker = False
        """Whether one lives that may write into the run's log."""
        self._recovery = Recovery()
        with contextlib.suppress(Refusal):  # told when a worker shall be started
            self._recovery = current_recipe(folder).recovery

    def begin(self) -> Worker:
        """Start the run, or go on with one that nobody carries; a worker of it that still lives is kept.

        Raises: Refusal, OSError: it can't be started.
        """
        strike("supervisor-start")
        worker = self._living_worker()
        if worker is not None:
            return worker
        attempts = self._ledger.attempts
        if attempts.attempt:
            self._folder.summary.unlink(missing_ok=True)  # of the end that it came to before
            replies.pass_over(self._ledger, self._mailbox)
        self._ledger.attempts = Attempts(attempt=attempts.attempt)  # a person's wish begins the counting anew
        return self._start()

    def adopt(self) -> Worker | None:
        """Go on where another supervisor was killed. Returns: the run's worker; None: the run is over."""
        strike("supervisor-start")
        worker = self._living_worker()
        attempts = self._ledger.attempts
        if worker is not None or attempts.over:
            return worker
        if attempts.restarting is not None or attempts.queued or attempts.attempt == 0:
            return self._start_again()
        return self._after(WorkerEnded(attempt=attempts.attempt, exit_code=None, signal=None))

    def carry(self, worker: Worker | None) -> RunState:
        """Watch workers and start the next ones until the run is over. Returns: what it came to."""
        while worker is not None:
            self.has_a_worker = True
            self._watch(worker)
            self.has_a_worker = False
            if not self._folder.path.exists():
                return self._ledger.state  # somebody removed the run, and its worker with it
            self._ledger.read()
            strike("worker-ended", step=self._ledger.state.steps_done)
            oom_killer, evidence = worker.killed_for_memory()
            code, name = worker.exit
            self._supply.finish(worker, self._folder)
            worker = self._after(
                WorkerEnded(
                    attempt=self._ledger.attempts.attempt,
                    exit_code=code,
                    signal=name,
                    oom_killer=oom_killer,
                    evidence=evidence,
                )
            )
        self._ledger.insist(time.sleep)
        for command in self._mailbox.unanswered(self._ledger.answered):
            self._ledger.tell(replies.too_late(command))
        return conclude(self._folder)

    def _living_worker(self) -> Worker | None:
        """Find the worker that a dead supervisor left: owner.json knew it first, the log still has it."""
        if isinstance(self._supply, FarSupply):
            return self._supply.left_behind(self._folder)
        former, told = self._ownership.former, self._ledger.state.started
        for pid, mark in (
            (former.worker_pid, former.worker_mark) if former else (None, None),
            (told.worker_pid, told.worker_mark) if told else (None, None),
        ):
            worker = WorkerProcess.adopt(pid, mark)
            if worker is not None:
                with contextlib.suppress(OSError):
                    self._ownership.tell_worker(worker.pid, worker.mark)
                return worker
        return None

    def _start(self) -> Worker:
        """Hand the run to the next worker.

        Raises: Refusal, OSError: nothing was started.
        """
        attempts = self._ledger.attempts
        recipe = current_recipe(self._folder)
        self._recovery = recipe.recovery
        worker = self._supply.next(self._folder)
        try:
            faults.begin(attempts.attempt + 1)
            strike("worker-start")
            self._ownership.tell_worker(worker.pid, worker.mark)
        except OSError:
            worker.dismiss()
            raise
        if attempts.asked == "stop":
            with contextlib.suppress(OSError):  # the worker that was asked died before it had saved
                send(self._folder.commands, "stop")
        self._ledger.tell(started(self._folder, recipe, worker, attempts.attempt + 1))
        self._mailbox.forget_aborts()
        worker.hand_over(self._folder)
        return worker

    def _start_again(self) -> Worker | None:
        try:
            return self._start()
        except (Refusal, OSError) as error:
            what = error.sentence if isinstance(error, Refusal) else f"no worker could be started: {error}"
            self._ledger.tell(
                Failed(
                    what=what,
                    where=where(self._ledger.state),
                    remedy="Then `pegbox resume` goes on from the last checkpoint.",
                    kind="refused" if isinstance(error, Refusal) else "error",
                )
            )
            return None

    def _watch(self, worker: Worker) -> None:
        """Wait until the worker is gone. It does what commands ask; only an abort that it doesn't heed is done here."""
        self._killed = False
        while not worker.gone:
            seconds = FAR_WAKE_SECONDS if isinstance(self._supply, FarSupply) else WAKE_SECONDS
            if self._wait(seconds, worker) and not self._terminated:
                self._terminated = True
                worker.send(signal.SIGTERM)
            self._mailbox.look()
            if self._mailbox.abort_is_due and not self._killed:
                self._killed = True
                worker.send(signal.SIGKILL)

    def _after(self, ended: WorkerEnded) -> Worker | None:
        """Do what comes after a worker's end. Returns: the next worker; None: the run is over."""
        ledger = self._ledger
        released = ledger.attempts.paused is not None and ledger.attempts.paused.memory == "released"
        if not ledger.attempts.over and not released and ledger.attempts.ended is None:
            ledger.tell(ended)
        if not ledger.attempts.over:
            for command in self._mailbox.unanswered(ledger.answered):
                if command.command == "abort":
                    ledger.tell(replies.aborted(command, killed_after=ABORT_SECONDS if self._killed else None))
                    self._mailbox.close(command)
        if self._terminated and not ledger.attempts.over:
            self._finish("stopped")  # it died before it could heed the signal
        decision = self._policy.decide(ledger.attempts, ended, self._recovery, where(ledger.state))
        match decision:
            case policy.Told():
                return None
            case policy.End(reason):
                ledger.tell(finished(reason, ledger.state))
                return None
            case policy.GiveUp(failed):
                ledger.tell(failed)
                return None
            case policy.Stay():
                return self._stay()
            case policy.Replan():
                return self._replan(decision)
            case policy.Again(why, seconds, left):
                return self._back_off(why, seconds, left)

    def _back_off(self, why: str, seconds: float, left: int) -> Worker | None:
        """Wait, heeding commands, and start the next worker."""
        attempt = self._ledger.attempts.attempt + 1
        self._ledger.tell(Restarting(attempt=attempt, why=why, after_seconds=seconds, left=left))
        strike("restarting")
        until = time.monotonic() + seconds
        while True:
            effect = self._heed("restarting", max(0.0, until - time.monotonic()))
            if effect == "pause":
                return self._stay()
            if effect in replies.ENDS:
                return None
            if time.monotonic() >= until:
                return self._start_again()

    def _stay(self) -> Worker | None:
        """Wait without a worker until the run is resumed or ended."""
        paused = self._ledger.attempts.paused
        if paused is None or paused.memory == "kept":
            self._ledger.tell(Paused(step=self._ledger.state.steps_done, memory="released"))
        while True:
            effect = self._heed("paused", WAKE_SECONDS)
            if effect == "resume":
                return self._start_again()
            if effect in replies.ENDS:
                return None

    def _heed(self, situation: replies.Situation, seconds: float) -> replies.Effect | None:
        """Answer commands, then wait if there were none that changed something. Returns: what is to be done."""
        for command in self._mailbox.unanswered(self._ledger.answered):
            event, effect = replies.reply(command, situation)
            self._ledger.tell(event)
            self._mailbox.close(command)
            if effect in replies.ENDS:
                self._finish(replies.ENDS[effect])
            if effect is not None:
                return effect
        if self._wait(min(seconds, WAKE_SECONDS), None):
            self._finish("stopped")
            return "stop"
        return None

    def _finish(self, reason: Literal["stopped", "aborted"]) -> None:
        self._ledger.tell(finished(reason, self._ledger.state))

    def _replan(self, decision: policy.Replan) -> Worker | None:
        """Change the recipe to one that needs less memory, or give up."""
        try:
            replanned = self._smaller()
        except Exception as error:  # noqa: BLE001  # a forecast that breaks must not take the run's end with it
            words = error.sentence if isinstance(error, Refusal) else f"{type(error).__name__}: {error}"
            self._ledger.tell(
                Notice(text=f"looking for settings that need less memory failed: {words}", about="replan")
            )
            self._ledger.tell(decision.otherwise)
            return None
        if replanned is None:
            others = "Close what else runs on this machine. " if decision.otherwise.kind == "host-memory" else ""
            self._ledger.tell(msgspec.structs.replace(decision.otherwise, remedy=others + NOTHING_LEFT))
            return None
        self._ledger.tell(replanned)
        return self._back_off(decision.why, 0.0, decision.left)

    def _smaller(self) -> Replanned | None:
        from pegbox_runs.replanning import replan  # brings the forecast with it

        state = self._ledger.state
        found = replan(current_recipe(self._folder), state)
        if found is None or not found.changes:
            return None
        step = state.steps_done
        add_revision(self._folder, Revision(time=now(), step=step, why="memory", changes=found.changes))
        return Replanned(step=step, why="memory", changes=found.changes, text=found.text)
