"""The verdict pane's words."""

from __future__ import annotations

import msgspec
import pytest

from pegbox_runs.arena.watching.standings import Watched
from pegbox_tui.arena.panes import VerdictPane
from pegbox_tui.arena.verdict_text import verdict_lines
from pegbox_tui.arena.view import Scene, View
from tests.runs.arena.made_up_results import won

SENTENCE = "So far: Take lora: its loss is 1.4."


@pytest.mark.parametrize("complete", [True, False])
def test_that_it_is_so_far_is_said_once_by_the_sentence(complete: bool) -> None:
    sentence = SENTENCE.removeprefix("So far: ") if complete else SENTENCE
    made = msgspec.structs.replace(won(), complete=complete, recommendation=sentence, remarks=())
    scene = Scene(Watched(id=made.comparison, results=made), View(), 0.0)
    title = VerdictPane().title_of(scene)
    shown = "\n".join([title, *(line.plain for line in verdict_lines(scene))])
    assert shown.lower().count("so far") == (not complete)
    assert sentence in shown
