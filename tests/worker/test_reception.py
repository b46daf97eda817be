"""A worker hears and tells from its first moment on, before torch is there, or where it never comes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pegbox_methods.events import CommandAnswer, Finished, WorkerFailed
from pegbox_runs.commands import send
from pegbox_runs.event_log import EventWriter
from pegbox_runs.run_folder import RunFolder
from tests.commands import events_of, wait_for
from tests.stories import made, started

SLOW = "import time; time.sleep({seconds}); print('loud'); raise ImportError('\\x1b[31mlibcudart.so is missing')"


def worker(place: Path, *, seconds: float) -> subprocess.Popen[bytes]:
    """Start a worker whose torch takes a while and then can't be imported."""
    (place / "torch.py").write_text(SLOW.format(seconds=seconds))
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "pegbox_worker"],
        env={**os.environ, "PYTHONPATH": str(place)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def hand(process: subprocess.Popen[bytes], folder: RunFolder) -> None:
    EventWriter(folder.events).emit(started(supervisor_pid=os.getpid(), worker_pid=process.pid))
    assert process.stdin is not None
    process.stdin.write(os.fsencode(folder.path) + b"\n")
    process.stdin.close()


def test_libraries_that_cannot_be_imported_are_told_and_the_worker_ends(tmp_path: Path) -> None:
    folder = made()
    process = worker(tmp_path, seconds=0)
    hand(process, folder)
    assert process.wait(60) == 1
    failed = events_of(folder)[-1]
    assert isinstance(failed, WorkerFailed)
    assert (failed.kind, failed.where) == ("error", "starting")
    assert r"ImportError: \x1b[31mlibcudart.so is missing" in failed.what
    assert "Reinstall" in failed.remedy


def test_commands_are_answered_while_imports_still_take_their_time(tmp_path: Path) -> None:
    folder = made()
    process = worker(tmp_path, seconds=60)
    hand(process, folder)
    send(folder.commands, "checkpoint")
    answer = wait_for(folder, lambda event: isinstance(event, CommandAnswer))
    assert isinstance(answer, CommandAnswer)
    assert (answer.taken, answer.text) == (
        True,
        "a checkpoint will be written after the first step that this worker takes",
    )
    assert answer.latency < 10
    send(folder.commands, "abort")
    assert process.wait(20) == 0
    finished = events_of(folder)[-1]
    assert isinstance(finished, Finished)
    assert finished.reason == "aborted"


def test_a_worker_that_gets_no_run_ends_without_a_word(tmp_path: Path) -> None:
    process = worker(tmp_path, seconds=0)
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(60) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_do_not_end_a_worker_that_waits_for_its_run(tmp_path: Path, number: signal.Signals) -> None:
    folder = made()
    process = worker(tmp_path, seconds=0)
    assert process.stdout is not None
    assert process.stdout.readline() == b"loud\n"
    process.send_signal(number)
    hand(process, folder)
    assert process.wait(60) == 1
    assert isinstance(events_of(folder)[-1], WorkerFailed)
