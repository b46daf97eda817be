"""Examples as the trainer takes them, cut to a length, and what the cut costs."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Any

from pegbox_runs.rows.chat_template import NoTemplate
from pegbox_runs.rows.example import Completion, Conversation, Example
from pegbox_runs.rows.masking import IGNORED, mask_rows
from pegbox_worker.row_tokenizer import FastRowTokenizer

__all__ = ["IGNORED", "TokenRows", "question_of", "tokenize"]


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
    Raises: Refusal: the chat template fails on a row, or leaves it open which part of it is an answer.
    """
    all_ids: list[list[int]] = []
    all_labels: list[list[int]] = []
    ends = {tokenizer.eos_token_id, *ends}
    truncated = tokens_lost = dropped = without_end = rewritten = 0
    for row in mask_rows(examples, FastRowTokenizer(tokenizer)):
        ids, labels = row.ids, row.labels
        rewritten += row.rewritten
        truncated += len(ids) > length
        tokens_lost += sum(label != IGNORED for label in labels[length:])
        if all(label == IGNORED for label in labels[:length]):
            dropped += 1
            continue
        without_end += ends.isdisjoint(labels[:length])
        all_ids.append(ids[:length])
        all_labels.append(labels[:length])
    return TokenRows(all_ids, all_labels, truncated, tokens_lost, dropped, without_end, rewritten)


def question_of(example: Example, tokenizer: Any) -> tuple[str, str, str] | None:
    """Give (what the user asks, the prompt as the model sees it, the expected answer); None for plain text.

    Raises: Refusal: the chat template fails on it.
    """
    match example:
        case Conversation(messages) if messages[-1].role == "assistant" and len(messages) > 1:
            template = FastRowTokenizer(tokenizer).template
            if template is None:
                raise NoTemplate("the tokenizer has no chat template")
            asked = next((m.content for m in reversed(messages[:-1]) if m.role == "user"), "")
            prompt = template.render(messages[:-1], tools=example.tools, prompting=True).text
            return asked, prompt, messages[-1].content
        case Completion(prompt, completion):
            return prompt, prompt, completion
    return None
