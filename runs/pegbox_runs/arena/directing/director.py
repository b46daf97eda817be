"""The process that owns a comparison: carries its entries one by one until none is left, whatever was killed before.

Started as `python -P -m pegbox_runs.arena.directing.director`. It reads the folder from its standard input, a line,
and answers on its standard output whether it took it. With `--adopt` it takes the place of one that was killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Sequence

from pegbox_methods.refusal import Refusal
from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.arena.directing.carrying import Director, SupplyFor
from pegbox_runs.arena.directing.lanes import LaneSupply
from pegbox_runs.arena.outcomes import read_outcomes
from pegbox_runs.arena.schedule import due
from pegbox_runs.arena.spec import read_comparison
from pegbox_runs.launch import worker_environment
from pegbox_runs.supervision.intake import Intake
from pegbox_runs.supervision.owner import Ownership
from pegbox_runs.supervision.policy import RestartPolicy
from pegbox_runs.supervision.shared_worker import SharedWorkerSupply


def main(arguments: Sequence[str] = ()) -> int:
    """Carry the comparison that comes. Returns: 0 if it ended well."""
    return direct(Intake(), shared_workers, RestartPolicy(), adopting="--adopt" in arguments)


def direct(intake: Intake, supply_for: SupplyFor, restarts: RestartPolicy, *, adopting: bool = False) -> int:
    """Do what `main` does, with other workers and other waits."""
    terminated: list[bool] = []
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: terminated.append(True))
    os.umask(0o077)
    folder = _handed(intake)
    if folder is None:
        return 0
    answered = False
    while True:
        try:
            ownership = Ownership.take(folder)
        except Refusal as refusal:
            if not answered:
                intake.answer(folder, refusal.sentence)
            return 1  # behind the first time: who added something was quicker to start another
        try:
            supply = _supply_for(folder, supply_for)
            director = Director(folder, supply, restarts, lambda: bool(terminated), adopting=adopting)
        except (Refusal, OSError) as error:
            ownership.release()
            if not answered:
                intake.answer(folder, _refused(folder, error).sentence)
            return 1
        if not answered:
            answered = True
            intake.answer(folder)
            _print_into(folder)
        well = director.work()
        ownership.release()
        if not director.completed or not _is_something_due(folder):
            return 0 if well else 1
        adopting = False


def _refused(folder: ComparisonFolder, error: Refusal | OSError) -> Refusal:
    if isinstance(error, Refusal):
        return error
    return Refusal(
        f"comparison {folder.id} can't be read or written: {error.strerror or error}. Nothing was started; see to its "
        "place, then try again."
    )


def shared_workers(gpu: str | None) -> LaneSupply:
    """Give the workers of a lane: one process that takes run after run, on one GPU or on the device that runs get."""

    def environment() -> dict[str, str]:
        if gpu is None:
            return worker_environment()
        return {**worker_environment(one_gpu=False), "CUDA_VISIBLE_DEVICES": gpu}

    return SharedWorkerSupply(environment=environment)


def _supply_for(folder: ComparisonFolder, own: SupplyFor) -> SupplyFor:
    """Give where the workers come from: a cluster, or this machine. Raises: Refusal: the comparison can't be read."""
    comparison = read_comparison(folder)
    asked = comparison.asked
    if asked.on is None:
        return own
    from pegbox_runs.arena.fleet_share import wanted_of
    from pegbox_runs.fleet.remote_supply import Fleet

    fleet = Fleet(asked.on, wanted_of(asked, comparison.recipes))
    return lambda _: fleet.supply()


def _handed(intake: Intake) -> ComparisonFolder | None:
    """Wait for the comparison; None: whoever started this process went away without one."""
    while intake.open:
        for folder in intake.read():
            return ComparisonFolder(folder.path)
    return None


def _is_something_due(folder: ComparisonFolder) -> bool:
    """Look once more: whoever added a contestant while the end was written found this director alive."""
    try:
        comparison = read_comparison(folder)
        return bool(due(comparison, read_outcomes(folder, comparison)))
    except (Refusal, OSError):
        return False


def _print_into(folder: ComparisonFolder) -> None:
    """Send what is printed here, a traceback as it may be, to the comparison's log."""
    with contextlib.suppress(OSError):
        log = os.open(folder.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        for stream in (1, 2):
            os.dup2(log, stream)
        os.close(log)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
