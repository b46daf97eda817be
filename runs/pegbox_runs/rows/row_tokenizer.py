"""What masking needs of a tokenizer, be it the light one of a screen or the worker's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from pegbox_runs.rows.chat_template import ChatTemplate


class Encoded(NamedTuple):
    """A text in tokens."""

    ids: list[int]
    offsets: list[tuple[int, int]]
    """The characters that each token stands for: the first, and the one behind the last; (0, 0): the tokenizer's."""


class RowTokenizer(Protocol):
    """Turns texts into tokens; knows its chat template and which tokens are special."""

    @property
    def special(self) -> frozenset[int]:
        """The tokens that no text is made of."""

    @property
    def special_texts(self) -> re.Pattern[str] | None:
        """Finds special tokens as they are written; None: there are none."""

    @property
    def end(self) -> int | None:
        """The token that ends a text."""

    @property
    def ends(self) -> frozenset[int]:
        """All tokens that end an answer, by the model's own word too."""

    @property
    def template(self) -> ChatTemplate | None:
        """None: the model has none."""

    def encode(self, texts: Sequence[str], *, templated: bool) -> list[Encoded]:
        """Tokenize; a template has written its own special tokens, plain text gets the tokenizer's."""

    def show(self, token: int) -> str:
        """Give a token's own text, as its vocabulary has it."""


def any_of(texts: Iterable[str]) -> re.Pattern[str] | None:
    """Compile a pattern that finds any of some texts, the longest first; None: there are none."""
    names = sorted({text for text in texts if text}, key=lambda text: (-len(text), text))
    return re.compile("|".join(map(re.escape, names))) if names else None
