"""Kill supervisors and workers of real runs with SIGKILL at random times, and count what was lost.

    OMP_NUM_THREADS=1 python -m tests.bench.kill_points --points 200 --seed 0

Each run is started, killed once or twice, and ended by whatever a user has: the restart policy, the supervisor that an
orphaned worker gets, or `pegbox resume` where both were killed. Then its curve and its adapter are compared with those
of a run that nobody touched.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from unittest import mock

from pegbox_methods.events import Resumed
from pegbox_methods.refusal import Refusal
from pegbox_runs.checkpoints import checkpoint_folders
from pegbox_runs.continuing import continue_run
from pegbox_runs.run_folder import RunFolder, discard
from pegbox_runs.run_state import RunState
from pegbox_runs.supervision.owner import read_owner
from pegbox_runs.viewing import state_of
from tests.commands import events_of
from tests.faults import runs
from tests.faults.forge import Forge

Victim = Literal["worker", "supervisor", "both"]
VICTIMS: tuple[Victim, ...] = ("worker", "worker", "supervisor", "both")
TWICE = 1 / 3
"""Share of the runs that are killed a second time."""
STEPS = {"training": {"max_steps": 10}, "evaluation": {"every": 3}}
POLL_SECONDS = 0.04


@dataclass(frozen=True)
class Untouched:
    """What every run must come to."""

    adapter: str
    curve: list[tuple[int, float]]
    checkpoints: dict[int, str]
    """Hash of the trained weights by step, of those that an untouched run was seen to write."""
    seconds: float
    """From the supervisor's receipt to the end."""


@dataclass
class Tally:
    """What was found."""

    points: int = 0
    runs: int = 0
    lost: int = 0
    corrupt_accepted: int = 0
    equal_adapters: int = 0
    equal_curves: int = 0
    by_victim: Counter[str] = field(default_factory=Counter)
    by_phase: Counter[str] = field(default_factory=Counter)
    ended_by: Counter[str] = field(default_factory=Counter)
    trouble: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether nothing was lost, and all came to the same."""
        whole = self.equal_adapters == self.equal_curves == self.runs
        return whole and not self.lost and not self.corrupt_accepted


class Watcher:
    """Looks at a run until it is over, and at every checkpoint that a worker goes on from."""

    def __init__(self, folder: RunFolder, untouched: Untouched) -> None:
        self._folder = folder
        self._untouched = untouched
        self._seen: set[int] = set()
        self.corrupt = 0
        self.by_hand = 0

    def look(self) -> RunState:
        """Look once; a checkpoint that was gone on from is compared while it still lies there."""
        for event in events_of(self._folder):
            if isinstance(event, Resumed) and event.folder and event.seq not in self._seen:
                self._seen.add(event.seq)
                found = _trained(self._folder.path / event.folder)
                self.corrupt += found is not None and found != self._untouched.checkpoints.get(event.step, found)
        return state_of(self._folder)

    def until(self, deadline: float) -> bool:
        """Look until then. Returns: whether the run was over before."""
        while time.monotonic() < deadline:
            if self.look().over:
                return True
            time.sleep(POLL_SECONDS)
        return False

    def await_end(self) -> RunState:
        """Look until the run is over, going on with it as a person would where nobody carries it."""
        deadline = time.monotonic() + runs.PATIENCE_SECONDS
        while time.monotonic() < deadline:
            state = self.look()
            if state.over:
                return state
            if state.status == "lost":
                with contextlib.suppress(Refusal), runs.forged():  # somebody was quicker
                    continue_run(self._folder)
                    self.by_hand += 1
            time.sleep(POLL_SECONDS)
        return state


def untouched_run() -> Untouched:
    """Carry a run that nobody kills, and keep what it came to."""
    folder = runs.make_run(**STEPS, output={"checkpoints": 10})
    runs.start(folder)
    began = time.monotonic()
    while not state_of(folder).over:
        time.sleep(POLL_SECONDS)
    seconds = time.monotonic() - began
    state = runs.await_end(folder)
    checkpoints = {step: _trained(path) or "" for step, path in checkpoint_folders(folder.checkpoints)}
    return Untouched(runs.adapter_hash(folder), list(state.loss), checkpoints, seconds)


def one_run(chance: random.Random, untouched: Untouched, kills: int, tally: Tally) -> None:
    """Carry one run that is killed so often."""
    folder = runs.make_run(**STEPS)
    watcher = Watcher(folder, untouched)
    runs.start(folder)
    for _ in range(kills):
        over = watcher.until(time.monotonic() + chance.uniform(0, untouched.seconds))
        victim, phase = chance.choice(VICTIMS), _phase(folder)
        if _kill(folder, victim):
            tally.points += 1
            tally.by_victim[victim] += 1
            tally.by_phase["telling its end" if over else phase] += 1
    state = watcher.await_end()
    tally.runs += 1
    tally.corrupt_accepted += watcher.corrupt
    tally.ended_by[_ended_by(folder, state, watcher)] += 1
    if state.status != "finished":
        tally.lost += 1
        tally.trouble.append(f"{folder.id}: {state.status}, {state.ended}")
        return
    equal = folder.adapter.is_dir() and runs.adapter_hash(folder) == untouched.adapter
    tally.equal_adapters += equal
    tally.equal_curves += list(state.loss) == untouched.curve
    if equal and list(state.loss) == untouched.curve:
        _await_owner_gone(folder)
        discard(folder)
    else:
        tally.trouble.append(f"{folder.path}: another adapter or curve")


def carry_out(points: int, seed: int) -> Tally:
    """Kill at so many points; the same seed kills at the same delays."""
    chance, tally = random.Random(seed), Tally()  # noqa: S311
    untouched = untouched_run()
    while tally.points < points:
        kills = min(2 if chance.random() < TWICE else 1, points - tally.points)
        one_run(chance, untouched, kills, tally)
        if sys.stderr.isatty():
            print(f"\r{tally.points} of {points}", end="", file=sys.stderr, flush=True)
    return tally


def report(tally: Tally) -> str:
    """Say it for people."""
    spread = [
        f"{title}: {', '.join(f'{name} {count}' for name, count in counts.most_common())}"
        for title, counts in (("killed", tally.by_victim), ("in phase", tally.by_phase), ("ended by", tally.ended_by))
    ]
    return "\n".join(
        [
            f"{tally.points} kill points in {tally.runs} runs",
            f"lost runs: {tally.lost}",
            f"corrupt checkpoints accepted: {tally.corrupt_accepted}",
            f"adapters equal to the untouched run's: {tally.equal_adapters} of {tally.runs}",
            f"curves equal to the untouched run's: {tally.equal_curves} of {tally.runs}",
            *spread,
            *tally.trouble,
        ]
    )


def _kill(folder: RunFolder, victim: Victim) -> bool:
    """Kill whoever of them lives. Returns: whether somebody did."""
    owner, killed = read_owner(folder), False
    if owner is None:
        return False
    if victim in ("supervisor", "both") and owner.lives:
        runs.kill(owner.pid)
        killed = True
    if victim in ("worker", "both") and owner.worker_pid is not None and _is_worker_of(owner.worker_pid, folder):
        runs.kill(owner.worker_pid)
        killed = True
    return killed


def _is_worker_of(pid: int, folder: RunFolder) -> bool:
    """Be sure that a process number still means the run's worker: it prints into the run's log."""
    try:
        return Path(f"/proc/{pid}/fd/1").readlink() == folder.log
    except OSError:
        return False


def _phase(folder: RunFolder) -> str:
    state = state_of(folder)
    if list(folder.checkpoints.glob(".*.part")):
        return "writing a checkpoint"
    if (folder.path / ".adapter.part").exists():
        return "writing the adapter"
    return state.status if state.status != "running" else state.phase.phase if state.phase else "starting"


def _ended_by(folder: RunFolder, state: RunState, watcher: Watcher) -> str:
    if watcher.by_hand:
        return "continued by hand"
    if state.started is not None and state.started.attempt > 1:
        return "restarted by the policy"
    return "its first worker"


def _await_owner_gone(folder: RunFolder) -> None:
    deadline = time.monotonic() + 10
    while runs.carried(folder) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def _trained(folder: Path) -> str | None:
    try:
        return hashlib.sha256((folder / "trained.safetensors").read_bytes()).hexdigest()
    except OSError:
        return None


def main() -> int:
    """Parse, carry out, report. Returns: 0 if nothing was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="pegbox-kill-points-"))
    with mock.patch.dict(os.environ, {"PEGBOX_HOME": str(place / "home"), "HF_HUB_OFFLINE": "1"}), Forge(place):
        tally = carry_out(asked.points, asked.seed)
    print(report(tally))
    return 0 if tally.clean else 1


if __name__ == "__main__":
    sys.exit(main())
