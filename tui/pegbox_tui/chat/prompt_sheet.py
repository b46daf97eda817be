"""What the models are shown, to the last token: the text with its special tokens, and the tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from pegbox_runs.chatting.records import Rendered
from pegbox_runs.chatting.talk import Talk
from pegbox_runs.chatting.words import title
from pegbox_runs.printable import printable
from pegbox_tui.shell.sheet import Sheet


class PromptSheet(Sheet):
    """Lanes that are shown the same stand together."""

    def __init__(self, talk: Talk, lanes: Sequence[str]) -> None:
        super().__init__(id="prompt-text")
        self._talk = talk
        self._lanes = lanes
        self._shown: dict[str, Rendered] = {}

    def take(self, rendered: Rendered) -> None:
        """Take in what a lane is shown."""
        self._shown[rendered.lane] = rendered
        if self.is_mounted:
            self.on_resize()

    def on_resize(self) -> None:
        """Wrap it anew."""
        self.put([line for part in self._parts() for line in self.wrapped(part)])

    def _parts(self) -> Iterator[Text]:
        alike: dict[tuple[int, ...], list[str]] = {}
        for lane, rendered in self._shown.items():
            alike.setdefault(rendered.ids, []).append(lane)
        if not alike:
            yield Text("The worker hasn't told it yet.", "dim")
        for ids, lanes in alike.items():
            shown = self._shown[lanes[0]]
            yield Text(printable(", ".join(title(self._talk, lane) for lane in lanes)), "bold")
            of = f" of {shown.context:,}" if shown.context else ""
            left_out = f"; the oldest {shown.dropped} exchanges are left out" if shown.dropped else ""
            yield Text(f"{len(ids):,}{of} tokens{left_out}", "dim")
            yield Text(printable(shown.text))
            yield Text(" ".join(map(str, ids)), "dim")
            yield Text()


class PromptScreen(ModalScreen[None]):
    """Closed by Escape."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,enter,f3", "dismiss", "Close", key_display="esc")]
    DEFAULT_CSS = """
    PromptScreen {
        align: center middle;
    }
    PromptScreen > #prompt {
        width: 96%;
        height: 90%;
        padding: 0 1;
        border: round $primary;
        border-title-style: bold;
        border-subtitle-color: $text-muted;
        background: $surface;
    }
    PromptScreen #prompt-text {
        height: 1fr;
    }
    """

    def __init__(self, talk: Talk, lanes: Sequence[str]) -> None:
        super().__init__()
        self._sheet = PromptSheet(talk, lanes)

    def compose(self) -> ComposeResult:
        """Lay out one text that scrolls."""
        with Vertical(id="prompt") as frame:
            frame.border_title = "The prompt as the model sees it"
            frame.border_subtitle = "arrows scroll, Esc closes"
            yield self._sheet

    def on_mount(self) -> None:
        """Let the arrows scroll."""
        self._sheet.focus()

    def take(self, rendered: Rendered) -> None:
        """Take in what a lane is shown."""
        self._sheet.take(rendered)
