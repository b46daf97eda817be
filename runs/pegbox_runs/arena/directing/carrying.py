"""Carrying a comparison: what is due is given to whichever lane is free, until nothing is, or it shall end."""

from __future__ import annotations

import time
import traceback
from collections import Counter
from collections.abc import Callable
from queue import Empty, SimpleQueue

import msgspec
import psutil

from pegbox_methods.events import Failed, Finished, Notice
from pegbox_methods.refusal import Refusal
from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.arena.directing.entry_folder import Ground
from pegbox_runs.arena.directing.lanes import LEAVING_SECONDS, REMEDY, Carried, Lane, LaneSupply, Task, trouble
from pegbox_runs.arena.directing.life import comparison_ended, director_started, entry_begins
from pegbox_runs.arena.directing.purse import Purse
from pegbox_runs.arena.directing.records import Records, results_now
from pegbox_runs.arena.directing.wishes import Wishes
from pegbox_runs.arena.entries import Entry, Outcome
from pegbox_runs.arena.outcomes import OutcomeReader
from pegbox_runs.arena.schedule import due, is_over
from pegbox_runs.arena.spec import read_comparison
from pegbox_runs.supervision import replies
from pegbox_runs.supervision.ledger import Ledger
from pegbox_runs.supervision.mailbox import Mailbox
from pegbox_runs.supervision.owner import OwnerRecord, read_owner
from pegbox_runs.supervision.policy import RestartPolicy
from pegbox_runs.supervision.telling import conclude

POLL_SECONDS = 0.2
LOOK_SECONDS = 2.0
"""Between two looks for contestants that were added, while a lane is free."""
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
        self._comparison = read_comparison(folder)
        self._reader = OutcomeReader(folder)
        self._outcomes: dict[str, Outcome] = {}
        self._ledger = Ledger(folder)
        mailbox = Mailbox(folder.commands, self._ledger.answered)
        self._wishes = Wishes(self._ledger, mailbox, terminated)
        self._records = Records(folder, self._ledger.tell)
        self._purse = Purse(folder, self._ledger.tell)
        self._ground: Ground | None = None
        self._begun: Counter[str] = Counter()
        self._ran_on: dict[str, Lane] = {}
        self._trouble: Failed | None = None
        self._remarks: set[str] = set()
        self._news = True
        """Whether something came to its end since the last look."""
        self._look_at = 0.0
        self.completed = False
        """Whether nothing was left to run."""
        self._start(mailbox, adopting=adopting)
        self._done: SimpleQueue[Carried] = SimpleQueue()
        self._lanes = [self._lane(gpu, supply_for, restarts) for gpu in self._comparison.asked.gpus or (None,)]

    def work(self) -> bool:
        """Carry all that is due, until nothing is or it shall end. Returns: whether it ended well."""
        try:
            return self._work()
        except Exception as error:
            if self._busy:
                raise  # which is told by nobody better than by the director that a worker gets itself
            traceback.print_exc()
            self.completed = False
            self._trouble = trouble(error, "carrying the comparison")
            return self._end()

    def _work(self) -> bool:
        self._look()
        while True:
            self._wishes.heed(self._lanes, self._done_count)
            news = self._news
            if news or (len(self._busy) < len(self._lanes) and time.monotonic() >= self._look_at):
                self._fill()
            if not self._busy and (self.completed or self._wishes.ending or self._trouble):
                self._record(report=self._wishes.ending != "abort")
                if not self._is_more_due():
                    return self._end()
            elif news and self._outcomes:  # behind the filling, so that no lane waits for it
                self._record(report=False)
            self._collect()

    @property
    def _busy(self) -> list[Lane]:
        return [lane for lane in self._lanes if lane.entry is not None]

    @property
    def _done_count(self) -> int:
        return sum(one.state == "done" for one in self._outcomes.values())

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
        self._ledger.tell(director_started(self._folder.id, self._comparison, attempt))
        if adopting and before.status == "paused" and before.paused is not None:
            self._wishes.stay_paused(before.paused.memory, before.paused.step)

    def _look(self) -> None:
        """Read anew what is asked for and what has become of it."""
        self._look_at = time.monotonic() + LOOK_SECONDS
        try:
            self._comparison = read_comparison(self._folder)
            self._outcomes = self._reader.read(self._comparison)
        except (Refusal, OSError) as error:
            self._trouble = self._trouble or trouble(error, "reading the comparison")
        for id_, one in self._outcomes.items():
            if one.over:
                self._begun.pop(id_, None)  # it may be tried again, if somebody wants that
        for remark in self._reader.remarks:
            if remark not in self._remarks:
                self._remarks.add(remark)
                self._ledger.tell(Notice(text=remark, about="entries"))

    def _fill(self) -> None:
        """Give each free lane what is due; decide the pace where that is all that is missing."""
        again = True
        while again:
            self._look()
            self._news = False
            in_hand = {lane.entry.id for lane in self._lanes if lane.entry is not None}
            wanted = [entry for entry in due(self._comparison, self._outcomes) if entry.id not in in_hand]
            self.completed = not (wanted or in_hand) and is_over(self._comparison, self._outcomes)
            if self.completed or self._wishes.ending or self._trouble:
                return
            try:
                again = self._give_out(wanted) if wanted else not in_hand and self._set_pace()
            except (Refusal, OSError) as error:
                self._trouble = trouble(error, "seeing what is next")

    def _give_out(self, wanted: list[Entry]) -> bool:
        """Give entries to lanes that are free. Returns: whether other ones are due since. Raises: Refusal, OSError."""
        possible = [entry for entry in wanted if self._begun[entry.id] < MOST_BEGINS]
        left_running = {entry.id: owner for entry in possible if (owner := self._owner_of(entry)) is not None}
        for entry in sorted(possible, key=lambda one: one.id not in left_running):  # those first that nobody watches
            lane = self._lane_for(entry, left_running.get(entry.id))
            if lane is None or (self._wishes.paused and entry.id not in left_running):
                continue
            if self._purse.cut(entry, self._comparison, self._outcomes):
                return True
            self._give(lane, entry)
        if not possible and not self._busy:
            what = f"{wanted[0].id} was begun {MOST_BEGINS} times and never came to an end"
            self._trouble = Failed(what=what, where="carrying its entries", remedy=REMEDY, kind="error")
        return False

    def _give(self, lane: Lane, entry: Entry) -> None:
        recipe = self._comparison.recipes[entry.contestant]
        self._ground = self._ground or Ground(self._folder, recipe)
        again = self._begun[entry.id] > 0
        self._begun[entry.id] += 1
        self._ran_on[entry.id] = lane
        timed, paused = self._comparison.asked.budget_seconds is not None, self._wishes.paused is not None
        lane.give(Task(entry, recipe, self._ground, paused=paused, timed=timed, again=again))
        number = sum(one.over for one in self._outcomes.values()) + len(self._busy)
        self._ledger.tell(entry_begins(entry, self._comparison, number))

    def _lane_for(self, entry: Entry, owner: OwnerRecord | None) -> Lane | None:
        """Find a free lane: that in which the entry ran before, or that of the GPU on which it still runs."""
        free = [lane for lane in self._lanes if lane.entry is None]
        if entry.id in self._ran_on:
            return next((lane for lane in free if lane is self._ran_on[entry.id]), None)
        gpu = None if owner is None or owner.worker_pid is None else _gpu_of(owner.worker_pid)
        its_own = [lane for lane in self._lanes if lane.gpu is not None and lane.gpu == gpu]
        return next((lane for lane in free if not its_own or lane in its_own), None)

    def _owner_of(self, entry: Entry) -> OwnerRecord | None:
        """Find a worker that another director left behind; None: there is none."""
        if entry.id not in self._outcomes or self._outcomes[entry.id].state != "running":
            return None
        owner = read_owner(self._folder.entry(entry.id))
        return owner if owner is not None and owner.worker_lives else None

    def _set_pace(self) -> bool:
        self._purse.set_pace(self._comparison, self._outcomes)
        return True

    def _collect(self) -> None:
        """Wait for what comes to its end, for a moment at most."""
        try:
            carried = self._done.get(timeout=POLL_SECONDS)
        except Empty:
            return
        if carried.fault is not None:
            raise carried.fault  # its lane still has the entry in hand, and that a worker
        carried.lane.entry = None
        self._news = True
        self._trouble = self._trouble or carried.trouble or self._full_disk(carried.entry)

    def _full_disk(self, entry: Entry) -> Failed | None:
        """Give how an entry failed for want of room, as all others would too."""
        self._look()
        state = self._reader.state(entry.id)
        ended = None if state is None else state.ended
        if not isinstance(ended, Failed) or ended.kind != "disk":
            return None
        return msgspec.structs.replace(ended, where=f"{ended.where} of {entry.id}", remedy=f"Make room. {REMEDY}")

    def _record(self, *, report: bool) -> None:
        self._records.keep(
            lambda: results_now(
                self._folder,
                self._comparison,
                self._outcomes,
                device=self._reader.device,
                complete=self.completed,
                remarks=self._reader.remarks,
            ),
            report=report,
        )

    def _is_more_due(self) -> bool:
        """Look once more before the end is told: a contestant may have been added meanwhile."""
        if self.completed:
            self._fill()
        return bool(self._busy)

    def _end(self) -> bool:
        """Tell the end, and let the workers go."""
        if not self._folder.path.exists():
            return False  # somebody removed the comparison, and its workers with it
        end = comparison_ended(
            self._outcomes, completed=self.completed, asked=self._wishes.ending, trouble=self._trouble
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
        for lane in self._lanes:
            lane.leave()
        for lane in self._lanes:
            lane.join(max(0.0, deadline - time.monotonic()))


def _gpu_of(pid: int) -> str | None:
    """Read which GPU a worker was started for; None: it can't be read, or it was for none."""
    try:
        return psutil.Process(pid).environ().get("CUDA_VISIBLE_DEVICES")
    except (psutil.Error, OSError):
        return None
