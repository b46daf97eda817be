"""Before the first step, where a draft was left: go on with it, or begin anew?"""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import Screen
from textual.widgets import Button, Static

from pegbox_runs.drafts import Draft
from pegbox_tui.shell.explaining import Explanation
from pegbox_tui.shell.key_line import KeyLine
from pegbox_tui.wizard.messages import TakenUp
from pegbox_tui.wizard.runs_line import RunsLine
from pegbox_tui.wizard.trail import Trail
from pegbox_tui.wizard.words import age_in_words, draft_in_words


class TakeUpScreen(Screen[None]):
    """Posts TakenUp. Enter goes on: that loses nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("g", "take_up(True)", "Go on"),
        Binding("n", "take_up(False)", "Begin anew"),
        Binding("left,right,up,down", "app.focus_next", show=False),
    ]
    DEFAULT_CSS = """
    TakeUpScreen > #take-up {
        width: 72;
        max-width: 100%;
        height: auto;
        padding: 1 2;
    }
    TakeUpScreen #draft {
        margin: 1 0;
        padding: 0 2;
        border-left: solid $primary;
    }
    TakeUpScreen #ways {
        height: auto;
    }
    TakeUpScreen Button {
        margin-right: 2;
    }
    """

    def __init__(self, draft: Draft, age_seconds: float) -> None:
        super().__init__()
        self._draft = draft
        self._age_seconds = age_seconds

    def compose(self) -> ComposeResult:
        """Lay out what the draft holds and two ways on."""
        yield Trail(self._draft, self._draft.step)
        yield RunsLine()
        with Vertical(id="take-up"):
            yield Static(f"You left a draft {age_in_words(self._age_seconds)}:", markup=False)
            yield Static(draft_in_words(self._draft), id="draft", markup=False)
            with Horizontal(id="ways"):
                yield Button("Go on with it (g)", id="go-on", variant="primary")
                yield Button("Begin anew (n)", id="anew")
        yield KeyLine()

    def on_mount(self) -> None:
        """Let Enter by itself lose nothing."""
        self.query_one("#go-on").focus()

    def explanation(self) -> Explanation:
        """Explain the choice."""
        return Explanation(
            "A draft",
            "Each answer is kept as you give it, so a connection that drops costs nothing. Go on: you find everything "
            "as you left it, and can still change all of it. Begin anew: the draft is forgotten. Runs that were "
            "started go on either way.",
        )

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Answer."""
        self.action_take_up(event.button.id == "go-on")

    def action_take_up(self, go_on: bool) -> None:
        """Answer by key."""
        self.post_message(TakenUp(go_on))

    def on_trail_pressed(self, message: Trail.Pressed) -> None:
        """Go on where the line was clicked: the draft's steps stand there."""
        message.stop()
        self.action_take_up(True)
