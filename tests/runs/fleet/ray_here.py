"""A Ray cluster of two nodes on this machine, each with its own raylet, in processes that end with the test."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.commands import wait_until

RAY = Path(sys.executable).with_name("ray")
STORE_BYTES = 80_000_000
HURRIED = {
    "RAY_health_check_initial_delay_ms": "500",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_failure_threshold": "4",
}
"""By default a node that is lost is found to be so after a quarter of a minute."""


class Node:
    """One node: what `ray start --block` started."""

    def __init__(self, *options: str, log: Path) -> None:
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [
                    RAY,
                    "start",
                    "--block",
                    "--num-cpus=1",
                    f"--object-store-memory={STORE_BYTES}",
                    "--disable-usage-stats",
                    *options,
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env={**os.environ, **HURRIED, "OMP_NUM_THREADS": "1"},
            )

    def processes(self) -> list[psutil.Process]:
        """Give all that live on it, raylet, workers and posts."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self._process.pid).children(recursive=True)
        return []

    def posts(self) -> list[Path]:
        """Name the folders of the entries whose posts live on it."""
        found = []
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                words = process.cmdline()
                if "pegbox_runs.fleet.post" in words:
                    found.append(Path(words[words.index("pegbox_runs.fleet.post") + 1]))
        return found

    def lose(self) -> None:
        """Kill its raylet, without a word to anybody."""
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                if process.name() == "raylet":
                    process.kill()

    def end(self) -> None:
        """Kill all of it."""
        there = self.processes()
        for process in there:
            with contextlib.suppress(psutil.Error):
                process.kill()
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def two_nodes() -> Iterator[tuple[str, Node, Node]]:
    """Start them. Gives: what `--on` says, and both nodes, the head first."""
    place = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # Ray's sockets need a short path
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    nodes: list[Node] = []
    try:
        head = ("--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={place / 't'}")
        nodes.append(Node(*head, log=place / "head.log"))
        wait_until(lambda: _answers(port))
        nodes.append(Node(f"--address=127.0.0.1:{port}", log=place / "second.log"))
        wait_until(lambda: "Ray runtime started" in (place / "second.log").read_text())
        yield f"ray:127.0.0.1:{port}", nodes[0], nodes[1]
    finally:
        for node in reversed(nodes):
            node.end()
        shutil.rmtree(place, ignore_errors=True)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
