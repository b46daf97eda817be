"""A file of rows in figures, for the advice: tokens are counted with the model's own tokenizer, in about a second."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from pegbox_methods.advice.data_card import AtLength, DataCard
from pegbox_runs.light_tokenizer import RENDERING_SECONDS, LightTokenizer, NoTemplate, rendering_limit
from pegbox_runs.models import FoundModel
from pegbox_runs.rows.example import Completion, Conversation, Example, Message, PlainText
from pegbox_runs.rows.files import read_rows
from pegbox_runs.rows.formats import read_examples

SAMPLE = 1000
"""Rows whose tokens are counted at most; a share of theirs is known within about 3 %."""
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

Spans = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class RowTokens:
    """A row's length in tokens, and which of them are learned."""

    length: int
    learned: Spans
    """Ranges of places: first, and the one behind the last."""

    def kept(self, length: int) -> int:
        """Count the learned tokens that a limit leaves."""
        return sum(max(0, min(stop, length) - begin) for begin, stop in self.learned)

    def shifted(self, tokens: int) -> RowTokens:
        """Put more context before what is learned."""
        learned = tuple((begin + tokens, stop + tokens) for begin, stop in self.learned)
        return RowTokens(self.length + tokens, learned)


def data_card(path: Path, model: FoundModel, *, sample: int = SAMPLE) -> DataCard:
    """Read a file of rows and describe it.

    Raises: Refusal: the file can't be read, or rows don't fit its format.
    """
    name, examples = read_examples(str(path), read_rows(path), "auto")
    chosen = examples
    if len(examples) > sample:
        chosen = random.Random(0).sample(examples, sample)  # noqa: S311 - the same card for the same file
    rows, counted_with, estimate = _count(chosen, model.folder)
    if len(chosen) < len(examples):
        counted_with += f", on {len(chosen)} of {len(examples)} rows drawn by chance"
    lengths = sorted(row.length for row in rows)
    total, trained = sum(lengths), sum(row.kept(lengths[-1]) for row in rows)
    places = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "max": 1.0}
    return DataCard(
        file=str(path),
        format=name,
        rows=len(examples),
        rows_counted=len(chosen),
        percentiles={key: lengths[min(len(lengths) - 1, int(share * len(lengths)))] for key, share in places.items()},
        mean_tokens=total / len(lengths),
        trained_share=trained / max(total, 1),
        lengths=tuple(_limits(rows, lengths[-1], trained)),
        counted_with=counted_with,
        estimate=estimate,
    )


def _limits(rows: Sequence[RowTokens], longest: int, trained: int) -> Iterable[AtLength]:
    """Say of each usual limit what it does, up to the first that cuts nothing."""
    for length in LENGTHS:
        yield AtLength(
            length=length,
            rows_truncated=sum(row.length > length for row in rows) / len(rows),
            trained_kept=sum(row.kept(length) for row in rows) / max(trained, 1),
            mean_tokens=sum(min(row.length, length) for row in rows) / len(rows),
        )
        if length >= longest:
            return


def _count(examples: Sequence[Example], folder: Path) -> tuple[list[RowTokens], str, str | None]:
    """Count each row's tokens. Returns: (rows, what counted them, why that is an estimate or None)."""
    try:
        tokenizer = LightTokenizer(folder)
    except (OSError, ValueError) as error:
        rows = [_by_letters(example) for example in examples]
        return rows, f"{LETTERS_PER_TOKEN} letters a token", str(error)
    try:
        rows = _exact(examples, tokenizer)
    except NoTemplate as error:
        texts = _exact([_untemplated(example) for example in examples], tokenizer)
        turns = [len(example.messages) if isinstance(example, Conversation) else 0 for example in examples]
        rows = [row.shifted(TURN_TOKENS * count) for row, count in zip(texts, turns, strict=True)]
        return rows, f"the model's tokenizer, and {TURN_TOKENS} tokens around each turn", str(error)
    return rows, "the model's tokenizer and chat template", None


def _exact(examples: Sequence[Example], tokenizer: LightTokenizer) -> list[RowTokens]:
    """Count tokens as training will make them. Raises: NoTemplate."""
    with rendering_limit(RENDERING_SECONDS):
        rendered = [(isinstance(example, Conversation), *_rendered(example, tokenizer)) for example in examples]
    rows: list[RowTokens] = []
    for templated, alike in groupby(rendered, lambda row: row[0]):
        texts = [(text, spans) for _, text, spans in alike]
        encoded = tokenizer.encode([text for text, _ in texts], templated=templated)
        for (_, spans), (ids, offsets) in zip(texts, encoded, strict=True):
            rows.append(_labelled(spans, ids, offsets, tokenizer, templated=templated))
    return rows


def _labelled(
    spans: Spans, ids: list[int], offsets: list[tuple[int, int]], tokenizer: LightTokenizer, *, templated: bool
) -> RowTokens:
    """Find the tokens whose characters begin inside a learned span, as the worker labels them."""
    learned = []
    for begin, stop in spans:
        inside = [i for i, (first, last) in enumerate(offsets) if begin <= first < stop and (first, last) != (0, 0)]
        if not inside:
            continue
        end = inside[-1] + 1
        if templated:  # what stands behind the end of a turn is white space that nobody generates
            ends = [i for i in range(inside[0], end) if ids[i] in tokenizer.special]
            end = ends[-1] + 1 if ends else end
        learned.append((max(1, inside[0]), end))  # nothing predicts the first token
    length = len(ids)
    if not templated and (not ids or ids[-1] != tokenizer.end):
        learned = [*learned[:-1], (learned[-1][0], length + 1)] if learned else [(length, length + 1)]
        length += 1
    return RowTokens(length, tuple(learned))


def _rendered(example: Example, tokenizer: LightTokenizer) -> tuple[str, Spans]:
    """Write a row as the model sees it, with the characters that are learned. Raises: NoTemplate."""
    match example:
        case Conversation(messages):
            answers = [number for number, message in enumerate(messages) if message.role == "assistant"]
            spans = tuple(_span(messages[: number + 1], tokenizer) for number in answers)
            return tokenizer.render(messages, prompting=False), spans
        case Completion(prompt, completion):
            return prompt + completion, ((len(prompt), len(prompt) + len(completion)),)
        case _:
            return example.text, ((0, len(example.text)),)


def _span(turns: Sequence[Message], tokenizer: LightTokenizer) -> tuple[int, int]:
    """Find the last turn in the text up to it: behind the prompt before it, or where an opening answer begins."""
    through = tokenizer.render(turns, prompting=False)
    if len(turns) == 1:
        return max(0, through.find(turns[0].content.strip())), len(through)
    return len(tokenizer.render(turns[:-1], prompting=True)), len(through)


def _untemplated(example: Example) -> Completion | PlainText:
    """Join a conversation's turns: the last answer is taken as what is learned."""
    if not isinstance(example, Conversation):
        return example
    *before, last = example.messages
    return Completion("\n".join(message.content for message in before), last.content)


def _by_letters(example: Example) -> RowTokens:
    """Guess by letters."""
    plain = _untemplated(example)
    prompt, answer = (plain.prompt, plain.completion) if isinstance(plain, Completion) else ("", plain.text)
    around = TURN_TOKENS * len(example.messages) if isinstance(example, Conversation) else 1
    begin = len(prompt) // LETTERS_PER_TOKEN + around
    stop = begin + max(1, len(answer) // LETTERS_PER_TOKEN)
    return RowTokens(stop, ((begin, stop),))
