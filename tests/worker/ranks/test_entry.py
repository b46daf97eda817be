"""A process that comes when its launcher is gone already."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pegbox_runs.crew.rank_files import LAUNCHER
from pegbox_worker.ranks.entry import is_orphaned

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux ends it with its parent")
MARK = "4194304-77"


def test_a_process_knows_its_launcher_and_its_crew_from_whoever_took_it_over() -> None:
    code = [sys.executable, "-c", "print('here', flush=True); input()"]
    launcher = subprocess.Popen(code, stdin=-1, stdout=-1, env={**os.environ, LAUNCHER: MARK})
    assert launcher.stdout is not None
    try:
        launcher.stdout.readline()
        assert not is_orphaned(MARK, launcher.pid)
        assert is_orphaned("4194304-7", launcher.pid), "another launcher, whose mark begins alike"
    finally:
        launcher.kill()
        launcher.communicate()
    assert is_orphaned(MARK, launcher.pid)
    assert is_orphaned(MARK, os.getpid())
    assert not is_orphaned(MARK, 4194304)
    assert not is_orphaned(None, os.getpid())


def test_one_that_was_taken_over_before_the_kernel_knew_of_it_ends_without_a_word() -> None:
    code = "from pegbox_worker.ranks.entry import die_with_parent; die_with_parent(); print('lives')"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, LAUNCHER: MARK}, capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (1, b"")
