"""A line that says for a moment what came of a key."""

from __future__ import annotations

from textual.timer import Timer

from pegbox_tui.shell.sheet import OneLine

SAID_SECONDS = 10.0


class SaidLine(OneLine):
    """Shown, by its class `-said`, as long as there is something to say."""

    def __init__(self, id: str) -> None:  # noqa: A002 - Textual's own word
        super().__init__(id=id)
        self._hide: Timer | None = None

    def tell(self, text: str, *, stay: bool = False) -> None:
        """Say something, for ten seconds unless it shall stay; it may hold anything."""
        self.say(text)
        self.add_class("-said")
        if self._hide is not None:
            self._hide.stop()
        self._hide = None if stay else self.set_timer(SAID_SECONDS, self._go)

    def _go(self) -> None:
        self.remove_class("-said")
