"""What is left of the streams that a command is started with, and Ctrl-C before it has begun."""

from __future__ import annotations

import io
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pegbox import terminal
from tests.in_terminal import InTerminal, pegbox_command

BEFORE = "import sys\nfrom importlib.abc import MetaPathFinder\n"
INTERRUPTING = (
    "class Interrupting(MetaPathFinder):\n"
    "    def find_spec(self, name, *_):\n"
    "        if name == {name!r}:\n"
    "            raise KeyboardInterrupt\n"
    "sys.meta_path.insert(0, Interrupting())\n"
)
COMMAND = "sys.argv = ['pegbox', 'methods', 'lora']\nfrom pegbox.__main__ import main\nsys.exit(main())\n"


def in_shell(arguments: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "-c", f"{shlex.join([sys.executable, '-P', '-m', 'pegbox'])} {arguments}"],
        env={**os.environ, "PEGBOX_HOME": str(home), **environment},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )


@pytest.mark.parametrize("arguments", ["--version", "--help", "methods lora", "methods --json", "runs"])
@pytest.mark.parametrize("closed", [">&-", "<&- >&-"])
def test_a_closed_standard_output_is_an_answer_that_nobody_takes(arguments: str, closed: str, home: Path) -> None:
    done = in_shell(f"{arguments} {closed}", home)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full, a disk that is full")
@pytest.mark.parametrize("arguments", ["--version", "runs", "runs --json", "methods lora", "methods nobody --json"])
def test_a_full_disk_behind_standard_output_is_one_sentence(arguments: str, home: Path) -> None:
    done = in_shell(f"{arguments} >/dev/full", home)
    assert done.returncode == 2
    (said,) = done.stderr.splitlines()
    assert said.startswith("pegbox: ")
    assert said.endswith("No space left on device.")
    assert in_shell(f"{arguments} >/dev/full 2>&1", home).returncode == 2


def test_what_a_closed_standard_error_would_be_told_is_lost_and_not_put_among_the_answers(home: Path) -> None:
    done = in_shell("evaluate nobody --json 2>&-", home)
    assert done.returncode == 2
    assert "no runs" in json.loads(done.stdout)["error"]


def test_a_letter_that_the_encoding_lacks_is_no_fault(home: Path) -> None:
    program = (
        "import sys, pegbox\npegbox.__version__ = '\\u22121'\nfrom pegbox.__main__ import main\nmain(['--version'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii", "PEGBOX_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("pegbox \\u22121\n", "")


@pytest.mark.parametrize("name", ["pegbox.parser", "pegbox.dispatch", "pegbox.commands.methods", "pegbox.streams"])
def test_ctrl_c_while_it_still_imports_is_no_traceback(name: str, home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BEFORE + INTERRUPTING.format(name=name) + COMMAND],
        env={**os.environ, "PEGBOX_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (130, "")


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_screen_is_drawn_only_where_standard_error_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, _Terminal())
    assert terminal.can_draw()
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert not terminal.can_draw()
    assert terminal.is_terminal()
    monkeypatch.setattr(sys, "stderr", None)
    assert not terminal.can_draw()


def test_the_wizard_does_not_draw_into_a_file(tmp_path: Path, home: Path) -> None:
    command = ["/bin/sh", "-c", f"{shlex.join(pegbox_command())} 2>{shlex.quote(str(tmp_path / 'err'))}"]
    with InTerminal(command, {"PEGBOX_HOME": str(home)}) as seen:
        seen.wait_for("usage: pegbox", 60)
        seen.wait_for_end()
        assert seen.exit_status == 2
    assert (tmp_path / "err").read_text() == ""
