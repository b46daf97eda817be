"""What one answer about the held-out rows means for the others: a share and a file of their own exclude each other."""

from __future__ import annotations

from typing import Literal

import msgspec

from pegbox_methods.recipe import Rows, Split
from pegbox_runs.drafts import Draft
from pegbox_runs.printable import one_line
from pegbox_tui.wizard.rows.length import LENGTH, with_length

USUAL = Split()


def with_file(split: Split, file: str | None) -> Split:
    """Take the rows of another file in place of a share; None: a share again, the usual one."""
    if file == split.file:
        return split
    if file is None:
        return Split(share=USUAL.share)
    return Split(share=0.0, file=file)


def with_share(split: Split, share: float) -> Split:
    """Draw a share, in place of the rows of another file; none of it leaves those as they are."""
    if split.file is not None and share:
        return Split(share=share)
    return msgspec.structs.replace(split, share=share)


def with_column(split: Split, how: Literal["by", "stratify"], column: str | None) -> Split:
    """Part a share by a column; the other way of parting goes, and so does another file, for the usual share."""
    if column is None:
        return msgspec.structs.replace(split, **{how: None})
    share = split.share if split.file is None else USUAL.share
    return Split(share=share, **{how: column})


def rows_named(draft: Draft, file: str) -> Rows:
    """Give the rows of a name: as they are read in the draft, if they are the same."""
    return draft.rows if draft.rows is not None and draft.rows.file == file else Rows(file=file)


def for_others(draft: Draft, rows: Rows) -> tuple[dict[str, object], str]:
    """Answer with rows; what was set for those of another file is no answer for these.

    Returns: the draft's fields that change, and what was dropped that isn't seen here at once: a sentence, or nothing.
    """
    former, split, values = draft.rows, draft.split, draft.values
    if former is None or former.file == rows.file:
        return {"rows": rows}, ""
    dropped = []
    if split.file is not None:
        dropped.append(f"held-out rows of {one_line(split.file, 60)}")
        split = with_file(split, None)
    if LENGTH in values:
        dropped.append(f"{LENGTH} = {one_line(str(values[LENGTH]), 20)}")
        values = with_length(values, None)
    said = f"For other rows these no longer hold and were dropped: {', '.join(dropped)}." if dropped else ""
    split = msgspec.structs.replace(split, by=None, stratify=None)
    return {"rows": rows, "split": split, "values": values}, said
