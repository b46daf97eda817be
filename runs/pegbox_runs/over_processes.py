"""What a run's state holds of the processes that carry it together: nothing, where one does."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pegbox_methods.events import AcrossRanks, Joined, Memory, RankFailed
from pegbox_runs.step_curves import StepCurves
from pegbox_runs.step_sums import highest

KEPT_LOSSES = 16
"""Of one worker's processes that failed: those that were the cause, and the first of the others."""


class RankLosses(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Which processes of a worker failed."""

    worker: int = 0
    """Which worker of the run it was, from 1; 0: no process has failed."""
    failed: tuple[RankFailed, ...] = ()
    """The causes first, then the others; 16 at most."""
    count: int = 0
    """All of them."""

    def after(self, event: RankFailed, worker: int) -> RankLosses:
        """Give them with one more; another worker's are begun anew."""
        if worker != self.worker:
            return RankLosses(worker=worker, failed=(event,), count=1)
        both = sorted((*self.failed, event), key=lambda one: not one.first)
        return RankLosses(worker=worker, failed=tuple(both[:KEPT_LOSSES]), count=self.count + 1)

    @property
    def cause(self) -> RankFailed | None:
        """The first that failed by itself; None: it isn't known."""
        return next((one for one in self.failed if one.first), None)


class OverProcesses(StepCurves, frozen=True, kw_only=True):
    """The part of a run's state that only several processes fill in."""

    joined: Joined | None = None
    """All of the newest worker's; None: it is alone, or they aren't all there yet."""
    losses: RankLosses = RankLosses()
    """Of the newest worker that lost any."""
    mean_peak: Memory = Memory()
    """As `peak`, which has the worst of the processes, but their mean. Only the two peaks are filled in."""

    @property
    def rank_failures(self) -> tuple[RankFailed, ...]:
        """Processes that failed, of the newest worker that lost any; the causes first."""
        return self.losses.failed

    def mean_peak_after(self, across: Sequence[AcrossRanks | None]) -> Memory:
        """Give it once more steps have told how their processes differ."""
        if across.count(None) == len(across):  # nearly all logs
            return self.mean_peak
        seen = [
            Memory(device_peak=one.device_peak_mean, process_peak=one.process_peak_mean)
            for one in across
            if one is not None
        ]
        return highest(self.mean_peak, seen)
