"""A model's tokenizer and chat template without transformers: ready in a tenth of a second."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pegbox_methods.home import user_path
from pegbox_methods.recipe import Model
from pegbox_runs.base_prints import TOKENIZER
from pegbox_runs.rows.chat_template import ChatTemplate
from pegbox_runs.rows.row_tokenizer import Encoded, any_of

if TYPE_CHECKING:
    from tokenizers import Tokenizer


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
        table = _table(folder)
        named = _named(table)
        try:
            _add_tokens(self._tokenizer, folder, table, named)
        except Exception as error:  # noqa: BLE001 - see above
            raise ValueError(f"the special tokens of tokenizer_config.json can't be used: {error}") from None
        found = _template(folder, table) if template_file is None else template_file.read_text(encoding="utf-8")
        self.template = ChatTemplate.of(found, named)
        added = {i: token.content for i, token in self._tokenizer.get_added_tokens_decoder().items() if token.special}
        self.special = frozenset(added)
        self.special_texts = any_of(added.values())
        end = named.get("eos_token")
        self.end: int | None = None if end is None else self._tokenizer.token_to_id(end)
        self.ends = ends_of_model(folder) | (frozenset() if self.end is None else {self.end})

    def encode(self, texts: Sequence[str], *, templated: bool) -> list[Encoded]:
        """Give (token ids, the characters each stands for) of each text; a template writes its own special tokens."""
        encoded = self._tokenizer.encode_batch(list(texts), add_special_tokens=not templated)
        return [Encoded(row.ids, row.offsets) for row in encoded]

    def show(self, token: int) -> str:
        """Give a token's own text, as its vocabulary has it."""
        return str(self._tokenizer.id_to_token(token) or "")


def template_file(model: Model) -> Path | None:
    """Give the chat template that a recipe names in the place of the model's own; None: it names none."""
    return None if model.chat_template is None else user_path(model.chat_template)


def ends_of_model(folder: Path) -> frozenset[int]:
    """Read which tokens end an answer; where there is no generation_config.json, transformers takes config.json's."""
    table = _read(folder / "generation_config.json") or _read(folder / "config.json")
    ends = table.get("eos_token_id")
    return frozenset(end for end in (ends if isinstance(ends, list) else [ends]) if isinstance(end, int))


def _table(folder: Path) -> dict[str, Any]:
    """Read the tokenizer's config.

    An older folder has no added_tokens_decoder in it, and then special_tokens_map.json counts more than the config.
    Source of this and of all that is done with it: PreTrainedTokenizerBase._from_pretrained in transformers.
    """
    table = _renewed(_read(folder / "tokenizer_config.json"))
    if "added_tokens_decoder" in table:
        return table
    former, older = table.get("extra_special_tokens"), _read(folder / "special_tokens_map.json")
    extra = older.get("extra_special_tokens")
    if isinstance(extra, list) and isinstance(former, list):
        older["extra_special_tokens"] = [*former, *extra]
    return _renewed(table | older)


def _renewed(table: dict[str, Any]) -> dict[str, Any]:
    """Give what older folders call additional_special_tokens its name of today."""
    if table.get("additional_special_tokens") and not table.get("extra_special_tokens"):
        table["extra_special_tokens"] = table.pop("additional_special_tokens")
    return table


def _named(table: dict[str, Any]) -> dict[str, str]:
    """Give the special tokens by the names that templates know them by, a model's own names among them."""
    extra = table.get("extra_special_tokens")
    named = {key: token for key, token in table.items() if key.endswith("_token")}
    named |= extra if isinstance(extra, dict) else {}
    return {key: _text(token) for key, token in named.items() if _text(token)}


def _add_tokens(tokenizer: Tokenizer, folder: Path, table: dict[str, Any], named: Mapping[str, str]) -> None:
    """Add what the config knows and tokenizer.json doesn't; what both know stays as it is."""
    from tokenizers import AddedToken

    extra = table.get("extra_special_tokens")
    special = [*named.values(), *(_text(token) for token in (extra if isinstance(extra, list) else []))]
    added = table.get("added_tokens_decoder")
    if isinstance(added, dict):
        tokenizer.add_tokens([AddedToken(**added[key]) for key in sorted(added, key=int)])
    else:
        older = _read(folder / "added_tokens.json")
        tokens = sorted(older, key=lambda text: int(older[text]))
        tokenizer.add_tokens([AddedToken(t, special=t in special, normalized=t not in special) for t in tokens])
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in special if text])


def _template(folder: Path, table: dict[str, Any]) -> object:
    """Find the template: in files of their own, or in the tokenizer's config; there may be several by name."""
    files = {path.stem: path for path in sorted((folder / "additional_chat_templates").glob("*.jinja"))}
    files["default"] = folder / "chat_template.jinja"
    found = {}
    for name, path in files.items():
        try:
            found[name] = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
    return found or table.get("chat_template")


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
