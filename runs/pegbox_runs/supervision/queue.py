"""The runs of one supervisor: one is carried, the others wait for it, each owned and each heeding its commands."""

from __future__ import annotations

import select
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pegbox_methods.events import Failed
from pegbox_methods.refusal import Refusal
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_state import RunState
from pegbox_runs.supervision import replies
from pegbox_runs.supervision.carrier import WAKE_SECONDS, Carrier
from pegbox_runs.supervision.intake import Intake
from pegbox_runs.supervision.ledger import Ledger
from pegbox_runs.supervision.mailbox import Mailbox
from pegbox_runs.supervision.owner import Ownership
from pegbox_runs.supervision.policy import RestartPolicy
from pegbox_runs.supervision.telling import conclude, finished, queued
from pegbox_runs.supervision.worker import Worker
from pegbox_runs.supervision.workers import WorkerSupply

CONTINUE = "`pegbox resume` goes on from the last checkpoint."


@dataclass
class Waiting:
    """A run that was taken and whose turn hasn't come."""

    folder: RunFolder
    ownership: Ownership
    mailbox: Mailbox
    place: int = 0
    """As it was told; 0: not yet."""


class Queue:
    """Works through runs until no more can come. One run's failure doesn't stop the next."""

    def __init__(
        self, intake: Intake, supply: WorkerSupply, restarts: RestartPolicy, *, adopting: bool = False
    ) -> None:
        self._intake = intake
        self._supply = supply
        self._restarts = restarts
        self._adopting = adopting
        self._waiting: deque[Waiting] = deque()
        self._carrying: Waiting | None = None
        self._terminated = False

    def terminate(self) -> None:
        """End the run in hand as after a `stop`, and those that wait; to be called from a signal's handler."""
        self._terminated = True

    def work(self) -> bool:
        """Carry every run that comes. Returns: whether all of them ended well."""
        well = True
        while (self._waiting or self._intake.open) and not self._terminated:
            if self._waiting:
                well = self._carry(self._waiting.popleft()) and well
            else:
                self.wait(WAKE_SECONDS, None)
        while self._waiting:
            self._end(self._waiting.popleft(), "stopped")
        self._supply.close()
        return well

    def wait(self, seconds: float, worker: Worker | None) -> bool:
        """Wait for a worker's end, for that long at most; take what comes meanwhile and see to the runs that wait.

        Returns: whether this process was told to terminate.
        """
        poller = select.poll()
        watched = (self._intake.descriptor, worker.descriptor if worker else None)
        for descriptor in watched:
            if descriptor is not None:
                poller.register(descriptor, select.POLLIN)
        if worker is not None and worker.descriptor is None and worker.gone:
            seconds = 0.0
        for descriptor, _ in poller.poll(1000 * seconds):
            if descriptor == self._intake.descriptor:
                for folder in self._intake.read():
                    self._take(folder)
        self._heed()
        return self._terminated

    def _take(self, folder: RunFolder) -> None:
        """Become the run's owner. It is answered for once it runs, or waits."""
        try:
            waiting = Waiting(folder, Ownership.take(folder), Mailbox(folder.commands))
        except Refusal as refusal:
            self._intake.answer(folder, refusal.sentence)
            return
        self._waiting.append(waiting)
        if self._carrying or len(self._waiting) > 1:
            replies.pass_over(Ledger(folder), waiting.mailbox)
            self._tell_places()
            self._intake.answer(folder)

    def _tell_places(self) -> None:
        """Tell each run that waits its place, if that changed; the first of all is no news if nothing runs."""
        for place, waiting in enumerate(self._waiting, start=1 if self._carrying else 0):
            if waiting.place != place and place:
                waiting.place = place
                Ledger(waiting.folder).tell(queued(place))
        if self._carrying:
            self._carrying.ownership.tell_waiting(waiting.folder for waiting in self._waiting)

    def _heed(self) -> None:
        """Answer what is asked of the runs that wait."""
        for waiting in list(self._waiting):
            if waiting.place:
                self._heed_one(waiting)

    def _heed_one(self, waiting: Waiting) -> None:
        if not waiting.mailbox.unanswered(()):
            return
        ledger = Ledger(waiting.folder)
        for command in waiting.mailbox.unanswered(ledger.answered):
            event, effect = replies.reply(command, "queued")
            ledger.tell(event)
            waiting.mailbox.close(command)
            if effect in replies.ENDS:
                self._waiting.remove(waiting)
                self._end(waiting, replies.ENDS[effect])
                self._tell_places()
                return

    def _carry(self, waiting: Waiting) -> bool:
        """Carry one run to its end. Returns: whether that was a good one."""
        self._carrying = waiting
        if self._adopting and waiting.ownership.former is not None:
            for path in waiting.ownership.former.waiting:
                self._take(RunFolder(Path(path)))
        self._tell_places()
        try:
            carrier = Carrier(waiting.folder, waiting.ownership, self._supply, self.wait, self._restarts)
            worker = carrier.adopt() if self._adopting else carrier.begin()
        except (Refusal, OSError) as error:
            self._refuse(waiting, error)
            return False
        else:
            if not waiting.place:
                self._intake.answer(waiting.folder)
            state = self._carried(carrier, worker, waiting.folder)
            waiting.ownership.release()
        finally:
            self._carrying = None
        return state.status in {"finished", "stopped"}

    def _carried(self, carrier: Carrier, worker: Worker | None, folder: RunFolder) -> RunState:
        try:
            return carrier.carry(worker)
        except Exception as error:
            if carrier.has_a_worker:
                raise  # which is told by nobody better than by the supervisor that the worker gets itself
            what = f"the supervisor failed: {type(error).__name__}: {error}"
            Ledger(folder).tell(Failed(what=what, where="between two workers", remedy=CONTINUE, kind="error"))
            return conclude(folder)

    def _refuse(self, waiting: Waiting, error: Refusal | OSError) -> None:
        """Say that a run can't begin: to whoever handed it over, or in its log if it was taken before."""
        what = error.sentence if isinstance(error, Refusal) else f"no worker could be started: {error}."
        if waiting.place:
            failed = Failed(what=what, where="starting", remedy=CONTINUE, kind="refused")
            Ledger(waiting.folder).tell(failed)
            conclude(waiting.folder)
        waiting.ownership.release()
        if not waiting.place:
            self._intake.answer(waiting.folder, what)

    def _end(self, waiting: Waiting, reason: Literal["stopped", "aborted"]) -> None:
        """End a run whose turn never came."""
        ledger = Ledger(waiting.folder)
        ledger.tell(finished(reason, ledger.state))
        conclude(waiting.folder)
        waiting.ownership.release()
