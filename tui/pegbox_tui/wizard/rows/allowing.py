"""Letting a finding pass, after a question."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from pegbox_tui.shell.confirm import ConfirmScreen
from pegbox_tui.wizard.rows.panes import Parts
from pegbox_tui.wizard.rows.words import CHOOSE, question, word_for
from pegbox_tui.wizard.step import StepScreen


def allow_chosen(step: StepScreen, then: Callable[[], None]) -> None:
    """Let the finding pass that is chosen in the list of parts, or take that back; `then` follows each change."""
    rows, finding = step.draft.rows, step.query_one(Parts).finding
    word = None if finding is None else word_for(finding)
    if rows is None or finding is None or word is None:
        step.notify(CHOOSE, severity="warning")
    elif word in rows.allow:
        _allow(step, word, then, sure=False)
    else:
        asked = ConfirmScreen(question(word, finding), yes="Let it pass")
        step.app.push_screen(asked, lambda sure: _allow(step, word, then, sure=True) if sure else None)


def _allow(step: StepScreen, word: str, then: Callable[[], None], *, sure: bool) -> None:
    rows = step.draft.rows
    if rows is not None:
        allowed = [one for one in rows.allow if one != word] + ([word] if sure else [])
        step.change(rows=msgspec.structs.replace(rows, allow=tuple(allowed)))
        then()
