"""Whether a GGUF file's tokenizer and template are the run's own."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

from pegbox_methods.refusal import Refusal
from pegbox_runs.rows.example import Example
from pegbox_worker.proof_prompts import render

ODD_TEXTS = (
    "",
    " ",
    "a",
    " leading,  doubled and trailing spaces   ",
    "lines\n\n\nand\r\n\ttabs\t\t\n  \n",
    "I've said WE'LL, they'RE; it's 'quoted' and she'd've",
    "3 33 333 3333 33333 3.14159 1,000,000 0x1F 2024-02-30 ①② ½ ٣٤",
    "naïve café Ærøskøbing ŁÓDŹ ÀÉÎÕÜ ß",
    "Привет, как дела? Γειά σου Κόσμε",
    "我想在apple工作1314151天～ 日本語のテキスト 한국어",
    "مرحبا بالعالم שלום עולם नमस्ते คำ",
    "🚀 (normal) 😶\u200d🌫️ 👩\u200d👩\u200d👧 ✅ 🦙🦙",
    "def f(x):\n    return {'a': [1, 2], \"b\": x ** 2}  # comment\n",
    "------======= ```` ''' \"\"\" ...... !!!!?? ~~ \\\\ //",
    "<s>[INST] not a turn [/INST]</s> <|endoftext|> <|im_start|>user",
    "https://example.org/a_b?c=d&e=%20#f  user@example.org",
    "a\u00a0b\u2003c\u3000d\u200be \ufeff",
    "snake_case camelCase HTMLParser iPhone15Pro Ⅷ ﬁ",
)
"""Texts at which cuts differ: spaces, digits, contractions, scripts, joined characters, special tokens in a text."""


def same_prompts(examples: Sequence[Example], prompts: list[list[int]], read: Any) -> bool:
    """Tell whether the tokenizer read back writes the same prompts of the same rows, and begins them alike."""
    try:
        found = render(examples, read)
    except Refusal:
        return False
    begin = read("a")["input_ids"][: -len(read("a", add_special_tokens=False)["input_ids"])]
    return found == prompts and all(prompt[: len(begin)] == begin for prompt in prompts)


def differing_texts(read: Any, tokenizer: Any) -> list[str]:
    """List the odd texts, in composed characters, of which the two tokenizers make other tokens."""
    composed = [unicodedata.normalize("NFC", text) for text in (*ODD_TEXTS, *_special_texts(tokenizer))]
    return [text for text in composed if _bare(read, text) != _bare(tokenizer, text)]


def _bare(tokenizer: Any, text: str) -> Any:
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def _special_texts(tokenizer: Any) -> list[str]:
    """Put each special token, up to some, amidst a text."""
    added = [token.content for token in tokenizer.added_tokens_decoder.values()]
    return [f"before {text}after\n{text} 12" for text in added[:64]]
