"""Examples as token ids and labels: what the model sees, and which of it is learned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any

from jinja2.exceptions import TemplateError

from pegbox_methods.refusal import Refusal
from pegbox_runs.printable import one_line
from pegbox_runs.rows.example import Completion, Conversation, Example, Message

IGNORED = -100
"""The label of a token that is context only; torch's and TRL's convention."""
BATCH = 1000


@dataclass(frozen=True)
class Rendered:
    """An example as one text, and the character spans of it that are learned."""

    text: str
    learned: tuple[tuple[int, int], ...]
    templated: bool
    """A template writes its own special tokens; plain text gets the tokenizer's, and an end token."""
    rewritten: bool = False
    """Whether an answer stands in the text other than in the row."""


@dataclass(frozen=True)
class TokenRows:
    """Rows ready for the trainer, and what was lost on the way."""

    input_ids: list[list[int]]
    labels: list[list[int]]
    truncated: int
    """Rows that were longer than the limit."""
    tokens_lost: int
    """Tokens that carried a label and were cut away."""
    dropped: int
    """Rows left out because nothing learned was left of them."""
    without_end: int
    """Rows in which no end token carries a label."""
    rewritten: int = 0
    """Rows of which the template leaves out a part of an answer, as some do with reasoning."""

    @property
    def tokens(self) -> int:
        """Tokens of all rows."""
        return sum(map(len, self.input_ids))

    @property
    def tokens_trained(self) -> int:
        """Tokens that carry a label."""
        return sum(len(row) - row.count(IGNORED) for row in self.labels)


def tokenize(examples: Sequence[Example], tokenizer: Any, length: int, ends: Set[int] = frozenset()) -> TokenRows:
    """Render, tokenize, label and cut the examples.

    `tokenizer` is a fast one of transformers; `length` is the longest row in tokens; `ends` are the tokens that end
    an answer beside the tokenizer's own, as `<end_of_turn>` does for some models.
    Raises: Refusal: the chat template fails on a row, or shows an answer differently than its beginning.
    """
    all_ids: list[list[int]] = []
    all_labels: list[list[int]] = []
    ends = {tokenizer.eos_token_id, *ends}
    truncated = tokens_lost = dropped = without_end = rewritten = 0
    for row, ids, labels in _encode(examples, tokenizer):
        lost = sum(label != IGNORED for label in labels[length:])
        rewritten += row.rewritten
        truncated += len(ids) > length
        tokens_lost += lost
        if all(label == IGNORED for label in labels[:length]):
            dropped += 1
            continue
        without_end += ends.isdisjoint(labels[:length])
        all_ids.append(ids[:length])
        all_labels.append(labels[:length])
    return TokenRows(all_ids, all_labels, truncated, tokens_lost, dropped, without_end, rewritten)


def render(example: Example, tokenizer: Any) -> Rendered:
    """Write an example as the model will see it, and mark what it learns."""
    match example:
        case Conversation(messages):
            return _render_conversation(messages, tokenizer)
        case Completion(prompt, completion):
            text = prompt + completion
            return Rendered(text, ((len(prompt), len(text)),), templated=False)
        case _:
            return Rendered(example.text, ((0, len(example.text)),), templated=False)


def question_of(example: Example, tokenizer: Any) -> tuple[str, str, str] | None:
    """Give (what the user asks, the prompt as the model sees it, the expected answer); None for plain text."""
    match example:
        case Conversation(messages) if messages[-1].role == "assistant" and len(messages) > 1:
            asked = next((m.content for m in reversed(messages[:-1]) if m.role == "user"), "")
            return asked, _template(messages[:-1], tokenizer, prompting=True), messages[-1].content
        case Completion(prompt, completion):
            return prompt, prompt, completion
    return None


def _encode(examples: Sequence[Example], tokenizer: Any) -> Iterator[tuple[Rendered, list[int], list[int]]]:
    special = set(tokenizer.all_special_ids)
    rendered = (render(example, tokenizer) for example in examples)
    for templated, alike in groupby(rendered, key=lambda row: row.templated):
        while batch := list(islice(alike, BATCH)):
            encoded = tokenizer(
                [row.text for row in batch],
                add_special_tokens=not templated,
                return_offsets_mapping=True,
                return_attention_mask=False,
            )
            for row, ids, offsets in zip(batch, encoded["input_ids"], encoded["offset_mapping"], strict=True):
                yield row, *_labelled(row, ids, offsets, special, tokenizer.eos_token_id)


def _labelled(
    row: Rendered, ids: list[int], offsets: list[tuple[int, int]], special: set[int], end: int
) -> tuple[list[int], list[int]]:
    """Label the tokens whose characters begin inside a learned span; the first token predicts, so it has none."""
    labels = [IGNORED] * len(ids)
    for begin, stop in row.learned:
        # (0, 0) marks what the tokenizer added. Other empty offsets are white space that it trims from them.
        found = [i for i, (first, last) in enumerate(offsets) if begin <= first < stop and (first, last) != (0, 0)]
        inside = list(range(found[0], found[-1] + 1)) if found else []
        if row.templated:
            inside = _without_turn_break(inside, ids, offsets, row.text, special)
        for i in inside:
            labels[i] = ids[i]
    if not row.templated:
        whole = bool(ids) and ids[-1] == end  # some tokenizers add it themselves
        ids, labels = (ids, [*labels[:-1], end]) if whole else ([*ids, end], [*labels, end])
    if labels:
        labels[0] = IGNORED
    return ids, labels


def _without_turn_break(
    inside: list[int], ids: list[int], offsets: list[tuple[int, int]], text: str, special: set[int]
) -> list[int]:
    """Leave out the white space that a template puts behind the end-of-turn token: nobody will generate it."""
    ends = [place for place, i in enumerate(inside) if ids[i] in special]
    if not ends:
        return inside
    behind = inside[ends[-1] + 1 :]
    blank = not behind or not text[offsets[behind[0]][0] : offsets[behind[-1]][1]].strip()
    return inside[: ends[-1] + 1] if blank else inside


def _render_conversation(messages: tuple[Message, ...], tokenizer: Any) -> Rendered:
    """Find each assistant's turn as what the template adds between the prompt before it and the turns up to it."""
    text = _template(messages, tokenizer, prompting=False)
    learned = []
    rewritten = False
    for number, message in enumerate(messages):
        if message.role != "assistant":
            continue
        before = _template(messages[:number], tokenizer, prompting=True) if number else ""
        through = text if number + 1 == len(messages) else _template(messages[: number + 1], tokenizer, prompting=False)
        if not (through.startswith(before) and text.startswith(through)):
            raise Refusal(
                f"the chat template writes turn {number + 1} differently once other turns follow, so it can't be told "
                f"which tokens to learn, in the row that begins {one_line(messages[0].content, 60)!r}. Name another "
                "template as model.chat_template, or keep one answer a row."
            )
        said = through.find(message.content.strip(), len(before))
        rewritten = rewritten or said < 0
        if number:
            learned.append((len(before), len(through)))
        elif said >= 0:  # what stands before an opening answer, a system prompt perhaps, isn't learned
            learned.append((said, len(through)))
    return Rendered(text, tuple(learned), templated=True, rewritten=rewritten)


def _template(messages: Sequence[Message], tokenizer: Any, *, prompting: bool) -> str:
    turns = [{"role": message.role, "content": message.content} for message in messages]
    try:
        return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=prompting))
    except TemplateError as error:
        raise Refusal(
            f"the model's chat template refuses the roles {', '.join(m.role for m in messages)}: {error}. Change the "
            "rows, or name another template as model.chat_template."
        ) from error
