"""A line to type into that nothing pasted can harm."""

from __future__ import annotations

from typing import Any

from textual.widgets import Input

from pegbox_runs.printable import printable

LONGEST = 4096
"""Characters: Linux takes no longer path (PATH_MAX in limits.h), and no name or number of ours is longer."""


class Field(Input):
    """An Input with a bound, whose cursor doesn't blink: each blink would be bytes on the wire.

    Characters that act on a terminal or can't be seen never get in, wherever they come from; what is too long is
    refused whole, because half a path is another path. Both are said.
    """

    def __init__(
        self, value: str | None = None, placeholder: str = "", *, longest: int = LONGEST, **given: Any
    ) -> None:
        self._told = ""
        # Selected on focus, what is typed at once would be typed over: the focus is told behind the first letters.
        given.setdefault("select_on_focus", False)
        super().__init__(None, placeholder, max_length=longest, **given)
        self.cursor_blink = False
        if value is not None:
            self.value = value

    def validate_value(self, value: str) -> str:
        """Let in what can be seen alone: values are also set from a draft or a list."""
        return visible(value)

    def replace(self, text: str, start: int, end: int) -> None:
        """Put text in the place of what is between two positions: what is typed, pasted and completed comes by here."""
        clean = visible(text)
        removed = len(text) - len(clean)
        longest = self.max_length or LONGEST
        length = len(self.value) - abs(end - start) + len(clean)
        if length > longest:
            said = f"This field takes {longest:,} characters; this would make {length:,}. Nothing was put in."
            self._tell("too long", said)
            return
        if removed:
            noun = "character" if removed == 1 else "characters"
            self._tell("unseen", f"{removed:,} {noun} that can't be seen or act on the terminal: left out.")
        else:
            self._told = ""
        super().replace(clean, start, end)

    def restricted(self) -> None:
        """Stay silent: a bell says nothing of what is wrong."""

    def _tell(self, kind: str, sentence: str) -> None:
        """Say it once, not at each key that is held down."""
        if kind != self._told:
            self._told = kind
            self.notify(sentence, severity="warning", markup=False)


def visible(text: str) -> str:
    """Leave out what acts on a terminal, reorders or hides text; line breaks and tabs too: a field is one line."""
    if text == printable(text) and "\n" not in text and "\t" not in text:
        return text
    return "".join(letter for letter in text if letter not in "\n\t" and printable(letter) == letter)
