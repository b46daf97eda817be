"""What comes from outside is shown, and never acts: neither on a terminal nor as markup of a screen."""

from __future__ import annotations

import contextlib
import io
import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pegbox.answer import answer_json, say
from pegbox.commands import watch
from pegbox.plain_view import lines
from pegbox_methods.events import (
    AnyEvent,
    CommandAnswer,
    Failed,
    Notice,
    Phase,
    Replanned,
    Restarting,
    Sample,
    WorkerEnded,
    WorkerFailed,
)
from pegbox_methods.events import Change as Changed
from pegbox_runs.event_log import EventWriter
from pegbox_runs.printable import one_line, printable
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_state import fold
from pegbox_runs.supervision.telling import conclude
from pegbox_tui.app import WatchApp
from pegbox_tui.shell.sheet import Sheet
from tests.stories import STORY, made, started

ATTACKS = (
    "\x1b[2J\x1b]0;owned\x07",
    "\x1b]52;c;cm0gLXJm\x07",
    "\x9b31m",
    "\x90q\x9c",
    "[red]markup[/red][@click=app.quit]x[/]",
    "\u202etxt.exe\u202c",
    "\u2066hidden\u2069",
    "\u200b\ufeff\u00ad",
    "a\rb",
    "\x08\x08\x08",
    "\x00",
    "\U000e0041\U000e0042",
    "[/",
    "\\",
)
hostile = st.lists(st.sampled_from(ATTACKS) | st.text(max_size=6), min_size=1, max_size=4).map("".join)


def acts(shown: str) -> list[str]:
    """Name characters of a text that a terminal acts on, or that reorder or hide what stands beside them."""
    return [
        repr(c)
        for c in shown
        if (unicodedata.category(c) == "Cc" and c not in "\n\t") or unicodedata.bidirectional(c) in BIDI or c in HIDDEN
    ]


BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
HIDDEN = "\u200b\u200e\u200f\u2028\u2029\ufeff\u2060" + "".join(map(chr, range(0xE0000, 0xE0080)))


def told(text: str) -> tuple[AnyEvent, ...]:
    """Put a text wherever an event has room for one."""
    return (
        Phase(phase="loading", detail=text),
        Notice(text=text, about=text),
        Sample(step=0, index=0, question=text, answer=text, expected=text),
        CommandAnswer(command=text, id=text, taken=False, text=text, latency=0.0),
        WorkerFailed(kind="error", what=text, where=text, remedy=text, doing=text),
        WorkerEnded(attempt=1, exit_code=None, signal=text, evidence=text),
        Replanned(step=1, why="asked", changes=(Changed(key=text, before=text, after=text),), text=text),
        Restarting(attempt=2, why=text, after_seconds=1.0, left=1),
        started(run=text, method=text, model=text),
        Failed(what=text, where=text, remedy=text),
    )


@settings(max_examples=30)
@given(hostile)
def test_nothing_that_acts_is_left_of_a_text_that_is_shown(text: str) -> None:
    assert acts(printable(text)) == []
    assert acts(one_line(text, 80)) == []


@settings(max_examples=30)
@given(hostile)
def test_the_command_line_says_what_came_from_outside_without_its_effects(text: str) -> None:
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        say(text)
    assert acts(shown.getvalue()) == []


@settings(max_examples=30)
@given(hostile)
def test_plain_view_shows_every_event_without_its_effects(text: str) -> None:
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        for event in told(text):
            for line in lines(event, fold([event])):
                say(line)
    assert acts(shown.getvalue()) == []


@settings(max_examples=30)
@given(hostile)
def test_json_holds_no_character_that_a_terminal_acts_on_and_reads_back_as_it_was(text: str) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="utf-8")
    with contextlib.redirect_stdout(stream):
        answer_json({"text": text})
        content = raw.getvalue()
    assert json.loads(content)["text"] == text
    assert acts(content.decode()) == []


def a_run(text: str) -> RunFolder:
    folder = made()
    writer = EventWriter(folder.events)
    for event in (*STORY, *told(text)):
        writer.emit(event)
    writer.close()
    conclude(folder)
    return folder


@pytest.mark.parametrize("attack", ATTACKS, ids=ascii)
def test_watch_shows_a_hostile_run_without_its_effects(attack: str, capsys: pytest.CaptureFixture[str]) -> None:
    watch.show(a_run(attack), json=False, plain=True)
    captured = capsys.readouterr()
    assert acts(captured.out) == []
    assert acts(captured.err) == []


async def test_the_dashboard_draws_a_hostile_run_as_text(home: Path) -> None:
    folder = a_run("".join(ATTACKS))
    app = WatchApp(folder)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause(0.5)
        await pilot.press("x")
        drawn = "\n".join(
            "".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips()
        )
        assert acts(drawn) == []
        assert app.is_running
        said = " ".join(part.said for part in app.screen.query(Sheet))
        assert "[red]markup" in said
        assert acts(said) == []
