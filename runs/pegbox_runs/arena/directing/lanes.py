"""One GPU, or the processor, on which entries run in turn: a thread that carries one run at a time."""

from __future__ import annotations

import errno
import threading
import time
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import NamedTuple, Protocol

from pegbox_methods.events import Failed
from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal
from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.arena.directing.ears import Ears
from pegbox_runs.arena.directing.entry_folder import Ground, entry_folder
from pegbox_runs.arena.entries import Entry
from pegbox_runs.commands import send
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_state import RunState
from pegbox_runs.supervision.carrier import Carrier
from pegbox_runs.supervision.ledger import Ledger
from pegbox_runs.supervision.owner import Ownership
from pegbox_runs.supervision.policy import RestartPolicy
from pegbox_runs.supervision.telling import conclude
from pegbox_runs.supervision.worker import Supply, Worker
from pegbox_runs.viewing import state_of

LEAVING_SECONDS = 15.0
"""How long all lanes' idle workers together have to end."""
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG}
REMEDY = "Then `pegbox resume` goes on with what isn't done."


class LaneSupply(Supply, Protocol):
    """Where a lane's workers come from."""

    def close(self) -> None:
        """Let those end that have no run."""


class Task(NamedTuple):
    """An entry that shall run, or that another director left running."""

    entry: Entry
    recipe: Recipe
    """The contestant's."""
    ground: Ground
    paused: bool = False
    """Whether the comparison is: what was left paused stays so."""
    timed: bool = False
    """Whether there is a budget of seconds."""
    again: bool = False
    """Whether it ran in this process before: its log names a worker that may live, and works on others by now."""


class Carried(NamedTuple):
    """What came of a task. What became of its entry is in the entry's folder."""

    lane: Lane
    entry: Entry
    trouble: Failed | None = None
    """Why it couldn't be begun, which isn't its own fault."""
    fault: BaseException | None = None
    """What broke in the lane while a worker lived that nobody else here can watch."""


class Release(NamedTuple):
    """In a task's place: a worker that has nothing to do lets go of its memory."""


class Lane:
    """Carries entries one after another. Only `give`, `ask`, `release`, `leave` and `join` are for others, of one
    thread.
    """

    def __init__(
        self,
        folder: ComparisonFolder,
        gpu: str | None,
        supply: Callable[[], LaneSupply],
        restarts: RestartPolicy,
        done: SimpleQueue[Carried],
        released: Callable[[], bool] = lambda: False,
    ) -> None:
        """`gpu`: as CUDA_VISIBLE_DEVICES names it; `done`: where it is told what came of each task; `released`: whether
        the comparison is paused with its memory released.
        """
        self.gpu = gpu
        self.entry: Entry | None = None
        """What it has in hand; whoever gave it takes it away."""
        self._folder = folder
        self._supply_new, self._restarts, self._done, self._released = supply, restarts, done, released
        self._supply: LaneSupply | None = None
        self._tasks: SimpleQueue[Task | Release | None] = SimpleQueue()
        self._wishes: deque[str] = deque()
        self._ending = False
        self._terminated = False
        self._place: RunFolder | None = None
        self._ears = Ears()
        self._thread = threading.Thread(target=self._work, name=f"lane {gpu or 'alone'}", daemon=True)
        self._thread.start()

    def give(self, task: Task) -> None:
        """Let it carry an entry, and tell what came of it."""
        self._wishes.clear()
        self.entry = task.entry
        self._tasks.put(task)

    def ask(self, command: str) -> None:
        """Ask something of the run in hand; after a `stop` or an `abort` none is begun any more."""
        self._ending = self._ending or command in {"stop", "abort"}
        self._wishes.append(command)
        self._ears.wake()

    def release(self) -> None:
        """Let its worker end if it has nothing to do; the next task gets another."""
        self._tasks.put(Release())

    def leave(self) -> None:
        """Let it end, and its worker, without waiting for that."""
        self._tasks.put(None)

    def join(self, seconds: float) -> None:
        """Wait until it has ended, for that long at most."""
        self._thread.join(seconds)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            if isinstance(task, Task):
                try:
                    carried = Carried(self, task.entry, self._carry(task))
                except BaseException as error:  # noqa: BLE001  # the director decides
                    carried = Carried(self, task.entry, fault=error)
                self._place = None
                self._done.put(carried)
            if self._released():  # not any more, where it was resumed meanwhile
                self._close_supply()
        self._close_supply()

    def _close_supply(self) -> None:
        if self._supply is not None:
            self._supply.close()

    def _carry(self, task: Task) -> Failed | None:
        if self._ending:
            return None
        if self._supply is not None and task.again:
            self._supply.close()
            self._supply = None
        try:
            self._supply = self._supply or self._supply_new()
            place = entry_folder(self._folder, task.entry, task.recipe, task.ground, timed=task.timed)
            left_running, was_paused = _found(place)  # before this process owns it, and so carries it
            ownership = Ownership.take(place)
        except (OSError, Refusal, UnicodeError) as error:
            return trouble(error, f"beginning {task.entry.id}")
        self._place = place
        carrier = Carrier(place, ownership, self._supply, self._wait, self._restarts)
        if was_paused and not task.paused:
            self._wishes.append("resume")
        try:
            came_to = self._carried(place, carrier, left_running=left_running)
        except Exception as error:
            if carrier.has_a_worker:
                raise  # its owner is this process, until that is gone
            came_to = trouble(error, f"carrying {task.entry.id}")
        ownership.release()
        return came_to

    def _carried(self, place: RunFolder, carrier: Carrier, *, left_running: bool) -> Failed | None:
        """Carry a run to its end. Returns: why it couldn't be begun, if that isn't its own fault."""
        try:
            worker = carrier.adopt() if left_running else carrier.begin()
        except Refusal as refusal:
            ledger = Ledger(place)
            ledger.tell(Failed(what=refusal.sentence, where="starting", remedy="", kind="refused"))
            ledger.insist(time.sleep)
            conclude(place)
            return None
        except OSError as error:
            return trouble(error, f"starting a worker for {place.id}")
        carrier.carry(worker)
        return None

    def _wait(self, seconds: float, worker: Worker | None) -> bool:
        """Wait for a worker's end, for that long at most, and pass on what is asked meanwhile.

        Returns: whether the run shall end though it can't be told so.
        """
        if worker is not None and worker.descriptor is None and worker.gone:
            seconds = 0.0
        self._ears.wait(seconds, worker.descriptor if worker else None)
        while self._wishes and self._place is not None:
            command = self._wishes.popleft()
            try:
                send(self._place.commands, command)
            except OSError:
                self._terminated = self._terminated or command in {"stop", "abort"}
        return self._terminated


def _found(place: RunFolder) -> tuple[bool, bool]:
    """Tell how a run was found: left running, and paused. Its state isn't kept: a thousand lanes would hold as many."""
    state = state_of(place)
    return _was_left_running(state), state.status == "paused"


def _was_left_running(state: RunState) -> bool:
    """Tell whether a run that was due had a worker which outlived its director, and may have ended it since."""
    if isinstance(state.ended, Failed):
        return state.ended.kind != "disk"
    return state.status in {"running", "paused", "restarting", "finished"}


def trouble(error: Exception, where: str) -> Failed:
    """Say why a comparison can't go on just now, though nothing is wrong with its contestants."""
    cause = error.__cause__ if isinstance(error, Refusal) else error
    said = error.sentence if isinstance(error, Refusal) else f"{type(error).__name__}: {error}"
    if isinstance(cause, OSError) and cause.errno in FULL:
        return Failed(what=said, where=where, remedy=f"Make room, or the place writable. {REMEDY}", kind="disk")
    return Failed(what=said, where=where, remedy=f"Mend that. {REMEDY}", kind="error")
