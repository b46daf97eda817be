"""The wizard in a real terminal: bytes on the wire, signals, a connection that drops, large pastes."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import pytest

from pegbox_methods.recipe import Model
from pegbox_runs.drafts import Draft, read_draft, write_draft
from tests.commands import pegbox
from tests.in_terminal import InTerminal, pegbox_command

CARDBOARD = [sys.executable, "-P", "-c", "from tests.tui.cardboard_steps import main; main()"]


def cardboard_wizard(home: Path, *arguments: str, columns: int = 80, lines: int = 24, **environment: str) -> InTerminal:
    """Start the wizard with steps of cardboard."""
    surroundings = {"PEGBOX_HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[2]), **environment}
    return InTerminal([*CARDBOARD, *arguments], surroundings, columns=columns, lines=lines)


def until_kept(name: str, wizard: InTerminal) -> None:
    """Wait until the draft on the disk names a model."""

    def is_kept() -> bool:
        left = read_draft()
        return left is not None and left.model == Model(name=name)

    wizard.wait_until(is_kept)


def to_field(wizard: InTerminal) -> None:
    """Go on to the field. A key that comes with Tab in one packet still goes to what had the focus."""
    wizard.type(b"\t")
    wizard.wait_for("f1 Explain")


def test_not_one_byte_above_ascii_reaches_a_terminal_without_unicode(home: Path) -> None:
    with InTerminal(pegbox_command("--ascii"), {"PEGBOX_HOME": str(home)}) as wizard:
        wizard.wait_for("Commands")
        shown = "What is here"
        last, found = "forget the draft; runs go on", "background; remembered"  # of what fits, and what lies below it
        palette = ((b"\x10", last), (b"colors", found), (b"\x1b", shown))
        for keys, seen in ((b"?", "Esc closes"), (b"\x1b", shown), *palette):
            wizard.type(keys)
            wizard.wait_for(seen)
        wizard.resize(50, 15)
        wizard.wait_for("needs 60x20")
        wizard.resize(120, 40)
        wizard.wait_for("Commands")
        wizard.type(b"q")
        wizard.wait_for_end()
        assert wizard.written.isascii()
        assert wizard.exit_status == 0


def test_an_answer_outlives_a_kill_and_is_taken_up(home: Path) -> None:
    with cardboard_wizard(home) as wizard:
        wizard.wait_for("this is machine")
        to_field(wizard)
        wizard.type(b"org/tiny")
        until_kept("org/tiny", wizard)
        wizard.kill(signal.SIGKILL)
        wizard.wait_for_end()
    with cardboard_wizard(home) as wizard:
        wizard.wait_for("You left a draft a moment ago")
        wizard.type(b"g")
        wizard.wait_for("org/tiny")
        wizard.type(b"\x03")
        assert "Your draft is kept; `pegbox` goes on with it." in wizard.wait_for_end()


@pytest.mark.parametrize("how", ["hang-up", "SIGHUP", "SIGTERM"])
def test_a_connection_that_drops_ends_it_at_once_and_keeps_the_draft(how: str, home: Path) -> None:
    with cardboard_wizard(home) as wizard:
        wizard.wait_for("this is machine")
        to_field(wizard)
        wizard.type(b"org/tiny")
        until_kept("org/tiny", wizard)
        if how == "hang-up":
            wizard.hang_up()
        else:
            wizard.kill(signal.Signals[how])
        begin = time.monotonic()
        wizard.wait_for_end()
        assert time.monotonic() - begin < 5
        assert wizard.exit_status == (0 if how == "SIGTERM" else -signal.SIGHUP)
    left = read_draft()
    assert left is not None
    assert left.model == Model(name="org/tiny")


def test_a_terminal_of_40x10_is_told_what_it_needs_and_goes_on_once_it_is_larger(home: Path) -> None:
    with cardboard_wizard(home, columns=40, lines=10) as wizard:
        wizard.wait_for("needs 60x20")
        assert b"this is 40x10." in wizard.written
        assert b"this is machine" not in wizard.written
        wizard.resize(80, 24)
        wizard.wait_for("this is machine")
        for columns, lines in [(1, 1), (300, 100), (59, 24), (80, 3), (20, 80), (61, 21), (80, 24)]:
            wizard.resize(columns, lines)
        wizard.wait_for("this is machine")
        to_field(wizard)
        wizard.type(b"org/tiny")
        until_kept("org/tiny", wizard)
        wizard.type(b"\x03")
        wizard.wait_for_end()
        assert wizard.exit_status == 0


def test_100_kb_pasted_into_a_field_freeze_nothing(home: Path) -> None:
    with cardboard_wizard(home) as wizard:
        wizard.wait_for("this is machine")
        to_field(wizard)
        begin = time.monotonic()
        wizard.type_all(b"\x1b[200~\x1b[31mx" + b"y" * 100_000 + b"\x1b[201~")
        wizard.wait_for("4,096 characters")
        wizard.type(b"\x03")
        wizard.wait_for_end()
        assert time.monotonic() - begin < 10
        assert wizard.exit_status == 0


def test_a_full_screen_is_opened_for_people_alone(home: Path) -> None:
    done = pegbox(home=home)
    assert done.returncode == 2
    assert "the wizard" in done.stdout


def test_leaving_does_not_wait_for_what_is_still_being_looked_up(home: Path) -> None:
    with InTerminal(pegbox_command(), {"PEGBOX_HOME": str(home)}) as wizard:
        wizard.wait_for("processor")
        begin = time.monotonic()
        wizard.type(b"q")
        wizard.wait_for_end()
        assert time.monotonic() - begin < 3
        assert wizard.exit_status == 0


def test_no_color_leaves_greys_alone(home: Path) -> None:
    write_draft(Draft(step="goal", reached="goal", model=Model(name="a")))
    with cardboard_wizard(home, NO_COLOR="1", COLORTERM="truecolor") as wizard:
        wizard.wait_for("Commands")
        wizard.type(b"\x03")
        wizard.wait_for_end()
        assert wizard.colors()
        assert all(len(set(color)) == 1 for color in wizard.colors())
