"""A launcher and the processes that it started, as the one process that watches over them holds them."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable
from typing import NamedTuple

import psutil

from pegbox_runs.crew.launching import Launch, command, environment, write_config
from pegbox_runs.crew.rank_files import LAUNCHER
from pegbox_runs.printable import one_line
from pegbox_runs.process_bonds import end_with_parent, take_orphans
from pegbox_runs.process_mark import process_mark
from pegbox_runs.run_folder import RunFolder

DYING_SECONDS = 30.0
"""How long processes that were killed may take to be gone: one in the midst of a disk's or a driver's work does."""
SPEAKING_SECONDS = 10.0
"""How long a launcher may take for its last words, once its processes are gone."""
MOST_BYTES = 2**18
"""Of what the launcher printed last, which is looked at."""
FIRST = re.compile(rb"failed \(exitcode: (-?\d+)\) local_rank: (\d+) \(pid: (\d+)\)")
TABLE = re.compile(rb"rank +: (\d+) \(local_rank: (\d+)\)\s+exitcode +: (-?\d+)[^\n]*?\(pid: (\d+)\)")
"""What torch prints of processes that failed, the first one at once.

Source: torch/distributed/elastic/multiprocessing/api.py, errors/__init__.py (_FAILURE_FORMAT_TEMPLATE).
"""


class RankExit(NamedTuple):
    """How one process ended, by the launcher's word."""

    rank: int
    pid: int
    code: int
    """Negative: the signal's number."""


class Launched:
    """A launcher that lives, or did. What it started ends with it, and it with this process, as far as the system can.

    To be started by a thread that lives as long as the launcher shall: the kernel takes that thread's end for ours.
    """

    def __init__(self, launch: Launch, process: subprocess.Popen[bytes], mark: str, begins: int) -> None:
        self.launch = launch
        self._process = process
        self._mark = mark
        """Of this launcher, in the environment of all that it starts."""
        self._known: set[psutil.Process] = set()
        self._log, self._begins = RunFolder(launch.folder).log, begins

    @classmethod
    def start(cls, launch: Launch) -> Launched:
        """Write the launcher's configuration and start it; it prints into the log in the launch's folder.

        Raises: OSError: it can't be started.
        """
        write_config(launch)
        take_orphans()  # what the launcher leaves behind stays below this process
        mark = f"{os.getpid()}-{time.monotonic_ns()}"
        with RunFolder(launch.folder).log.open("ab") as output:
            process = subprocess.Popen(
                command(launch),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**environment(launch), LAUNCHER: mark},
                start_new_session=True,
                preexec_fn=end_with_parent if sys.platform.startswith("linux") else None,
            )
            return cls(launch, process, mark, output.tell())

    @property
    def pid(self) -> int:
        """The launcher's process id."""
        return self._process.pid

    def poll(self) -> int | None:
        """Give the launcher's exit code, or minus the signal that ended it; None: it lives."""
        return self._process.poll()

    def exits(self) -> list[RankExit]:
        """Tell how processes of this machine failed, the first one first, as far as the launcher said so."""
        said = self._said()
        first = self.launch.local_ranks.start
        told = [RankExit(first + int(local), int(pid), int(code)) for code, local, pid in FIRST.findall(said)]
        table = [RankExit(int(rank), int(pid), int(code)) for rank, _, code, pid in TABLE.findall(said)]
        found: dict[int, RankExit] = {}
        for one in (*told, *reversed(table)):  # the table closes with the first failure
            found.setdefault(one.rank, one)
        return list(found.values())

    def last_words(self) -> str:
        """Give the last line with a word in it that was printed."""
        lines = self._said().decode(errors="replace").splitlines()
        return one_line(next((line for line in reversed(lines) if any(map(str.isalpha, line))), "").strip(), 300)

    def _said(self) -> bytes:
        with contextlib.suppress(OSError), self._log.open("rb") as log:
            size = os.fstat(log.fileno()).st_size
            log.seek(max(self._begins, size - MOST_BYTES))
            return log.read(MOST_BYTES)
        return b""

    def make_it_speak(self, ranks: Iterable[tuple[int, str]], seconds: float = SPEAKING_SECONDS) -> None:
        """End the launcher's processes, and give it time to say how the first one ended: torch's waits for the others,
        of which the leading one may have work in hand, for half a minute.
        """
        deadline = time.monotonic() + seconds
        ranks = tuple(ranks)
        while self.poll() is None and time.monotonic() < deadline:
            for process in _those_alive(ranks):
                with contextlib.suppress(psutil.Error):
                    process.kill()
            time.sleep(0.05)

    def kill(self, seconds: float = DYING_SECONDS, ranks: Iterable[tuple[int, str]] = ()) -> bool:
        """End the launcher and all below it at once, and wait until they are gone. Returns: whether they are.

        `ranks`: ids and marks of processes that are known to be its own; one that is dying already shows no mark.
        """
        deadline = time.monotonic() + seconds
        ranks = tuple(ranks)
        while True:
            alive = [*self._alive(), *_those_alive(ranks)]
            for process in alive:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            if not alive or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        if not alive:
            self._process.wait()
        return not alive

    def _alive(self) -> list[psutil.Process]:
        """List the launcher, if it lives, and all that it started; a supervisor that was started here isn't."""
        found = {process.pid: process for process in psutil.Process().children(recursive=True)}
        with contextlib.suppress(psutil.NoSuchProcess):  # where nothing keeps orphans below this process
            found |= {process.pid: process for process in psutil.Process(self.pid).children(recursive=True)}
        for process in found.values():
            if process not in self._known and _environment_of(process).get(LAUNCHER) == self._mark:
                self._known.add(process)
        return [process for process in self._known if _runs(process)]


def _those_alive(marked: Iterable[tuple[int, str]]) -> list[psutil.Process]:
    alive = []
    for pid, mark in marked:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            if process_mark(pid) == mark:
                alive.append(process)
    return alive


def _environment_of(process: psutil.Process) -> dict[str, str]:
    """Read it; empty once the process is about to be gone."""
    try:
        return process.environ()
    except psutil.Error:
        return {}


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
