"""The verdict pane's words."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from pegbox_tui.arena.panes import VerdictPane
from pegbox_tui.arena.verdict_text import verdict_lines
from pegbox_tui.arena.view import Scene
from tests.runs.arena.made_up_results import won

SENTENCE = "So far: Take lora: its loss is 1.4."


@pytest.mark.parametrize("complete", [True, False])
def test_that_it_is_so_far_is_said_once_by_the_sentence(complete: bool) -> None:
    sentence = SENTENCE.removeprefix("So far: ") if complete else SENTENCE
    made = msgspec.structs.replace(won(), complete=complete, recommendation=sentence, remarks=())
    scene = cast(Scene, SimpleNamespace(watched=SimpleNamespace(results=made)))
    title = VerdictPane.title_of(cast(Any, None), scene)
    shown = "\n".join([title, *(line.plain for line in verdict_lines(scene))])
    assert shown.lower().count("so far") == (not complete)
    assert sentence in shown
