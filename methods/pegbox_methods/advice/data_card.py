"""What the rows are like, as far as advice needs it: how many, how long, how much of them is learned."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class AtLength(msgspec.Struct, frozen=True, kw_only=True):
    """What a limit on the length does to the rows."""

    length: int
    """Tokens."""
    rows_truncated: float
    """Share of the rows that are longer."""
    trained_kept: float
    """Share of the trained tokens that are left."""
    mean_tokens: float
    """Mean length of a row after the cut."""


KEPT = 0.99
"""Share of the trained tokens that a recommended length should leave."""


def shortest(limits: Sequence[AtLength], kept: float = KEPT) -> AtLength:
    """Give the least limit that leaves such a share of the trained tokens, or the longest one."""
    return next((known for known in limits if known.trained_kept >= kept), limits[-1])


class DataCard(msgspec.Struct, frozen=True, kw_only=True):
    """A file of rows in figures. Lengths in tokens of the model's tokenizer, unless `estimate` says otherwise."""

    file: str
    format: str
    rows: int
    rows_counted: int
    """Rows whose tokens were counted: all of them, or a sample."""
    percentiles: dict[str, int]
    """p50, p90, p95, p99 and max of the rows' lengths."""
    mean_tokens: float
    trained_share: float
    """Of all tokens, those that are learned; the rest is context."""
    lengths: tuple[AtLength, ...]
    """What each usual limit does, shortest first."""
    counted_with: str
    """What counted the tokens."""
    estimate: str | None = None
    """Why the counts are estimates; None: they are what training will see."""
    held_out: int | None = None
    """Rows of another file, which are only judged by; None: there is none that is known."""
    also_held_out: int = 0
    """Of `rows`, those that are in that file too, and so aren't trained."""

    def at(self, length: int) -> AtLength:
        """Give what a limit does; between two known limits, the lower one's figures, which lose more."""
        below = [known for known in self.lengths if known.length <= length]
        return below[-1] if below else self.lengths[0]

    def shortest(self, kept: float) -> AtLength:
        """Give the least limit that leaves such a share of the trained tokens, or the longest one."""
        return shortest(self.lengths, kept)
