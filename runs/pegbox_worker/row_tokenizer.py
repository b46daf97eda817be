"""A tokenizer of transformers as the masking of rows wants it."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Any

from pegbox_runs.rows.chat_template import ChatTemplate
from pegbox_runs.rows.row_tokenizer import Encoded, any_of


class FastRowTokenizer:
    """A fast tokenizer, with the chat template that is set on it, be it its own or the recipe's."""

    def __init__(self, tokenizer: Any, ends: Set[int] = frozenset()) -> None:
        """Take a fast tokenizer; slow ones can't tell which characters a token stands for.

        `ends` are the tokens that end an answer beside the tokenizer's own, as `<end_of_turn>` does for some models.
        """
        self._tokenizer = tokenizer
        added = {i: token.content for i, token in tokenizer.added_tokens_decoder.items() if token.special}
        self.special = frozenset(added)
        self.special_texts = any_of(added.values())
        self.end: int | None = tokenizer.eos_token_id
        self.ends: frozenset[int] = frozenset({tokenizer.eos_token_id, *ends} - {None})
        self.template = ChatTemplate.of(tokenizer.chat_template, tokenizer.special_tokens_map)

    def encode(self, texts: Sequence[str], *, templated: bool) -> list[Encoded]:
        """Tokenize; a template has written its own special tokens, plain text gets the tokenizer's."""
        if not texts:
            return []
        encoded = self._tokenizer(
            list(texts),
            add_special_tokens=not templated,
            return_offsets_mapping=True,
            return_attention_mask=False,
        )
        return [Encoded(*row) for row in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)]

    def show(self, token: int) -> str:
        """Give a token's own text, as its vocabulary has it."""
        return str(self._tokenizer.convert_ids_to_tokens(token))
