"""Runs whose workers only pretend, under the real supervision: in this process, or in one of its own."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from pegbox_runs.event_log import EventReader
from pegbox_runs.launch import WarmSupervisor
from pegbox_runs.process_mark import process_mark
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.supervision import adopting
from pegbox_runs.supervision.intake import Intake
from pegbox_runs.supervision.policy import RestartPolicy
from pegbox_runs.supervision.queue import Queue
from pegbox_runs.supervision.workers import WorkerSupply
from tests.commands import events_of, wait_until
from tests.runs import pretended_supervisor

Deeds = Sequence[tuple[str, Any]]
NO_WAIT = RestartPolicy(first_wait_seconds=0.0)


def write_plan(folder: Path, *attempts: Deeds, **of_runs: Sequence[Deeds]) -> Path:
    """Write what each attempt does; `of_runs` by the run's id, where several runs differ."""
    path = folder / "plan.json"

    def numbered(deeds: Sequence[Deeds]) -> dict[str, Deeds]:
        return {str(number): deed for number, deed in enumerate(deeds, start=1)}

    path.write_text(json.dumps(numbered(attempts) or {run: numbered(deeds) for run, deeds in of_runs.items()}))
    return path


def supply(plan: Path) -> WorkerSupply:
    """Give pretended workers."""
    return WorkerSupply(
        lambda: [sys.executable, "-P", str(pretended_supervisor.WORKER), str(plan)], lambda: dict(os.environ)
    )


class InThisProcess:
    """A queue carried by a thread of the tests' own process, so that its parts can be patched."""

    def __init__(
        self,
        plan: Path,
        folders: Sequence[RunFolder],
        *,
        restarts: RestartPolicy = NO_WAIT,
        adopting: bool = False,
        more: bool = False,
    ) -> None:
        lines, self._write = os.pipe()
        self._receipts, answers = os.pipe()
        self._answers = answers
        self.queue = Queue(Intake(lines, answers), supply(plan), restarts, adopting=adopting)
        self.give(folders)
        if not more:
            os.close(self._write)
        self.thread = threading.Thread(target=self.queue.work, daemon=True)
        self.thread.start()

    def give(self, folders: Sequence[RunFolder]) -> None:
        """Hand runs over."""
        os.write(self._write, b"".join(os.fsencode(folder.path) + b"\n" for folder in folders))

    def finish(self) -> list[dict[str, Any]]:
        """Wait until all is carried. Returns: the receipts."""
        self.thread.join(timeout=60)
        assert not self.thread.is_alive()
        os.close(self._answers)
        with os.fdopen(self._receipts, "rb") as pipe:
            return [json.loads(line) for line in pipe]


def launched(plan: Path, *folders: RunFolder) -> int:
    """Hand runs to a supervisor in a process of its own. Returns: its id."""
    with WarmSupervisor(pretended_supervisor.command(str(plan))) as supervisor:
        supervisor.take(folders)
        return supervisor.pid


def pretend_everywhere(plan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `adopt` and `continue_run` start supervisors with pretended workers."""

    def command(*options: str) -> list[str]:
        return pretended_supervisor.command(str(plan), *options)

    monkeypatch.setattr(adopting, "supervisor_command", command)
    monkeypatch.setattr("pegbox_runs.launch.supervisor_command", command)


def told(folder: RunFolder) -> list[str]:
    """Name the events of a run's log in order, without its steps."""
    return [type(event).__name__ for event in events_of(folder) if type(event).__name__ != "Step"]


def wait_for_told(folder: RunFolder, name: str, count: int = 1) -> None:
    """Wait until the log holds that many events of that name."""
    wait_until(lambda: [type(event).__name__ for event in events_of(folder)].count(name) >= count)


def newest(folder: RunFolder, kind: type[Any]) -> Any:
    """Give the log's last event of a kind."""
    return [event for block in EventReader(folder.events).new() for event in block if isinstance(event, kind)][-1]


def end_now(pid: int) -> None:
    """Kill a process and wait until it is gone, whoever is its parent."""
    if process_mark(pid) is not None:
        process = psutil.Process(pid)
        process.kill()
        wait_until(lambda: process_mark(pid) is None)
