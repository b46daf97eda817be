"""A tokenizer as a GGUF file tells it: tokens, what each is for, merges, and how a text is cut."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from gguf import TokenType

from pegbox_methods.refusal import Refusal
from pegbox_runs.exporting.gguf_pretokenizers import Cut, UnknownCut, cut_of, normalizes
from pegbox_runs.exporting.gguf_template import without_marks
from pegbox_runs.rows.chat_template import ChatTemplate, NoTemplate
from pegbox_runs.rows.example import Message

LOOKS_SPECIAL = (("<|", "|>"), ("<｜", "｜>"))
"""Beginning and end of tokens that aren't for people, though their tokenizer may not say so. Source: llama.cpp,
conversion/base.py, does_token_look_special."""


WITHOUT_BEGIN = (
    "The chat template writes no begin token, though the tokenizer puts one before plain texts: the file says not to, "
    "so that conversations begin as they were taught."
)


class Special(NamedTuple):
    """Tokens with a duty, by their numbers; None: there is none."""

    begin: int | None
    end: int | None
    end_of_turn: int | None
    """Ends an answer too, beside `end`."""
    unknown: int | None
    padding: int | None


@dataclass(frozen=True)
class Vocabulary:
    """All that a GGUF file holds of a byte-level BPE tokenizer."""

    tokens: list[str]
    kinds: list[TokenType]
    merges: list[str]
    cut: Cut
    special: Special
    adds_begin: bool
    adds_end: bool
    template: str | None
    remarks: tuple[str, ...]


def vocabulary_of(tokenizer: Any, size: int, ends: frozenset[int]) -> Vocabulary:
    """Take a tokenizer of transformers apart. `size`: rows of the model's embedding; `ends`: the tokens that end an
    answer, by the model's own word.

    Raises: Refusal: llama.cpp couldn't cut a text as this tokenizer does; it has more tokens than the model.
    """
    table = json.loads(tokenizer.backend_tokenizer.to_str())
    try:
        cut = cut_of(table)
    except UnknownCut as error:
        raise Refusal(f"The tokenizer can't be written as GGUF: {error}.") from None
    if len(tokenizer) > size:
        raise Refusal(f"The tokenizer has {len(tokenizer)} tokens, and the model's embedding holds {size}.")
    tokens, kinds = _tokens(table, size)
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    dressed = tokenizer("a")["input_ids"]
    begins = dressed[:1] != bare[:1] and dressed[:1] == [tokenizer.bos_token_id]
    asked = _asked(tokenizer)
    wanted = begins and (asked is None or asked.startswith(tokenizer.bos_token))
    return Vocabulary(
        tokens=tokens,
        kinds=kinds,
        merges=[merge if isinstance(merge, str) else " ".join(merge) for merge in table["model"]["merges"]],
        cut=cut,
        special=_special(tokenizer, ends),
        adds_begin=wanted,
        adds_end=dressed[-1:] != bare[-1:] and dressed[-1:] == [tokenizer.eos_token_id],
        template=_template(tokenizer),
        remarks=(*_remarks(table), *([WITHOUT_BEGIN] if begins and not wanted else [])),
    )


def _tokens(table: Mapping[str, Any], size: int) -> tuple[list[str], list[TokenType]]:
    """List what the model's rows stand for; rows beyond the tokenizer's tokens are never used."""
    tokens = [f"[PAD{row}]" for row in range(size)]
    kinds = [TokenType.UNUSED] * size
    for text, row in table["model"]["vocab"].items():
        tokens[row], kinds[row] = text, TokenType.NORMAL
    for added in table.get("added_tokens", ()):
        special = added["special"] or any(
            added["content"].startswith(begin) and added["content"].endswith(end) for begin, end in LOOKS_SPECIAL
        )
        tokens[added["id"]] = added["content"]
        kinds[added["id"]] = TokenType.CONTROL if special else TokenType.USER_DEFINED
    return tokens, kinds


def _special(tokenizer: Any, ends: frozenset[int]) -> Special:
    end = tokenizer.eos_token_id
    others = sorted(ends - {end})
    return Special(
        begin=tokenizer.bos_token_id,
        end=end,
        end_of_turn=others[0] if others else None,
        unknown=tokenizer.unk_token_id,
        padding=tokenizer.pad_token_id,
    )


def _asked(tokenizer: Any) -> str | None:
    """Write a question by the template; None: there is none, or it can't."""
    template = ChatTemplate.of(tokenizer.chat_template, tokenizer.special_tokens_map)
    if template is None:
        return None
    try:
        return template.render([Message("user", "a")], prompting=True).text
    except NoTemplate:
        return None


def _template(tokenizer: Any) -> str | None:
    found = tokenizer.chat_template
    if isinstance(found, dict):
        found = found.get("default")
    return without_marks(found) if isinstance(found, str) else None


def _remarks(table: Mapping[str, Any]) -> tuple[str, ...]:
    found = []
    if normalizes(table):
        found.append(
            "The tokenizer composes characters first (Unicode's NFC), and llama.cpp doesn't: a text with decomposed "
            "accents gives other tokens there."
        )
    if any(token.get(side) for token in table.get("added_tokens", ()) for side in ("lstrip", "rstrip", "single_word")):
        found.append("Some special tokens swallow the spaces beside them, or stand alone; llama.cpp may not do so.")
    return tuple(found)
