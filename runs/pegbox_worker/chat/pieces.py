"""Tokens turned into text as they come: only whole characters, and in the end no letter more or less."""

from __future__ import annotations

from collections.abc import Set
from typing import Any

UNFINISHED = "\ufffd"
"""What a decoder writes for bytes that make no character, or none yet."""
LONGEST_CHARACTER = 8
"""Tokens to wait for at most: a character has four bytes, and byte tokens hold one each."""


class Pieces:
    """Decodes an answer. Its end token isn't text; other special tokens are shown, as a model shouldn't write them."""

    def __init__(self, tokenizer: Any, ends: Set[int]) -> None:
        self._tokenizer = tokenizer
        self._ends = ends
        self._ids: list[int] = []
        self._begin = 0
        """From here on tokens are decoded: some decoders write a token otherwise at the beginning of a text."""
        self._told = 0
        """Up to here they are told."""
        self.ended = False
        """Whether the model itself ended the answer."""

    def __len__(self) -> int:
        """Count the tokens so far, an end token too."""
        return len(self._ids) + self.ended

    def add(self, token: int) -> str:
        """Take a token. Returns: the text that is whole by now."""
        if token in self._ends:
            self.ended = True
            return ""
        self._ids.append(token)
        text = self._new_text()
        if text.endswith(UNFINISHED) and len(self._ids) - self._told < LONGEST_CHARACTER:
            return ""
        self._begin, self._told = self._told, len(self._ids)
        return text

    def rest(self) -> str:
        """Give what was held back, at the end."""
        text = self._new_text()
        self._begin, self._told = self._told, len(self._ids)
        return text

    def _new_text(self) -> str:
        before = self._decoded(self._ids[self._begin : self._told])
        return self._decoded(self._ids[self._begin :])[len(before) :]

    def _decoded(self, ids: list[int]) -> str:
        text = self._tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return str(text)
