"""judged.json: what a run's model made of each held-out row, before the training and after it."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import msgspec

from pegbox_methods.events import UNDECODABLE
from pegbox_methods.recipe import Metric
from pegbox_runs.whole_file import write_whole

JUDGED = "judged.json"


class RowLosses(msgspec.Struct, frozen=True, kw_only=True):
    """The plain task's loss of each row, in the rows' own order; no method's extra terms are in it."""

    nats: tuple[float, ...]
    """Sum of the cross-entropies over a row's labelled tokens."""
    tokens: tuple[int, ...]
    """Labelled tokens of each row; at least one."""

    @property
    def mean(self) -> float:
        """Nats per labelled token, over all rows: the loss that evaluations tell."""
        return sum(self.nats) / max(1, sum(self.tokens))


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """One model, seen through the rows."""

    held_out: RowLosses
    general: RowLosses | None = None
    """Of rows that have nothing to do with the task: what rises there was forgotten."""
    scores: dict[Metric, tuple[float, ...]] = {}
    """Each from 0 to 1, of the answers to the first held-out questions, in their order."""


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """The whole record."""

    before: Judgement
    """The base model, as the method holds it: packed into 4 bits where it packs it."""
    after: Judgement
    """With the adapter's kept weights."""
    kept_step: int
    """After which step those were."""
    seconds: float
    """What looking took, before and after."""
    before_seconds: float = 0.0
    """Of those, what the base model took; none where its judgement was remembered."""
    look_seconds: float = 0.0
    """Of those, what the held-out rows' losses took once, with the adapter."""

    @property
    def after_seconds(self) -> float:
        """Of those, what the kept weights took: losses, and answers to questions where they are measured."""
        return self.seconds - self.before_seconds


class OncePerBase:
    """Holds once what many runs have alike, the rows' lengths and what one base model makes of them: most of their
    records. What is each run's own is held as bare numbers.
    """

    def __init__(self) -> None:
        self._nats: dict[tuple[float, ...], tuple[float, ...]] = {}
        self._tokens: dict[tuple[int, ...], tuple[int, ...]] = {}

    def __call__(self, judged: Judged) -> Judged:
        """Give the same record, in less memory."""
        before, after = judged.before, judged.after
        return msgspec.structs.replace(
            judged,
            before=msgspec.structs.replace(
                before,
                held_out=self._losses(before.held_out, base=True),
                general=None if before.general is None else self._losses(before.general, base=True),
                scores={name: self._nats.setdefault(values, values) for name, values in before.scores.items()},
            ),
            after=msgspec.structs.replace(
                after,
                held_out=self._losses(after.held_out),
                general=None if after.general is None else self._losses(after.general),
                scores={name: _bare(values) for name, values in after.scores.items()},
            ),
        )

    def _losses(self, rows: RowLosses, *, base: bool = False) -> RowLosses:
        nats = self._nats.setdefault(rows.nats, rows.nats) if base else _bare(rows.nats)
        return RowLosses(nats=nats, tokens=self._tokens.setdefault(rows.tokens, rows.tokens))


def _bare(values: Sequence[float]) -> tuple[float, ...]:
    """Hold numbers in a fifth of a tuple's room, and in its place: indexed and added up alike; don't change or compare.

    What a file is decoded into stays a tuple; ten thousand of those would be most of a director's memory.
    """
    return cast("tuple[float, ...]", array("d", values))


def write_judged(judged: Judged, folder: Path) -> None:
    """Write the record into a run's folder, whole. Raises: OSError."""
    write_whole(folder / JUDGED, msgspec.json.encode(judged) + b"\n")


def read_judged(folder: Path) -> Judged | None:
    """Read a run's record; None where there is none, or none that is whole."""
    try:
        return msgspec.json.decode((folder / JUDGED).read_bytes(), type=Judged)
    except (OSError, *UNDECODABLE):
        return None
