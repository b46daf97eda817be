"""A light process on a cluster's node, which starts one entry's worker there and stays beside it to its end.

Started by the cluster as `python -P -m pegbox_runs.fleet.post RUNFOLDER TICKET`. It says in a file of the run's folder
that it lives and how its worker ended, and obeys the director's file beside it. If it dies, so does its worker; if the
cluster's own process above it does, it ends both. Exit code 0: it did its duty, however the worker ended.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from pegbox_methods.events import Notice
from pegbox_runs.checkpoints import MANIFEST, checkpoint_folders
from pegbox_runs.commands import send
from pegbox_runs.fleet.bound import bound_command
from pegbox_runs.fleet.post_files import (
    BEAT_SECONDS,
    PLACE,
    PostRecord,
    PostWanted,
    claim_record,
    read_wanted,
    write_record,
)
from pegbox_runs.launch import crew_command, worker_command, worker_environment
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.supervision.ledger import LAST_WORD_SECONDS
from pegbox_runs.supervision.telling import tell
from pegbox_runs.supervision.worker import Worker
from pegbox_runs.supervision.worker_process import WorkerProcess
from pegbox_runs.supervision.workers import WorkerSupply, is_launched

LOOK_SECONDS = 0.2
APPEARING_SECONDS = 30.0
"""How long a network file system may take to show what another machine has just written."""
SAVING_SECONDS = 90.0
"""How long a worker has to write a checkpoint once the cluster has told that the job will be ended."""


class BoundSupply(WorkerSupply):
    """Gives a worker, or what starts a run's several processes in its place, that dies with this post."""

    def __init__(self) -> None:
        super().__init__(lambda: bound_command(worker_command()))

    def next(self, folder: RunFolder) -> WorkerProcess:
        """Give one that waits for its run. Raises: OSError."""
        if not is_launched(folder):
            return super().next(folder)
        with folder.log.open("ab") as log:
            return WorkerProcess.start(bound_command(crew_command()), worker_environment(one_gpu=False), log)


class Duty:
    """One worker, from its start to its end."""

    def __init__(self, folder: RunFolder, ticket: str, supply: WorkerSupply) -> None:
        self._folder = folder
        self._supply = supply
        self._record = PostRecord(ticket=ticket, host=socket.gethostname(), pid=os.getpid(), beat=0)
        self._master = os.getppid()
        self._warned = False
        self._kill_at: float | None = None
        self._step_when_warned: int | None = None
        self._sent: str | None = None
        self._why = ""

    def warn(self, *_: object) -> None:
        """Heed that the cluster will end the job soon."""
        self._warned = True

    def do(self) -> int:
        """Carry it out. Returns: the exit code."""
        wanted = self._await_wanted()
        if wanted is None:
            print(f"{self._folder.path} has no post with this ticket any more", file=sys.stderr)
            return 1
        os.environ["PEGBOX_HOME"] = wanted.home
        try:
            claim_record(self._folder, self._record)
        except FileExistsError:
            print("another post with this ticket was here before", file=sys.stderr)
            return 1
        worker = self._supply.next(self._folder)
        tell(self._folder, Notice(text=f"it has its place on the cluster, on {self._record.host}", about=PLACE))
        self._record = msgspec.structs.replace(self._record, worker_pid=worker.pid)
        worker.hand_over(self._folder)
        self._stand_by(worker)
        code, name = worker.exit
        oom_killer, evidence = worker.killed_for_memory()
        ended = msgspec.structs.replace(
            self._record,
            beat=self._record.beat + 1,
            ended=True,
            exit_code=None if self._why else code,
            signal=None if self._why else name,
            oom_killer=False if self._why else oom_killer,
            evidence=self._why or evidence,
        )
        self._supply.finish(worker, self._folder)
        self._insist(ended)
        return 0

    def _await_wanted(self) -> PostWanted | None:
        """Read what the director wants; None: it wants another post by now, or none."""
        deadline = time.monotonic() + APPEARING_SECONDS
        while (wanted := read_wanted(self._folder)) is None and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
        return wanted if wanted is not None and wanted.ticket == self._record.ticket else None

    def _stand_by(self, worker: Worker) -> None:
        """Beat and obey until the worker is gone."""
        beat_at = 0.0
        while not worker.gone:
            if time.monotonic() >= beat_at:
                beat_at = time.monotonic() + BEAT_SECONDS
                self._beat()
                self._obey(worker)
            if os.getppid() != self._master:
                self._end(worker, "the cluster ended its post")
            if self._warned:
                self._save_first(worker)
            time.sleep(LOOK_SECONDS)

    def _beat(self) -> None:
        self._record = msgspec.structs.replace(self._record, beat=self._record.beat + 1)
        with contextlib.suppress(OSError):  # a full disk: the worker has the same trouble, and tells it better
            write_record(self._folder, self._record)

    def _insist(self, ended: PostRecord) -> None:
        """Write how it ended; a full disk is asked again for a while."""
        deadline = time.monotonic() + LAST_WORD_SECONDS
        while self._folder.path.exists():
            try:
                write_record(self._folder, ended)
            except OSError:
                if time.monotonic() >= deadline:
                    return
                time.sleep(BEAT_SECONDS)
            else:
                return

    def _obey(self, worker: Worker) -> None:
        if not self._folder.path.exists():
            self._end(worker, "its run was removed")
            return
        wanted = read_wanted(self._folder)
        if wanted is None:
            return
        if wanted.ticket != self._record.ticket:
            self._end(worker, "another post took its place")
        elif wanted.signal is not None and wanted.signal != self._sent:
            self._sent = wanted.signal
            worker.send(signal.Signals[wanted.signal])

    def _save_first(self, worker: Worker) -> None:
        """Let the worker save before the job's end; it goes on in another job from there."""
        if self._kill_at is None:
            self._kill_at = time.monotonic() + SAVING_SECONDS
            self._step_when_warned = _newest_step(self._folder)
            with contextlib.suppress(OSError):  # then it goes on from the last one
                send(self._folder.commands, "checkpoint")
        if _newest_step(self._folder) != self._step_when_warned or time.monotonic() >= self._kill_at:
            self._end(worker, "the cluster was about to end its job")

    def _end(self, worker: Worker, why: str) -> None:
        self._why = self._why or why
        worker.send(signal.SIGKILL)


def _newest_step(folder: RunFolder) -> int | None:
    """Give the step of the newest checkpoint that is written to its end, by its name alone."""
    there = (step for step, path in checkpoint_folders(folder.checkpoints) if (path / MANIFEST).exists())
    return max(there, default=None)


def main(arguments: Sequence[str]) -> int:
    """Do one duty. Returns the exit code."""
    os.umask(0o077)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    folder, ticket = RunFolder(Path(arguments[0])), arguments[1]
    duty = Duty(folder, ticket, BoundSupply())
    signal.signal(signal.SIGTERM, duty.warn)
    return duty.do()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
