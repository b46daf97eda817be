"""Examples as the trainer takes them, in memory: for the certificates, for tests, and for a question before a run."""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import Any

from pegbox_runs.rows.chat_template import NoTemplate
from pegbox_runs.rows.example import Completion, Conversation, Example
from pegbox_runs.rows.masking import mask_rows
from pegbox_worker.row_tokenizer import FastRowTokenizer
from pegbox_worker.token_rows import TokenRows, token_rows


def tokenize(examples: Iterable[Example], tokenizer: Any, length: int, ends: Set[int] = frozenset()) -> TokenRows:
    """Render, tokenize, label and cut the examples.

    `tokenizer` is a fast one of transformers; `length` is the longest row in tokens; `ends` are the tokens that end
    an answer beside the tokenizer's own, as `<end_of_turn>` does for some models.
    Raises: Refusal: the chat template fails on a row, or leaves it open which part of it is an answer.
    """
    words = FastRowTokenizer(tokenizer, ends)
    return token_rows(mask_rows(examples, words), length, words.ends)


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
