"""Examples as token ids and labels: what the model sees, and which of it is learned."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from pegbox_runs.rows.chat_template import NoTemplate, RowRefusal
from pegbox_runs.rows.example import Conversation, Example
from pegbox_runs.rows.rendering import Rendered, RowRenderer
from pegbox_runs.rows.row_tokenizer import Encoded, RowTokenizer
from pegbox_runs.rows.time_limit import TookTooLong, time_limit

IGNORED = -100
"""The label of a token that is context only; torch's and TRL's convention."""
BATCH = 1000
"""Rows that are tokenized at once, at most."""
BATCH_LETTERS = 1_000_000
"""Letters that close a batch earlier; in tokens they take some hundred megabytes at most."""
RENDERING_SECONDS = 10.0
"""For a row; an honest template takes less than a millisecond for one of some turns."""


class MaskedRow(NamedTuple):
    """A row in tokens, uncut."""

    ids: list[int]
    labels: list[int]
    """The same, and IGNORED where a token is context. The first is never learned: nothing predicts it."""
    offsets: list[tuple[int, int]]
    """As in Encoded, for `text`."""
    text: str
    templated: bool
    rewritten: bool
    """Whether the template leaves out or changes a part of an answer."""

    @property
    def trained(self) -> int:
        """Count the tokens that carry a label."""
        return len(self.labels) - self.labels.count(IGNORED)


def mask_rows(
    examples: Iterable[Example], tokenizer: RowTokenizer, seconds: float = RENDERING_SECONDS
) -> Iterator[MaskedRow]:
    """Render, tokenize and label examples, in order and a batch at a time; to render one may take so many `seconds`.

    Raises: RowRefusal: the chat template fails on a row, leaves it open which part of it is an answer, or never ends.
    """
    for batch in _batches(examples, RowRenderer(tokenizer.template), seconds):
        yield from _tokenized(batch, tokenizer)


def _batches(examples: Iterable[Example], renderer: RowRenderer, seconds: float) -> Iterator[list[Rendered]]:
    batch: list[Rendered] = []
    letters = 0
    for number, example in enumerate(examples):
        try:
            batch.append(_rendered(example, renderer, seconds))
        except RowRefusal as refusal:
            refusal.row = number
            raise
        letters += len(batch[-1].text)
        if len(batch) >= BATCH or letters >= BATCH_LETTERS:
            yield batch
            batch, letters = [], 0
    if batch:
        yield batch


def _rendered(example: Example, renderer: RowRenderer, seconds: float) -> Rendered:
    if not isinstance(example, Conversation):  # no foreign code
        return renderer.render(example)
    with rendering_limit(seconds):
        return renderer.render(example)


@contextmanager
def rendering_limit(seconds: float) -> Iterator[None]:
    """End a chat template that never ends by itself: it comes with a model, so it is foreign code.

    Raises: NoTemplate: it took longer.
    """
    try:
        with time_limit(seconds):
            yield
    except TookTooLong:
        raise NoTemplate(f"the chat template takes more than {seconds:g} s for a row") from None


def _tokenized(batch: list[Rendered], tokenizer: RowTokenizer) -> Iterator[MaskedRow]:
    """Label a batch; a function of its own, so that its tokens are gone before the next one's are made."""
    by_kind = {
        templated: iter(
            tokenizer.encode([row.text for row in batch if row.templated is templated], templated=templated)
        )
        for templated in {row.templated for row in batch}
    }
    for row in batch:
        yield _masked(row, next(by_kind[row.templated]), tokenizer.end)


def _masked(row: Rendered, encoded: Encoded, end: int | None) -> MaskedRow:
    ids, offsets = encoded
    labels = [IGNORED] * len(ids)
    for begin, stop in _token_spans(row, offsets):
        labels[begin:stop] = ids[begin:stop]
    if not row.templated and end is not None:
        if ids and ids[-1] == end:  # some tokenizers add it themselves
            labels[-1] = end
        else:
            ids, labels, offsets = [*ids, end], [*labels, end], [*offsets, (0, 0)]
    if labels:
        labels[0] = IGNORED
    return MaskedRow(ids, labels, offsets, row.text, row.templated, row.rewritten)


def _token_spans(row: Rendered, offsets: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Find the tokens of each learned span.

    A token is learned if any of its characters is, as transformers' assistant mask has it; but where the template marks
    nothing, not one that only begins with the blanks behind a turn and is the next one's. In front of a completion only
    blanks may be part of such a token: of any other text the model is asked to go on with the token's rest.
    """
    # (0, 0) marks what the tokenizer added. Other empty offsets are white space that it trims from them.
    real = [place for place, offset in enumerate(offsets) if offset != (0, 0)]
    firsts = [offsets[place][0] for place in real]
    lasts = [offsets[place][1] for place in real]
    for begin, stop in row.learned:
        low, high = bisect_right(lasts, begin), bisect_left(firsts, stop)
        if not row.templated and low < high and row.text[firsts[low] : begin].strip():
            low += 1
        if row.templated and not row.marked and low < high and lasts[high - 1] > stop:
            high -= not row.text[firsts[high - 1] : stop].strip()
        if begin < stop and low < high:
            yield real[low], real[high - 1] + 1
