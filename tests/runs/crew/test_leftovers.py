"""What an earlier worker's processes must not do: live on beside the next one's."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pegbox_runs.crew import leftovers
from pegbox_runs.crew.leftovers import end_those_left

SLEEP = "import time; time.sleep(60)"


@pytest.fixture
def left(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]]:
    """Give a process that looks like one of a run's, and one of another run's whose name begins alike."""
    folders = (tmp_path / "a", tmp_path / "ab")
    both = [
        subprocess.Popen([sys.executable, "-c", SLEEP, "-m", "pegbox_worker", "--rank", str(folder), "1"])
        for folder in folders
    ]
    yield both[0], both[1]
    for process in both:
        process.kill()
        process.wait()


def test_a_process_of_the_worker_before_is_ended_and_another_runs_is_not(
    left: tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    own, other = left
    end_those_left(tmp_path / "a")
    assert not psutil.pid_exists(own.pid)
    assert other.poll() is None
    assert f"process {own.pid} of the worker before is still there" in capfd.readouterr().out


def test_one_that_cannot_be_ended_keeps_the_next_worker_from_beginning(
    left: tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil.Process, "kill", lambda _: None)
    began = time.monotonic()
    with pytest.raises(OSError, match=f"can't be ended .process {left[0].pid}."):
        end_those_left(tmp_path / "a", seconds=0.1)
    assert time.monotonic() - began < leftovers.GONE_SECONDS
