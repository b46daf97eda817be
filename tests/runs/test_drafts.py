"""The draft on the disk: what can't be read is put aside, and one process of several keeps it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pegbox_runs.draft_hold import DraftHold
from pegbox_runs.drafts import Draft, draft_file, take_up_draft, write_draft


@pytest.mark.parametrize("content", [b"", b"{", b'{"new": 1}', b'{"instead": "\xff"}', b'{"values": ' + b"[" * 100_000])
def test_a_draft_that_cannot_be_read_is_put_aside_whole_and_it_is_said_where(content: bytes, home: Path) -> None:
    home.mkdir()
    draft_file().write_bytes(content)
    draft, said = take_up_draft()
    assert draft is None
    (aside,) = home.iterdir()
    assert aside.read_bytes() == content
    assert str(aside) in said
    assert take_up_draft() == (None, "")


def test_a_draft_that_can_be_read_stays_where_it_is(home: Path) -> None:
    write_draft(Draft(method="lora"))
    assert take_up_draft() == (Draft(method="lora"), "")
    assert draft_file().exists()


def test_one_of_two_keeps_the_draft_and_the_other_hears_who(home: Path) -> None:
    first, second = DraftHold(), DraftHold()
    assert first.take() is None
    taken = second.take()
    assert taken is not None
    assert "process" in taken
    first.release()
    assert second.take() is None
    second.release()


def test_a_process_that_ended_without_a_word_holds_nothing(home: Path) -> None:
    code = (
        "from pegbox_runs.draft_hold import DraftHold; import os; h = DraftHold(); print(h.take(), flush=True); input()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "None\n"
        hold = DraftHold()
        assert hold.take() == f"another window of Pegbox (process {other.pid})"
        other.kill()
        other.wait()
        assert hold.take() is None
        hold.release()


def test_a_place_without_locks_keeps_nobody_from_the_draft(home: Path) -> None:
    home.write_text("a file where the folder should be")
    assert DraftHold().take() is None
