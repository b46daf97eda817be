"""What stops a run before its first step: rows that teach nothing, or a model that never learns to stop."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from itertools import chain
from typing import Literal

import msgspec

from pegbox_methods.recipe import Allowed
from pegbox_methods.refusal import Refusal
from pegbox_runs.printable import one_line
from pegbox_runs.rows.mask_view import ShownRow, marked_text
from pegbox_runs.rows.masking import IGNORED

LEAST_TRAINED = 0.01
"""Share of the tokens that must be trained, unless the recipe allows less."""
MOST_WITHOUT_END = 0.99
"""Share of the rows in which no end token is trained, from which on a run is refused."""
SHOWN_TOKENS = 200
"""Of the row that a fault shows, on either side of where its trained part begins."""
SHOWN_WIDTH = 100


class MaskCounts(msgspec.Struct, frozen=True, kw_only=True):
    """The labels of all training rows, counted after the cut at training.length."""

    rows: int
    tokens: int
    trained: int
    """Tokens that carry a label."""
    untrained_rows: int
    """Rows in which no token carries a label."""
    rows_without_end: int
    """Rows, among those that train anything, in which no end token carries a label."""


class PlacedRow(msgspec.Struct, frozen=True):
    """A row that shows a fault, and where it lies."""

    place: str
    """As Place writes it; empty: unknown."""
    row: ShownRow


class MaskFault(msgspec.Struct, frozen=True, kw_only=True):
    """One reason not to begin."""

    name: Allowed | Literal["padding-eats-labels"]
    sentence: str
    """What was found, and why it matters."""
    shown: str
    """Such a row, its trained tokens in brackets; several lines, printable. Empty: there is none to show."""
    allow: Allowed | None
    """The word of rows.allow that lets it pass; None: nothing does."""

    def __str__(self) -> str:
        todo = f' To go on all the same, add "{self.allow}" to rows.allow.' if self.allow else ""
        return f"{self.sentence}{todo}" + (f"\n{self.shown}" if self.shown else "")


def mask_faults(
    counts: MaskCounts,
    *,
    untrained: PlacedRow | None = None,
    little: PlacedRow | None = None,
    endless: PlacedRow | None = None,
) -> tuple[MaskFault, ...]:
    """Judge the labels of all rows.

    `untrained`: a row that trains nothing; `little`: one of which little is trained; `endless`: one that trains no
    end token. Each is shown where its fault is found, and may be None where the caller has none.
    """
    return tuple(
        fault
        for fault in (_untrained(counts, untrained), _little(counts, little), _endless(counts, endless))
        if fault is not None
    )


def padding_fault(
    before: Sequence[Sequence[int]], after: Sequence[Sequence[int]], show: Callable[[int], PlacedRow] | None = None
) -> MaskFault | None:
    """Compare the labels of some rows with those that the collator made of them.

    `after` holds one padded row each, or one row of all of them in a flattened batch; `show` gives the row of a number.
    """
    kept = [_labels(row) for row in before]
    made = [_labels(row) for row in after]
    if len(after) != len(before):
        kept, made = [list(chain.from_iterable(kept))], [list(chain.from_iterable(made))]
    for number, (wanted, found) in enumerate(zip(kept, made, strict=True)):
        if wanted != found:
            sentence = (
                f"Padding eats labels: a row that trains {len(wanted)} tokens trains {len(found)} after it was put "
                "into a batch. This is a fault of the tokenizer's padding token or of a plugin's collator, not of the "
                "rows; name a padding token that isn't an end token."
            )
            shown = "" if show is None or len(after) != len(before) else _shown(show(number))
            return MaskFault(name="padding-eats-labels", sentence=sentence, shown=shown, allow=None)
    return None


def refuse_mask_faults(faults: Sequence[MaskFault], allowed: Collection[str]) -> None:
    """Refuse with every fault that the recipe doesn't allow.

    Raises: Refusal: there is one.
    """
    left = [fault for fault in faults if fault.allow is None or fault.allow not in allowed]
    if left:
        raise Refusal("\n".join(map(str, left)))


def _untrained(counts: MaskCounts, row: PlacedRow | None) -> MaskFault | None:
    if not counts.untrained_rows:
        return None
    which = "Every row trains" if counts.untrained_rows == counts.rows else f"{_rows(counts.untrained_rows)} nothing"
    sentence = (
        f"{which} nothing: no token of an answer is left within training.length. Raise it, or mend the rows."
        if counts.untrained_rows == counts.rows
        else f"{which}: no token of an answer is left within training.length. Raise it, or leave such rows out."
    )
    return MaskFault(name="untrained-rows", sentence=sentence, shown=_shown(row), allow="untrained-rows")


def _rows(count: int) -> str:
    return "1 row trains" if count == 1 else f"{count} rows train"


def _little(counts: MaskCounts, row: PlacedRow | None) -> MaskFault | None:
    if not counts.tokens or counts.trained >= LEAST_TRAINED * counts.tokens:
        return None
    sentence = (
        f"Only {counts.trained} of {counts.tokens} tokens ({100 * counts.trained / counts.tokens:.2g} %) are trained, "
        f"less than {100 * LEAST_TRAINED:g} %: nearly all of the work would go into context. Look whether the right "
        "column is taken as the answer, and whether the template marks it."
    )
    return MaskFault(name="few-trained-tokens", sentence=sentence, shown=_shown(row), allow="few-trained-tokens")


def _endless(counts: MaskCounts, row: PlacedRow | None) -> MaskFault | None:
    training = counts.rows - counts.untrained_rows
    if training <= 0 or counts.rows_without_end < MOST_WITHOUT_END * training:
        return None
    sentence = (
        f"In {counts.rows_without_end} of {training} rows no end token is trained: the model would never learn to "
        "stop. Name a chat template that ends each answer with the model's end token, or raise training.length if "
        "answers are cut."
    )
    return MaskFault(name="end-not-learned", sentence=sentence, shown=_shown(row), allow="end-not-learned")


def _labels(row: Sequence[int]) -> list[int]:
    return [label for label in row if label != IGNORED]


def _shown(found: PlacedRow | None) -> str:
    if found is None:
        return ""
    head = f"{one_line(found.place, SHOWN_WIDTH)}: " if found.place else ""
    return f"{head}{marked_text(found.row, width=SHOWN_WIDTH, tokens=SHOWN_TOKENS)}"
