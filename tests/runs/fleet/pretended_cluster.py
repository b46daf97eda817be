"""A cluster of one machine: its jobs are processes here, which wait until the tests let them begin."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from pegbox_runs.fleet.cluster import JobState, Post, Wanted

POST = Path(__file__).with_name("pretended_post.py")


class PretendedCluster:
    """Starts posts with pretended workers, `slots` at once."""

    name = "the pretended cluster"

    def __init__(self, plan: Path, *, slots: int = 1) -> None:
        self.plan = plan
        self.wanted = Wanted()
        self.gpus = False
        self.refusals = 0
        self.room = slots
        self.jobs: dict[str, subprocess.Popen[bytes] | Post] = {}
        """A post that only waits, or its process."""
        self.lost: dict[str, str] = {}
        """Jobs of nodes that are said to be lost, and how."""
        self.cancelled: list[str] = []
        self._lock = threading.Lock()

    def reach(self) -> None:
        """Nothing is to be reached."""

    def has_gpus(self) -> bool:
        return self.gpus

    def check(self, places: Sequence[Path]) -> None:
        """All is well."""

    def slots(self) -> int:
        return max(1, min(self.room, self.wanted.at_once or self.room))

    def words(self) -> str:
        return "1 node"

    def submit(self, post: Post) -> str:
        if self.refusals:
            self.refusals -= 1
            raise OSError("too many jobs")
        with self._lock:
            self.jobs[post.ticket] = post
        self.fill()
        return post.ticket

    def fill(self) -> None:
        """Start what there is room for."""
        with self._lock:
            for id_, job in self.jobs.items():
                if isinstance(job, Post) and len(self.processes) < self.room:
                    command = [sys.executable, "-P", str(POST), str(self.plan), str(job.folder), job.ticket]
                    self.jobs[id_] = subprocess.Popen(command, stdin=subprocess.DEVNULL)

    @property
    def processes(self) -> list[subprocess.Popen[bytes]]:
        """Posts that live."""
        return [job for job in self.jobs.values() if isinstance(job, subprocess.Popen) and job.poll() is None]

    def state(self, id_: str) -> JobState:
        if id_ in self.lost:
            return JobState("gone", self.lost[id_])
        job = self.jobs.get(id_)
        if job is None:
            return JobState("gone")
        if isinstance(job, Post):
            return JobState("waiting", "for a node with room")
        return JobState("running") if job.poll() is None else JobState("gone")

    def cancel(self, id_: str) -> None:
        with self._lock:
            self.cancelled.append(id_)
            job = self.jobs.get(id_)
            if isinstance(job, Post):
                del self.jobs[id_]
            elif job is not None:
                job.kill()

    def close(self) -> None:
        """Kill all that lives, as an ending test must."""
        for process in self.processes:
            process.kill()
            process.wait()
