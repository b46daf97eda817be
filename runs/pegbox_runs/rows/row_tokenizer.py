"""What masking needs of a tokenizer, be it the light one of a screen or the worker's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from pegbox_runs.rows.chat_template import ChatTemplate


class Encoded(NamedTuple):
    """A text in tokens."""

    ids: list[int]
    offsets: list[tuple[int, int]]
    """The characters that each token stands for: the first, and the one behind the last; (0, 0): the tokenizer's."""


class RowTokenizer(Protocol):
    """Turns texts into tokens; knows its chat template and which tokens are special."""

    special: frozenset[int]
    end: int | None
    """The token that ends a text."""
    template: ChatTemplate | None
    """None: the model has none."""

    def encode(self, texts: Sequence[str], *, templated: bool) -> list[Encoded]:
        """Tokenize; a template has written its own special tokens, plain text gets the tokenizer's."""

    def show(self, token: int) -> str:
        """Give a token's own text, as its vocabulary has it."""
