"""A last look at each file before it leaves the machine: no tokens, no paths of the home, no rows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from pegbox_methods.hub_name import PACKED_SUFFIXES, ROWS_SUFFIXES
from pegbox_methods.refusal import Refusal
from pegbox_runs.printable import printable
from pegbox_runs.secrets import redactor

MOST_TEXT_BYTES = 128 * 2**20
"""A larger file is none that a person wrote: tokenizers have up to some 40 MB."""
HEAD_BYTES = 16 * 2**20
"""Of a file of weights, its beginning holds all words that are in it."""
WEIGHTS = {".safetensors", ".gguf", ".npz"}
TOKENIZER = {
    *("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "merges.txt"),
    *("added_tokens.json", "special_tokens_map.json"),
}
"""Files of a vocabulary. A path in one is a word that the model knows, and rewriting it would make another model."""
TOKENIZER_CONFIG = "tokenizer_config.json"
"""It holds words of the vocabulary too: the home alone stays in it."""
TEMPLATE_SUFFIX = ".jinja"
ROWS = {*ROWS_SUFFIXES, *PACKED_SUFFIXES} - {".json"}


def scanned(name: str, path: Path, named: Mapping[str, str]) -> bytes | None:
    """Look at a file. Returns: what is sent in its place; None: it is sent as it is.

    `named` says what is written for paths of this machine.
    Raises: Refusal: it holds rows, or a secret, and isn't sent. OSError.
    """
    shown = printable(name)
    if path.suffix.lower() in ROWS:
        raise Refusal(f"{shown}: is a file of rows, and no rows are ever sent. Take it out of the folder.")
    if path.suffix.lower() in WEIGHTS or path.stat().st_size > MOST_TEXT_BYTES:
        with path.open("rb") as file:
            _refuse_secrets(shown, head := file.read(HEAD_BYTES))
        if redactor().without_paths_below(head) != head:
            raise Refusal(f"{shown}: holds the path of your home, and isn't sent. Make it anew.")
        return None
    content = path.read_bytes()
    _refuse_secrets(shown, content)
    if path.name in TOKENIZER:
        return None
    cleaned = redactor().without_paths_below(_named(content, named))
    if path.name != TOKENIZER_CONFIG:
        cleaned = redactor().clean(cleaned)
    if cleaned != content and path.suffix == TEMPLATE_SUFFIX:
        raise Refusal(
            f"{shown}: holds a path of this machine, and a chat template isn't rewritten: questions would be rendered "
            "in another way. Train with one that names none."
        )
    return None if cleaned == content else cleaned


def _named(content: bytes, named: Mapping[str, str]) -> bytes:
    """Write names for paths of this machine."""
    for place in sorted(named, key=len, reverse=True):
        whole = re.compile(re.escape(place.encode()) + rb"(?![\w.-])")  # `/m/a` isn't the beginning of `/m/a-b`
        content = named[place].encode().join(whole.split(content))
    return content


def _refuse_secrets(shown: str, content: bytes) -> None:
    if redactor().without_tokens(content) != content:
        raise Refusal(f"{shown}: holds what looks like an access token, and isn't sent. Take the token out of it.")
