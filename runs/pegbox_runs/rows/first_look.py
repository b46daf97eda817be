"""A glance at a source before anybody decides how it is read: whether it is here, and which keys its rows have."""

from __future__ import annotations

from itertools import islice

from pegbox_methods.home import user_path
from pegbox_methods.hub_name import is_hub_id
from pegbox_methods.recipe import RowSource
from pegbox_methods.refusal import Refusal
from pegbox_runs.rows.place import RawRow
from pegbox_runs.rows.reading import read_source
from pegbox_runs.rows.source import find_source

ROWS = 100
"""Rows whose keys are collected."""
MOST_KEYS = 200


def keys_of_rows(asked: RowSource) -> tuple[str, ...]:
    """Collect the keys of a source's first rows, each once, in order; of a Hub data set that isn't here none.

    Raises: Refusal: the source can't be read.
    """
    if must_be_fetched(asked):
        return ()
    seen: dict[str, None] = {}
    for item in islice(read_source(find_source(asked)), ROWS):
        if isinstance(item, RawRow):
            seen.update((str(key), None) for key in item.fields)
    return tuple(islice(seen, MOST_KEYS))


def must_be_fetched(asked: RowSource) -> bool:
    """Tell whether reading a source would ask the network."""
    if not is_hub_id(asked.file):
        return False
    from pegbox_runs.rows.hub import hub_rows_here

    try:
        path = user_path(asked.file)
        return not path.exists() and not path.is_symlink() and hub_rows_here(asked) is None
    except (OSError, ValueError, Refusal):
        return False
