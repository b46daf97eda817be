"""Carrying a comparison: what is due is given to whichever lane is free, until nothing is, or it shall end."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from queue import Empty, SimpleQueue

import msgspec
import psutil

from pegbox_methods.events import Failed, Finished
from pegbox_methods.refusal import Refusal
from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.arena.directing.entry_folder import Ground
from pegbox_runs.arena.directing.lane_pool import LanePool
from pegbox_runs.arena.directing.lanes import LEAVING_SECONDS, REMEDY, Carried, Lane, LaneSupply, Task, trouble
from pegbox_runs.arena.directing.life import comparison_ended, director_started, entry_begins
from pegbox_runs.arena.directing.outlook import Outlook
from pegbox_runs.arena.directing.purse import Purse
from pegbox_runs.arena.directing.records import Records, results_now
from pegbox_runs.arena.directing.wishes import Wishes
from pegbox_runs.arena.entries import Entry
from pegbox_runs.supervision import replies
from pegbox_runs.supervision.ledger import Ledger
from pegbox_runs.supervision.mailbox import Mailbox
from pegbox_runs.supervision.owner import OwnerRecord, read_owner
from pegbox_runs.supervision.policy import RestartPolicy
from pegbox_runs.supervision.telling import conclude

POLL_SECONDS = 0.2
MOST_BEGINS = 4
"""Of one entry by one process, whatever ended it: more might go on for ever."""

SupplyFor = Callable[[str | None], LaneSupply]
"""Gives a GPU's workers; None: of the one device that runs take by themselves."""


class Director:
    """One comparison, in the hands of the process that owns it."""

    def __init__(
        self,
        folder: ComparisonFolder,
        supply_for: SupplyFor,
        restarts: RestartPolicy,
        terminated: Callable[[], bool] = lambda: False,
        *,
        adopting: bool = False,
    ) -> None:
        """Begin, and tell so. `terminated`: whether this process was told to end; `adopting`: in a dead one's place.

        The entries are read by `work`: whoever waits for the comparison to be taken needn't wait for that.
        Raises: Refusal, OSError: the comparison can't be read.
        """
        self._folder = folder
        self._ledger = Ledger(folder)
        self._outlook = Outlook(folder, self._ledger.tell)
        self._line = self._outlook.line
        mailbox = Mailbox(folder.commands, self._ledger.answered)
        self._wishes = Wishes(self._ledger, mailbox, terminated)
        self._records = Records(folder, self._ledger.tell)
        self._purse = Purse(folder, self._ledger.tell)
        self._ground: Ground | None = None
        self._ran_on: dict[str, Lane] = {}
        self._trouble: Failed | None = None
        self._news = True
        """Whether something came to its end since the last look."""
        self.completed = False
        """Whether nothing was left to run."""
        self._start(mailbox, adopting=adopting)
        self._done: SimpleQueue[Carried] = SimpleQueue()
        self._lanes = LanePool(self._line.comparison.asked.places, lambda gpu: self._lane(gpu, supply_for, restarts))

    def work(self) -> bool:
        """Carry all that is due, until nothing is or it shall end. Returns: whether it ended well."""
        try:
            return self._work()
        except Exception as error:
            if self._lanes.busy:
                raise  # which is told by nobody better than by the director that a worker gets itself
            traceback.print_exc()
            self.completed = False
            self._trouble = trouble(error, "carrying the comparison")
            return self._end()

    def _work(self) -> bool:
        self._outlook.look()
        while True:
            self._wishes.heed(self._lanes.made, self._line.states["done"])
            news = self._news
            if news or (self._lanes.some_free and self._outlook.stale):
                self._fill()
            if not self._lanes.busy and (self.completed or self._wishes.ending or self._why_not):
                self._record(report=self._wishes.ending != "abort")
                if not self._is_more_due():
                    return self._end()
            elif (news or self._records.behind) and self._line.outcomes:  # behind the filling: no lane waits for it
                self._record(report=False)
            self._collect()

    @property
    def _why_not(self) -> Failed | None:
        """Why nothing more can be run."""
        return self._trouble or self._outlook.trouble

    def _lane(self, gpu: str | None, supply_for: SupplyFor, restarts: RestartPolicy) -> Lane:
        return Lane(
            self._folder, gpu, lambda: supply_for(gpu), restarts, self._done, lambda: self._wishes.paused == "released"
        )

    def _start(self, mailbox: Mailbox, *, adopting: bool) -> None:
        """Tell which process carries the comparison from now on."""
        before = self._ledger.state
        attempt = self._ledger.attempts.attempt + 1
        if attempt > 1:
            self._folder.summary.unlink(missing_ok=True)  # of the end that it came to before
        if not adopting:
            replies.pass_over(self._ledger, mailbox)
        self._ledger.tell(director_started(self._folder.id, self._line.comparison, attempt))
        if adopting and before.status == "paused" and before.paused is not None:
            self._wishes.stay_paused(before.paused.memory, before.paused.step)

    def _fill(self) -> None:
        """Give each free lane what is due; decide the pace where that is all that is missing."""
        if self._line.waits or self._lanes.busy:
            self._outlook.look_if_cheap()
        else:
            self._outlook.look()  # always before nothing is left
        again = True
        while again:
            self._news = False
            self.completed = not (self._line.waits or self._lanes.busy) and self._line.over
            if self.completed or self._wishes.ending or self._why_not:
                return
            try:
                again = self._give_out() if self._line.waits else not self._lanes.busy and self._set_pace()
            except (Refusal, OSError) as error:
                self._trouble = trouble(error, "seeing what is next")
                return
            if again:
                self._outlook.look()

    def _give_out(self) -> bool:
        """Give entries to lanes that are free. Returns: whether other ones are due since. Raises: Refusal, OSError."""
        left_running = {
            entry.id: (entry, owner)
            for entry in self._line.left_running
            if self._outlook.begun[entry.id] < MOST_BEGINS and (owner := self._owner_of(entry)) is not None
        }
        for entry, owner in left_running.values():  # first, since nobody watches them
            lane = self._lane_for(entry, owner)
            if lane is not None:
                if self._cuts(entry):
                    return True
                self._line.take_this(entry)
                self._give(lane, entry)
        while self._lanes.some_free and not self._wishes.paused:
            found = self._line.take(lambda entry: None if entry.id in left_running else self._lane_for(entry, None))
            if found is None:
                break
            entry, lane = found
            if self._cuts(entry):
                self._line.give_back(entry)
                return True
            self._give(lane, entry)
        if not self._lanes.busy and all(self._outlook.begun[entry.id] >= MOST_BEGINS for entry in self._line.waiting()):
            what = f"{next(self._line.waiting()).id} was begun {MOST_BEGINS} times and never came to an end"
            self._trouble = Failed(what=what, where="carrying its entries", remedy=REMEDY, kind="error")
        return False

    def _cuts(self, entry: Entry) -> bool:
        return self._purse.cut(entry, self._line.comparison, self._line.outcomes)

    def _give(self, lane: Lane, entry: Entry) -> None:
        comparison = self._line.comparison
        recipe = comparison.recipes[entry.contestant]
        self._ground = self._ground or Ground(self._folder, recipe)
        again = self._outlook.begun[entry.id] > 0
        self._outlook.begun[entry.id] += 1
        self._ran_on[entry.id] = lane
        timed, paused = comparison.asked.budget_seconds is not None, self._wishes.paused is not None
        self._lanes.hold(lane)
        lane.give(Task(entry, recipe, self._ground, paused=paused, timed=timed, again=again))
        self._ledger.tell(entry_begins(entry, comparison, self._line.over_count + self._lanes.busy))

    def _lane_for(self, entry: Entry, owner: OwnerRecord | None) -> Lane | None:
        """Find a free lane: that in which the entry ran before, or that of the GPU on which it still runs."""
        if self._outlook.begun[entry.id] >= MOST_BEGINS:
            return None
        before = self._ran_on.get(entry.id)
        if before is not None:
            return before if self._lanes.is_free(before) else None
        return self._lanes.first(None if owner is None or owner.worker_pid is None else _gpu_of(owner.worker_pid))

    def _owner_of(self, entry: Entry) -> OwnerRecord | None:
        """Find a worker that another director left behind; None: there is none."""
        owner = read_owner(self._folder.entry(entry.id))
        return owner if owner is not None and owner.worker_lives else None

    def _set_pace(self) -> bool:
        self._purse.set_pace(self._line.comparison, self._line.outcomes)
        return True

    def _collect(self) -> None:
        """Wait for what comes to its end, for a moment at most."""
        try:
            self._take_back(self._done.get(timeout=POLL_SECONDS))
            while True:
                self._take_back(self._done.get_nowait())
        except Empty:
            return

    def _take_back(self, carried: Carried) -> None:
        if carried.fault is not None:
            raise carried.fault  # its lane still has the entry in hand, and that a worker
        carried.lane.entry = None
        self._lanes.let_go(carried.lane)
        self._line.give_back(carried.entry)
        self._outlook.look_at_one(carried.entry)
        self._news = True
        self._trouble = self._trouble or carried.trouble or self._full_disk(carried.entry)

    def _full_disk(self, entry: Entry) -> Failed | None:
        """Give how an entry failed for want of room, as all others would too."""
        failed = self._outlook.reader.failed(entry.id)
        if failed is None or failed.kind != "disk":
            return None
        return msgspec.structs.replace(failed, where=f"{failed.where} of {entry.id}", remedy=f"Make room. {REMEDY}")

    def _record(self, *, report: bool) -> None:
        self._records.keep(
            lambda: results_now(
                self._folder,
                self._line.comparison,
                self._line.outcomes,
                device=self._outlook.reader.device,
                complete=self.completed,
                remarks=self._outlook.reader.remarks,
            ),
            report=report,
        )

    def _is_more_due(self) -> bool:
        """Look once more before the end is told: a contestant may have been added meanwhile."""
        if self.completed:
            self._fill()
        return bool(self._lanes.busy)

    def _end(self) -> bool:
        """Tell the end, and let the workers go."""
        if not self._folder.path.exists():
            return False  # somebody removed the comparison, and its workers with it
        end = comparison_ended(
            self._line.outcomes, completed=self.completed, asked=self._wishes.ending, trouble=self._why_not
        )
        self._ledger.tell(end)
        self._ledger.insist(time.sleep)
        self._wishes.refuse_rest()
        conclude(self._folder)
        self._let_go()
        return isinstance(end, Finished)

    def _let_go(self) -> None:
        """Let all lanes' workers end at once, and wait for that."""
        deadline = time.monotonic() + LEAVING_SECONDS
        for lane in self._lanes.made:
            lane.leave()
        for lane in self._lanes.made:
            lane.join(max(0.0, deadline - time.monotonic()))


def _gpu_of(pid: int) -> str | None:
    """Read which GPU a worker was started for; None: it can't be read, or it was for none."""
    try:
        return psutil.Process(pid).environ().get("CUDA_VISIBLE_DEVICES")
    except (psutil.Error, OSError):
        return None
