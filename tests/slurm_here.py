"""A real Slurm on this machine alone: a controller and two nodes of one core each, in a folder that goes with it."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

NODES = ("node1", "node2")
NEEDED = ("slurmctld", "slurmd", "sbatch", "squeue", "scancel", "sinfo", "srun", "scontrol")
READY_SECONDS = 20.0


class Slurm:
    """The running one."""

    def __init__(self, folder: Path) -> None:
        self.conf = folder / "slurm.conf"
        self._folder = folder
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def begin(self) -> None:
        """Start all of it."""
        for name in ("state", "logs"):
            (self._folder / name).mkdir()
        self.conf.write_text(self._configuration())
        self._start("slurmctld", "slurmctld", "-D", "-f", str(self.conf))
        for node in NODES:
            self.start_node(node)
        deadline = time.monotonic() + READY_SECONDS
        while self.asked("sinfo", "--noheader", "--format=%T %D").strip() != f"idle {len(NODES)}":
            if time.monotonic() > deadline or any(child.poll() is not None for child in self._children.values()):
                pytest.skip(f"Slurm is installed and doesn't start here: {self._words()}")
            time.sleep(0.1)

    def start_node(self, node: str) -> None:
        """Start a node's daemon."""
        self._start(node, "slurmd", "-D", "-N", node, "-f", str(self.conf))

    def kill_node(self, node: str) -> None:
        """Let a node die at once, with all that runs on it, as a power cut would; the controller hears of it at once
        too, which it would find out itself after some minutes.
        """
        jobs = self.jobs_on(node)
        daemon = self._children.pop(node)
        daemon.kill()
        daemon.wait()
        kill_steps(jobs)
        self.asked("scontrol", "update", f"nodename={node}", "state=down", "reason=its power is gone")

    def jobs_on(self, node: str) -> list[str]:
        """Give the ids of the jobs that run on a node."""
        return self.asked("squeue", "--noheader", f"--nodelist={node}", "--format=%A").split()

    def asked(self, *command: str) -> str:
        """Run a command of Slurm's. Returns: what it printed."""
        env = {**os.environ, "SLURM_CONF": str(self.conf)}
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=30, check=False).stdout

    def end(self) -> None:
        """End all of it, jobs too."""
        jobs = [job for node in NODES for job in self.jobs_on(node)]
        for child in self._children.values():
            child.terminate()
        for child in self._children.values():
            try:
                child.wait(timeout=10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        kill_steps(jobs)

    def _start(self, name: str, *command: str) -> None:
        with (self._folder / "logs" / f"{name}.out").open("ab") as log:
            self._children[name] = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def _configuration(self) -> str:
        host, folder = socket.gethostname(), self._folder
        ports = iter(free_ports(1 + len(NODES)))
        nodes = [
            f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=1 RealMemory=4000"
            for node, port in zip(NODES, [next(ports) for _ in NODES], strict=True)
        ]
        return "\n".join(
            [
                "ClusterName=loopback",
                f"SlurmctldHost={host}(127.0.0.1)",
                f"SlurmctldPort={next(ports)}",
                "AuthType=auth/none",
                "CredType=cred/none",
                "SlurmUser=root",
                f"StateSaveLocation={folder}/state",
                f"SlurmdSpoolDir={folder}/spool-%n",
                f"SlurmctldPidFile={folder}/slurmctld.pid",
                f"SlurmdPidFile={folder}/slurmd-%n.pid",
                "ProctrackType=proctrack/linuxproc",
                "TaskPlugin=task/none",
                "SelectType=select/cons_tres",
                "SelectTypeParameters=CR_Core",
                "JobAcctGatherType=jobacct_gather/none",
                "AccountingStorageType=accounting_storage/none",
                "MpiDefault=none",
                "SwitchType=switch/none",
                f"FirstJobId={secrets.randbelow(1_000_000) + 1000}",  # no other Slurm here has jobs of these ids
                "ReturnToService=2",
                "SlurmdTimeout=5",
                "KillWait=3",
                "SlurmdParameters=config_overrides",
                "SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0",
                *nodes,
                f"PartitionName=main Nodes={','.join(NODES)} Default=YES MaxTime=60 State=UP",
                "",
            ]
        )

    def _words(self) -> str:
        logs = (path.read_text(errors="replace").strip()[-200:] for path in (self._folder / "logs").glob("*.out"))
        return " | ".join(filter(None, logs)) or "nothing was said"


@contextmanager
def slurm_here() -> Iterator[Slurm]:
    """Have one for a while, and let Slurm's commands find it. Skips the test where there can be none.

    Its folder isn't the test's: a job's step has a socket there, whose path may have 107 characters, and Slurm says
    nothing of one that is too long: it cancels the job.
    """
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing or os.geteuid() != 0 or not sys.platform.startswith("linux"):
        pytest.skip(f"a Slurm on loopback takes root, and its daemons: {', '.join(missing) or 'all there'}")
    with (
        tempfile.TemporaryDirectory(prefix="slurm-", ignore_cleanup_errors=True) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        slurm = Slurm(Path(folder))
        patch.setenv("SLURM_CONF", str(slurm.conf))
        try:
            slurm.begin()
            yield slurm
        finally:
            slurm.end()


def kill_steps(jobs: Sequence[str]) -> None:
    """Kill the daemons of jobs' steps, and all that runs below those."""
    for one in psutil.process_iter(["cmdline"]):
        words = " ".join(one.info["cmdline"] or ())
        if words.startswith("slurmstepd:") and any(f"[{job}." in words for job in jobs):
            for process in (one, *one.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    process.kill()


def free_ports(count: int) -> list[int]:
    """Find ports that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports: list[int] = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
