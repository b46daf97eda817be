"""Telling the Hub id of a data set from the path of a file, by its letters alone."""

from __future__ import annotations

import re

ROWS_SUFFIXES = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet", ".arrow")
PACKED_SUFFIXES = (".gz", ".zst")

# Source: validate_repo_id in huggingface_hub/utils/_validators.py.
_PART = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?"
_HUB_ID = re.compile(f"{_PART}/{_PART}")


def is_hub_id(text: str) -> bool:
    """Tell whether a name can be a data set's on the Hub, as in org/name; whether a folder is called so, look first.

    A name that ends as a file of rows does is a file's.
    """
    name = text.lower()
    for packed in PACKED_SUFFIXES:
        name = name.removesuffix(packed)
    if name.endswith(ROWS_SUFFIXES) or "--" in text or ".." in text or name.endswith(".git"):
        return False
    return _HUB_ID.fullmatch(text) is not None
