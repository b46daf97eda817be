"""The line on top of each step: where one is, what is answered. A click goes to a step, or on and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.text import Text
from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.widget import Widget

from pegbox_runs.drafts import STEPS, Draft, StepName
from pegbox_tui.wizard.words import TITLES, answer_of, is_answered

TURNS = (("← Back", "Next →"), ("←", "→"))
"""The longest that has room."""


class Part(NamedTuple):
    """A stretch of the line."""

    text: str
    to: str
    """A step, `back` or `next`."""


class Trail(Widget):
    """Draws the line for a draft, as seen from one step."""

    DEFAULT_CSS = """
    Trail {
        height: 1;
        width: 100%;
        padding: 0 1;
        background: $panel;
        color: $foreground;
        pointer: pointer;
    }
    """

    class Pressed(Message):
        """A part of the line was clicked."""

        def __init__(self, to: str) -> None:
            super().__init__()
            self.to = to

    def __init__(self, draft: Draft, here: StepName) -> None:
        super().__init__()
        self._draft = draft
        self._here = here

    def show(self, draft: Draft) -> None:
        """Draw another draft."""
        self._draft = draft
        self.refresh()

    def render(self) -> Text:
        """Draw what has room: names of answers where there is much, the ways on and back where there is some."""
        text = Text(no_wrap=True, end="")
        for part in self._parts():
            reached = part.to not in STEPS or _reached(self._draft, part.to)
            style = "bold reverse" if part.text.startswith("[") else "" if reached else "dim"
            text.append(part.text, style)
        return text

    def _parts(self) -> list[Part]:
        return trail_parts(self._draft, self._here, self.content_size.width)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002 - the base class's
        """Take one line, always."""
        return 1

    def on_click(self, event: events.Click) -> None:
        """Tell which part it was."""
        offset = event.get_content_offset(self)
        if offset is not None and (to := part_at(self._parts(), offset.x)) is not None:
            self.post_message(self.Pressed(to))


def _reached(draft: Draft, step: str) -> bool:
    return [*STEPS].index(step) <= STEPS.index(draft.reached)  # type: ignore[arg-type]


def part_at(parts: Sequence[Part], cell: int) -> str | None:
    """Find where a cell of the line leads; None: nowhere."""
    for part in parts:
        if cell < cell_len(part.text):
            return part.to or None
        cell -= cell_len(part.text)
    return None


def trail_parts(draft: Draft, here: StepName, width: int) -> list[Part]:
    """Lay the line out in so many cells. The step that is open stands in brackets, an answered one has a check."""
    for answer_width, (back, on) in ((24, TURNS[0]), (16, TURNS[0]), (10, TURNS[0]), (0, TURNS[0]), (0, TURNS[1])):
        steps = [_step_part(draft, here, name, answer_width) for name in STEPS]
        turns = [Part(back, "back"), Part("  ", ""), Part(on, "next")]
        room = width - sum(cell_len(part.text) for part in (*steps, *turns))
        if room >= 1:
            return [*steps, Part(" " * room, ""), *turns]
    return steps


def _step_part(draft: Draft, here: StepName, name: StepName, answer_width: int) -> Part:
    words = f"{STEPS.index(name) + 1} {TITLES[name]}"
    if name == here:
        return Part(f"[{words}]", name)
    if is_answered(draft, name):
        answer = answer_of(draft, name, answer_width) if answer_width else ""
        words += f" ✓ {answer}" if answer else " ✓"
    return Part(f" {words} ", name)
