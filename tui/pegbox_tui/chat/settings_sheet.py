"""How the next answers are chosen, and what the system says before all else."""

from __future__ import annotations

from typing import ClassVar

import msgspec
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Label, Static

from pegbox_runs.chatting.records import Sampling
from pegbox_runs.printable import printable
from pegbox_tui.shell.fields import Field, visible

Settings = tuple[Sampling, str | None]
"""The words of the system too; None: those of each run's training."""
NUMBERS = {
    "temperature": "temperature: 0 takes the likeliest",
    "top_p": "top-p: only the likeliest that have it",
    "seed": "seed of each answer's draws",
    "tokens": "longest answer, in tokens",
}
SYSTEM = "system"


class SettingsScreen(ModalScreen[Settings | None]):
    """Returns what was set, once it can be; None: nothing shall change."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,f4", "dismiss(None)", "Close", key_display="esc"),
        Binding("down", "app.focus_next", show=False),
        Binding("up", "app.focus_previous", show=False),
    ]
    DEFAULT_CSS = """
    SettingsScreen {
        align: center middle;
    }
    SettingsScreen > #settings {
        width: 76;
        max-width: 96%;
        height: auto;
        padding: 0 1;
        border: round $primary;
        border-title-style: bold;
        border-subtitle-color: $text-muted;
        background: $surface;
    }
    SettingsScreen Horizontal {
        height: 1;
    }
    SettingsScreen Label {
        width: 40;
    }
    SettingsScreen Field {
        width: 1fr;
        height: 1;
        border: none;
        padding: 0;
    }
    SettingsScreen Field:focus {
        background: $boost;
        border: none;
    }
    SettingsScreen #fault {
        height: auto;
        color: $error;
    }
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._sampling, self._system = settings
        self._shown = visible(self._system or "")

    def compose(self) -> ComposeResult:
        """Lay out a line for each."""
        with Vertical(id="settings") as frame:
            frame.border_title = "From the next question on"
            frame.border_subtitle = "Enter takes them, Esc doesn't"
            for name, label in NUMBERS.items():
                with Horizontal():
                    yield Label(label)
                    # Every digit, for Enter takes what stands here; a whole number without its ".0".
                    yield Field(str(getattr(self._sampling, name)).removesuffix(".0"), id=f"set-{name}")
            with Horizontal():
                yield Label(f"system (empty: {'none' if self._system == '' else 'as in the training'})")
                yield Field(self._shown, id=f"set-{SYSTEM}", longest=100_000)
            yield Static(id="fault", markup=False)

    def on_mount(self) -> None:
        """Begin with the first."""
        self.query_one("#set-temperature").focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take them, or say what can't be taken."""
        event.stop()
        given = {name: self.query_one(f"#set-{name}", Field).value.strip() for name in NUMBERS}
        try:
            sampling = msgspec.convert(given, Sampling, strict=False)
        except msgspec.ValidationError as error:
            self.query_one("#fault", Static).update(printable(str(error)))
            return
        system = self.query_one(f"#set-{SYSTEM}", Field).value
        self.dismiss((sampling, self._system if system == self._shown else system or None))
