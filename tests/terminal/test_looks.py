"""Every screen that has no run of its own to make, in every kind of terminal: real tmux, GNU screen, a real login."""

from __future__ import annotations

import re
import tempfile
import threading
from pathlib import Path
from typing import NamedTuple

import pytest

from pegbox_runs.run_folder import RunFolder
from tests.faults.test_ssh import Server, server
from tests.stories import step
from tests.terminal.conftest import tell
from tests.terminal.tmux import PEGBOX, Terminal, program

pytestmark = pytest.mark.slow
__all__ = ["server"]

STEP = "1 Machine"
LIST = "Runs: 3"
DASHBOARD = "step 3/10"


class Kind(NamedTuple):
    """A kind of terminal."""

    size: tuple[int, int] = (80, 24)
    variables: dict[str, str | None] = {}  # noqa: RUF012 - nobody changes it
    never: str = ""
    """What its program must never send it: a pattern over the bytes."""


NOT_ASCII = r"[^\x00-\x7f]"
MORE_THAN_16_COLORS = r"\x1b\[[\d;]*[34]8;[25];"
HUE = r"\x1b\[[\d;]*[34]8;2;(?!(\d+);\1;\1(?!\d))"
"""A color that isn't a shade of gray."""
KINDS = {
    "120x40": Kind((120, 40)),
    "200x60": Kind((200, 60)),
    "TERM=screen": Kind(variables={"TERM": "screen", "COLORTERM": None}, never=MORE_THAN_16_COLORS),
    "TERM=xterm": Kind(variables={"TERM": "xterm", "COLORTERM": None}, never=MORE_THAN_16_COLORS),
    "NO_COLOR": Kind(variables={"NO_COLOR": "1"}, never=HUE),
    "LC_ALL=C": Kind(variables={"LC_ALL": "C"}, never=NOT_ASCII),
    "PEGBOX_ASCII": Kind(variables={"PEGBOX_ASCII": "1"}, never=NOT_ASCII),
    "light": Kind(variables={"PEGBOX_THEME": "light"}),
}


def sit_down(terminal: Terminal, home: Path, *words: str, kind: Kind = Kind()) -> None:  # noqa: B008 - it is frozen
    """Start Pegbox in a terminal, with this test's home."""
    variables = {"PEGBOX_HOME": str(home), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", **kind.variables}
    terminal.open(*PEGBOX, *words, size=kind.size, variables=variables)


def look_around(terminal: Terminal) -> list[str]:
    """Go from the first step to the list, to a dashboard, and back. Returns: what was seen."""
    seen = [terminal.until(STEP)]
    terminal.press("C-r")
    seen.append(terminal.until(lambda screen: LIST in screen and "running" in screen))
    terminal.press("Enter")
    seen.append(terminal.until(DASHBOARD))
    terminal.press("q")
    seen.append(terminal.until(LIST))
    terminal.press("?")
    seen.append(terminal.until("A run that is running"))
    terminal.press("Escape")
    terminal.until(lambda screen: "A run that is running" not in screen)
    terminal.press("q")
    terminal.until(STEP)
    return seen


@pytest.mark.parametrize("name", KINDS)
def test_every_screen_is_readable(
    terminal: Terminal, home: Path, live_run: RunFolder, tmp_path: Path, name: str
) -> None:
    kind = KINDS[name]
    sit_down(terminal, home, kind=kind)
    terminal.record(tmp_path / "sent")
    for screen in look_around(terminal):
        assert "Traceback" not in screen
        if kind.never == NOT_ASCII:
            assert screen.isascii(), screen
    terminal.press("q")
    terminal.until_ended()
    sent = (tmp_path / "sent").read_bytes().decode("utf-8", "surrogateescape")
    assert len(sent) > 2000, "nothing was recorded"
    if kind.never:
        found = re.search(kind.never, sent)
        assert found is None, sent[max(0, found.start() - 80) : found.end() + 80]


def test_a_terminal_that_is_too_small_says_what_it_needs_and_goes_on_once_it_is_larger(
    terminal: Terminal, home: Path, live_run: RunFolder
) -> None:
    sit_down(terminal, home, "runs", "--screen", kind=Kind((40, 10)))
    assert "60x20" in terminal.until("40x10")
    terminal.press("d", "s", "Enter")  # what can't be seen isn't acted on
    terminal.resize(80, 24)
    terminal.until(LIST)
    terminal.press("q")
    terminal.until_ended()
    assert live_run.commands.read_bytes() == b""


def test_a_storm_of_sizes_while_a_run_is_live_leaves_a_whole_screen(
    terminal: Terminal, home: Path, live_run: RunFolder
) -> None:
    sit_down(terminal, home, "watch", "last")
    terminal.until(DASHBOARD)
    stop = threading.Event()

    def steps_come() -> None:
        number = 3
        while not stop.wait(0.03):
            number += 1
            tell(live_run, step(number))

    thread = threading.Thread(target=steps_come)
    thread.start()
    try:
        for number in range(40):
            terminal.resize(*((40, 10), (200, 60), (81, 25), (61, 21), (120, 40), (30, 50), (300, 8))[number % 7])
        terminal.resize(80, 24)
        screen = terminal.until(lambda screen: re.search(r"step (\d{2,})/10", screen) is not None)
        assert "60x20" not in screen
        assert all(len(line) <= 80 for line in screen.splitlines())
    finally:
        stop.set()
        thread.join()
    terminal.press("q")
    assert "The run goes on." in terminal.until_ended()


def test_inside_gnu_screen_it_is_readable_too(terminal: Terminal, home: Path, live_run: RunFolder) -> None:
    screen = program("screen")
    with tempfile.TemporaryDirectory() as sockets:  # a socket's path is short
        Path(sockets).chmod(0o700)
        variables = {"PEGBOX_HOME": str(home), "SCREENDIR": sockets, "COLORTERM": None, "HF_HUB_OFFLINE": "1"}
        terminal.open(screen, "-U", "-c", "/dev/null", *PEGBOX, variables=variables)
        for seen in look_around(terminal):
            assert "Traceback" not in seen
        terminal.press("q")
        assert "screen is terminating" in terminal.until_ended()


def test_a_dashboard_is_watched_over_a_login(
    terminal: Terminal, home: Path, live_run: RunFolder, server: Server
) -> None:
    remote = server.command("env", f"PEGBOX_HOME={home}", "LANG=C.UTF-8", *PEGBOX, "watch", "last", terminal=True)
    terminal.open(*remote)
    assert "lora on bundled" in terminal.until(DASHBOARD)
    tell(live_run, step(4))
    terminal.until("step 4/10")
    terminal.press("q")
    assert "The run goes on." in terminal.until_ended()
