"""A model's tokenizer and chat template without transformers: ready in a tenth of a second."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pegbox_runs.models import TOKENIZER
from pegbox_runs.rows.chat_template import ChatTemplate
from pegbox_runs.rows.row_tokenizer import Encoded, any_of

SPECIAL = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


class LightTokenizer:
    """tokenizer.json by the `tokenizers` library, and the template by Jinja, as transformers renders it."""

    def __init__(self, folder: Path, *, template_file: Path | None = None) -> None:
        """Load both; a template's own file takes the place of the model's.

        Raises: OSError or ValueError: there is no such file, or it can't be used.
        """
        from tokenizers import Tokenizer

        if not (folder / TOKENIZER).is_file():
            raise OSError(f"the model's folder has no {TOKENIZER}")
        try:
            self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        except Exception as error:  # noqa: BLE001 - the library raises nothing more exact
            raise ValueError(f"{TOKENIZER} can't be used: {error}") from None
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        table = _read(folder / "tokenizer_config.json")
        named = {key: _text(table[key]) for key in SPECIAL if _text(table.get(key))}
        found = _template(folder, table) if template_file is None else template_file.read_text(encoding="utf-8")
        self.template = ChatTemplate.of(found, named)
        added = {i: token.content for i, token in self._tokenizer.get_added_tokens_decoder().items() if token.special}
        self.special = frozenset(added)
        self.special_texts = any_of(added.values())
        end = named.get("eos_token")
        self.end: int | None = None if end is None else self._tokenizer.token_to_id(end)
        self.ends = _ends_of_model(folder) | (frozenset() if self.end is None else {self.end})

    def encode(self, texts: Sequence[str], *, templated: bool) -> list[Encoded]:
        """Give (token ids, the characters each stands for) of each text; a template writes its own special tokens."""
        encoded = self._tokenizer.encode_batch(list(texts), add_special_tokens=not templated)
        return [Encoded(row.ids, row.offsets) for row in encoded]

    def show(self, token: int) -> str:
        """Give a token's own text, as its vocabulary has it."""
        return str(self._tokenizer.id_to_token(token) or "")


def _ends_of_model(folder: Path) -> frozenset[int]:
    """Read which tokens end an answer; where there is no generation_config.json, transformers takes config.json's."""
    table = _read(folder / "generation_config.json") or _read(folder / "config.json")
    ends = table.get("eos_token_id")
    return frozenset(end for end in (ends if isinstance(ends, list) else [ends]) if isinstance(end, int))


def _template(folder: Path, table: dict[str, Any]) -> object:
    """Find the template: in a file of its own, or in the tokenizer's config; there may be several by name."""
    try:
        return (folder / "chat_template.jinja").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        pass
    return _read(folder / "chat_template.json").get("chat_template") or table.get("chat_template")


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _text(token: Any) -> str:
    """Give a special token's text, which may be wrapped in a description."""
    found = token.get("content") if isinstance(token, dict) else token
    return found if isinstance(found, str) else ""
