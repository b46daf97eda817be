"""What tells a base model from another one of the same name: its weights, its tokenizer, its chat template."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pegbox_methods.recipe import Model

TOKENIZER = "tokenizer.json"
PLACES = 16
"""Of each file so many blocks are looked at, evenly spread, the first and the last among them."""
BLOCK_BYTES = 65_536


def weights_fingerprint(files: Iterable[Path]) -> str:
    """Hash the names, sizes and some blocks of weight files.

    A training changes every block of what it trains, so other weights are told by any of them; one MiB is read of each
    file. What changes single values between the blocks isn't seen.
    Raises: OSError.
    """
    digest = hashlib.sha256()
    for path in sorted(files, key=lambda file: file.name):
        size = path.stat().st_size
        digest.update(f"{path.name}:{size}:".encode())
        with path.open("rb") as file:
            for place in range(PLACES):
                file.seek(max(0, size - BLOCK_BYTES) * place // (PLACES - 1))
                digest.update(file.read(BLOCK_BYTES))
    return digest.hexdigest()


def config_fingerprint(config: Mapping[str, Any], folder: Path) -> str:
    """Hash a model's config, and the names and sizes of the weight files in its folder: tells one from another cheaply.

    Raises: OSError.
    """
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for file in sorted(folder.glob("*.safetensors")):
        digest.update(f"{file.name}:{file.stat().st_size}".encode())
    return digest.hexdigest()


@dataclass(frozen=True)
class BasePrints:
    """Hashes of a base model; None: it isn't here yet, or can't be read."""

    model_sha256: str
    """Of its config.json and the names and sizes of its weight files."""
    weights_sha256: str | None
    """Of blocks of its weights."""
    tokenizer_sha256: str | None
    """Of its tokenizer.json."""
    template_sha256: str | None
    """Of the file that holds the chat template: the one that the recipe names, or the model's own."""


def template_sha256(named: Model, folder: Path) -> str | None:
    """Hash the file that holds the chat template of a recipe's model, which lies in this folder."""
    if named.chat_template is not None:
        return file_sha256(Path(named.chat_template).expanduser())
    beside = folder / "chat_template.jinja"
    return file_sha256(beside if beside.is_file() else folder / "tokenizer_config.json")


def file_sha256(path: Path) -> str | None:
    """Hash a file; None: it can't be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
