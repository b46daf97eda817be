"""A real terminal to sit at: a tmux server of its own, driven as a person does, by keys and by looking."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

PEGBOX = (sys.executable, "-P", "-m", "pegbox")
PATIENCE_SECONDS = 60.0
"""Far more than any screen takes, even on a busy machine."""
LOOK_SECONDS = 0.05
# A pane stays when its program ends, so that its last words can be read.
SETTINGS = """\
set-option -g remain-on-exit on
set-option -g escape-time 0
set-option -g default-terminal tmux-256color
"""

NOT_OURS = {"TMUX", "TMUX_PANE", "COLUMNS", "LINES"}
"""Variables of the terminal that the tests run in, and of pictures that were taken before in this process."""


def program(name: str) -> str:
    """Find a program, or skip the test."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{name} isn't installed here")
    return found


class Terminal:
    """One pane of a tmux server. Closing it kills the server, as a lid that is shut does a login."""

    def __init__(self, folder: Path, name: str) -> None:
        self._tmux = program("tmux")
        self._name = name
        self._settings = folder / "tmux.conf"
        self._settings.write_text(SETTINGS)
        self._environment = {
            **{key: value for key, value in os.environ.items() if key not in NOT_OURS},
            "TMUX_TMPDIR": str(folder),
            "TERM": "xterm-256color",
        }

    def open(
        self,
        *words: str,
        size: tuple[int, int] = (80, 24),
        variables: Mapping[str, str | None] | None = None,
    ) -> None:
        """Start a program in a new window of that size, in place of the one before. None unsets a variable."""
        self.close()
        given = {"TERM": "tmux-256color", "LANG": "C.UTF-8", "COLORTERM": "truecolor", **(variables or {})}
        unset = [part for name, value in given.items() if value is None for part in ("-u", name)]
        settings = [f"{name}={value}" for name, value in given.items() if value is not None]
        command = shlex.join(["env", *unset, *settings, *(words or PEGBOX)])
        asked = self._words("new-session", "-d", "-x", str(size[0]), "-y", str(size[1]), command)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            done = subprocess.run(asked, env=self._environment, capture_output=True, text=True, check=False, timeout=60)
            if done.returncode == 0:
                return
            assert time.monotonic() < deadline, done.stderr
            time.sleep(LOOK_SECONDS)  # the server before, which was killed, is just going

    def close(self) -> None:
        """Kill the server and with it the terminal; what ran in it gets a hang-up."""
        subprocess.run(self._words("kill-server"), env=self._environment, capture_output=True, check=False, timeout=60)

    def press(self, *keys: str) -> None:
        """Press keys, by the names that tmux gives them."""
        self._run("send-keys", *keys)

    def write(self, text: str) -> None:
        """Type a text letter by letter."""
        self._run("send-keys", "-l", text)

    def paste(self, text: str, folder: Path) -> None:
        """Paste a text as a terminal does, in brackets."""
        file = folder / "pasted"
        file.write_text(text)
        self._run("load-buffer", str(file), ";", "paste-buffer", "-p", "-d")

    def resize(self, columns: int, lines: int) -> None:
        """Give the window another size."""
        self._run("resize-window", "-x", str(columns), "-y", str(lines))

    def record(self, file: Path) -> None:
        """Write every byte that the program sends from now on into a file."""
        self._run("pipe-pane", "-o", f"cat > {shlex.quote(str(file))}")

    @property
    def seen(self) -> str:
        """What stands on the screen: a line each, without what is blank at its end."""
        return self._run("capture-pane", "-p").rstrip("\n")

    @property
    def alive(self) -> bool:
        """Whether the program still runs."""
        return self._run("display-message", "-p", "#{pane_dead}").strip() == "0"

    @property
    def pid(self) -> int:
        """Process id of the program."""
        return int(self._run("display-message", "-p", "#{pane_pid}"))

    def until(self, wanted: str | Callable[[str], bool], seconds: float = PATIENCE_SECONDS) -> str:
        """Look until a text is there, or something is so. Returns: the screen."""
        deadline = time.monotonic() + seconds
        while True:
            screen = self.seen
            if wanted in screen if isinstance(wanted, str) else wanted(screen):
                return screen
            assert time.monotonic() < deadline, f"{wanted!r} never came to be on the screen:\n{screen}"
            time.sleep(LOOK_SECONDS)

    def until_ended(self, seconds: float = PATIENCE_SECONDS) -> str:
        """Wait until the program has ended. Returns: what it left on the terminal."""
        deadline = time.monotonic() + seconds
        while self.alive:
            assert time.monotonic() < deadline, f"it never ended:\n{self.seen}"
            time.sleep(LOOK_SECONDS)
        return self._run("capture-pane", "-p", "-J", "-S", "-100")  # tmux adds a line, which scrolls others away

    def _words(self, *words: str) -> list[str]:
        return [self._tmux, "-u", "-L", self._name, "-f", str(self._settings), *words]

    def _run(self, *words: str) -> str:
        done = subprocess.run(
            self._words(*words), env=self._environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout
