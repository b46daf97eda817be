"""How long rows are in tokens, what a limit on the length costs, and what an order of rows wastes on padding."""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path

from pegbox_methods.advice.data_card import KEPT, AtLength, shortest
from pegbox_methods.refusal import Refusal
from pegbox_runs.light_tokenizer import LightTokenizer
from pegbox_runs.printable import one_line
from pegbox_runs.rows.chat_template import NoTemplate, RowRefusal, Spans
from pegbox_runs.rows.example import Completion, Conversation, Example, PlainText
from pegbox_runs.rows.masking import IGNORED, RENDERING_SECONDS, MaskedRow, mask_rows
from pegbox_runs.rows.padding import paddings
from pegbox_runs.rows.rendering import SHOWN
from pegbox_runs.rows.report import Bin, Lengths
from pegbox_runs.rows.row_tokenizer import RowTokenizer

LETTERS_PER_TOKEN = 4
"""Where there is no tokenizer. Source: rule of thumb for English."""
TURN_TOKENS = 5
"""What a template puts around a turn, where there is none."""
LENGTHS = (
    *range(64, 1024, 64),
    *range(1024, 2048, 128),
    *range(2048, 4096, 256),
    *range(4096, 16384, 1024),
    *(2**power for power in range(14, 23)),
)
"""Limits that are looked at, in tokens."""
BARS = 16
"""Of a histogram, at most."""
PERCENTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "max": 1.0}


@dataclass(frozen=True)
class RowTokens:
    """A row's length in tokens, and which of them are learned."""

    length: int
    learned: Spans
    """Ranges of places: first, and the one behind the last."""
    first_end: int | None = None
    """Place of the first learned token that ends an answer; None: there is none, or it isn't known."""
    rewritten: bool = False
    """Whether the template leaves out or changes a part of an answer."""

    def kept(self, length: int) -> int:
        """Count the learned tokens that a limit leaves."""
        return sum(max(0, min(stop, length) - begin) for begin, stop in self.learned)

    def shifted(self, tokens: int) -> RowTokens:
        """Put more context before what is learned."""
        learned = tuple((begin + tokens, stop + tokens) for begin, stop in self.learned)
        return RowTokens(self.length + tokens, learned)


@dataclass(frozen=True)
class CountedRows:
    """Rows in tokens, at least one, and how that is known."""

    rows: list[RowTokens]
    counted_with: str
    estimate: str | None
    """Why the counts are estimates; None: they are what training will see."""
    refused: int | None = None
    """Which row the chat template refused, the first of them, so that training would too."""

    @property
    def lengths(self) -> list[int]:
        """Give each row's length."""
        return [row.length for row in self.rows]

    @property
    def trained(self) -> int:
        """Count the learned tokens."""
        return sum(row.kept(row.length) for row in self.rows)


def count_lengths(
    examples: Sequence[Example],
    tokenizer: RowTokenizer | Path,
    total_rows: int,
    micro_batch: int = 4,
    *,
    accumulation: int = 4,
    seconds: float = RENDERING_SECONDS,
) -> Lengths:
    """Count the tokens of some rows, at least one, and say what follows for training.length and training.order.

    `tokenizer` may be a model's folder; without one that can be used, the counts are estimates. `total_rows` is how
    many rows there are, if these are a sample drawn by chance.
    """
    return lengths_of(counted_rows(examples, tokenizer, seconds), total_rows, micro_batch, accumulation=accumulation)


def lengths_of(counted: CountedRows, total_rows: int, micro_batch: int = 4, *, accumulation: int = 4) -> Lengths:
    """Say what follows from counted rows, all of `total_rows` or a sample of them."""
    limits = at_lengths(counted)
    best = shortest(limits)
    rows = len(counted.rows)
    spread = "" if rows == total_rows else f", on {rows} of {total_rows} rows drawn by chance"
    return Lengths(
        rows_counted=rows,
        tokens=sum(counted.lengths),
        tokens_trained=counted.trained,
        percentiles=percentiles(counted.lengths),
        histogram=histogram(counted.lengths),
        limits=limits,
        recommended=best.length,
        why=_why(best),
        micro_batch=micro_batch,
        padding=paddings(counted.lengths, best.length, total_rows, micro_batch, accumulation),
        counted_with=counted.counted_with + spread,
        estimate=counted.estimate,
    )


def counted_rows(
    examples: Sequence[Example],
    tokenizer: RowTokenizer | Path,
    seconds: float = RENDERING_SECONDS,
    *,
    template_file: Path | None = None,
) -> CountedRows:
    """Count each row's tokens as training will make them, else guess; rendering a batch may take so many `seconds`.

    `template_file`: a chat template in the place of the one in the model's folder, where `tokenizer` is that.
    """
    if isinstance(tokenizer, Path):
        try:
            tokenizer = LightTokenizer(tokenizer, template_file=template_file)
        except (OSError, ValueError) as error:
            return CountedRows(
                [_by_letters(row) for row in examples], f"{LETTERS_PER_TOKEN} letters a token", str(error)
            )
    try:
        rows = exact_rows(examples, tokenizer, seconds)
    except Refusal as error:
        texts = exact_rows([_untemplated(example) for example in examples], tokenizer)
        turns = [len(example.messages) if isinstance(example, Conversation) else 0 for example in examples]
        rows = [row.shifted(TURN_TOKENS * count) for row, count in zip(texts, turns, strict=True)]
        reason = error.reason if isinstance(error, NoTemplate) else error.sentence
        if isinstance(error, NoTemplate) and error.row is not None and tokenizer.template is not None:
            reason += f"; the row begins {_beginning(examples[error.row])!r}"
        refused = error.row if isinstance(error, RowRefusal) else None
        return CountedRows(rows, f"the model's tokenizer, and {TURN_TOKENS} tokens around each turn", reason, refused)
    return CountedRows(rows, "the model's tokenizer and chat template", None)


def exact_rows(
    examples: Sequence[Example], tokenizer: RowTokenizer, seconds: float = RENDERING_SECONDS
) -> list[RowTokens]:
    """Count tokens as training will make them. Raises: Refusal: the chat template fails on a row, or never ends."""
    return [_counted(row, tokenizer.ends) for row in mask_rows(examples, tokenizer, seconds)]


def at_lengths(counted: CountedRows) -> tuple[AtLength, ...]:
    """Say of each usual limit what it does, up to the first that cuts nothing."""
    longest, trained, rows = max(counted.lengths), counted.trained, counted.rows
    looked_at = next((n for n, length in enumerate(LENGTHS, start=1) if length >= longest), len(LENGTHS))
    return tuple(
        AtLength(
            length=length,
            rows_truncated=sum(row.length > length for row in rows) / len(rows),
            trained_kept=sum(row.kept(length) for row in rows) / max(trained, 1),
            mean_tokens=sum(min(row.length, length) for row in rows) / len(rows),
        )
        for length in LENGTHS[:looked_at]
    )


def percentiles(lengths: Sequence[int]) -> dict[str, int]:
    """Give p50, p90, p95, p99 and the longest."""
    ordered = sorted(lengths)
    return {key: ordered[min(len(ordered) - 1, int(share * len(ordered)))] for key, share in PERCENTILES.items()}


def histogram(lengths: Sequence[int]) -> tuple[Bin, ...]:
    """Count rows in bars of equal width; the last one holds the longest hundredth's far outliers too."""
    usual, longest = percentiles(lengths)["p99"], max(lengths)
    width = _round_up(math.ceil((usual + 1) / BARS))
    edges = list(range(0, usual + width, width))
    if longest >= edges[-1]:
        edges = [*edges[:BARS], longest + 1]
    return tuple(Bin(begin, stop, sum(begin <= length < stop for length in lengths)) for begin, stop in pairwise(edges))


def _round_up(width: int) -> int:
    """Give the next width that reads well: a power of 2 up to 64, above that 1, 2 or 5 times a power of 10."""
    widths: tuple[int, ...] = (
        *(2**power for power in range(7)),
        *(digit * 10**power for power in range(2, 8) for digit in (1, 2, 5)),
    )
    return next(known for known in widths if known >= width)


def _why(best: AtLength) -> str:
    kept = f"{100 * best.trained_kept:.3g} % of the trained tokens"
    if best.rows_truncated:
        return f"the least that leaves {kept}; {100 * best.rows_truncated:.3g} % of the rows lose their end"
    if best.trained_kept < KEPT:
        return f"the longest that is looked at; it leaves {kept}"
    return "the least that cuts nothing that is trained"


def _counted(row: MaskedRow, ends: Set[int]) -> RowTokens:
    learned, place, labels = [], 0, row.labels
    for trained, alike in groupby(label != IGNORED for label in labels):
        stop = place + sum(1 for _ in alike)
        if trained:
            learned.append((place, stop))
        place = stop
    first_end = next((place for place, label in enumerate(labels) if label in ends), None)
    return RowTokens(len(labels), tuple(learned), first_end, row.rewritten)


def _untemplated(example: Example) -> Completion | PlainText:
    """Join a conversation's turns: the last answer is taken as what is learned."""
    if not isinstance(example, Conversation):
        return example
    *before, last = example.messages
    return Completion("\n".join(message.content for message in before), last.content)


def _beginning(example: Example) -> str:
    return one_line(example.messages[0].content if isinstance(example, Conversation) else "", SHOWN)


def _by_letters(example: Example) -> RowTokens:
    """Guess by letters."""
    plain = _untemplated(example)
    prompt, answer = (plain.prompt, plain.completion) if isinstance(plain, Completion) else ("", plain.text)
    around = TURN_TOKENS * len(example.messages) if isinstance(example, Conversation) else 1
    begin = len(prompt) // LETTERS_PER_TOKEN + around
    stop = begin + max(1, len(answer) // LETTERS_PER_TOKEN)
    return RowTokens(stop, ((begin, stop),))
