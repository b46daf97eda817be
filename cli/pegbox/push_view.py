"""A push on a terminal: all that would be sent, before it is."""

from __future__ import annotations

from collections.abc import Iterator

from pegbox_runs.figures import size
from pegbox_runs.printable import one_line, printable
from pegbox_runs.sharing.hub import There
from pegbox_runs.sharing.pushing import Push, visibility

NAME = 48


def lines(push: Push, there: There | None) -> Iterator[str]:
    """Write it: the card first, so that what is asked at the end stands below the list of files."""
    yield "---- the model card, README.md ----"
    yield from (printable(line) for line in push.card.rstrip().split("\n"))
    yield "---- end of the model card ----"
    yield ""
    yield f"to          {push.repo}, {_where(push, there)}"
    if push.branch is not None:
        yield f"branch      {push.branch}"
    if there is not None:
        yield f"as          {one_line(there.user, 80)}"
    yield f"what        {one_line(push.what, 200)} of {push.run}"
    yield ""
    for item in push.items:
        remark = f"  {item.remark}" if item.remark else ""
        yield f"  {one_line(item.name, NAME):<{NAME}} {size(item.bytes):>10}{remark}"
    yield f"  {f'{len(push.items)} files':<{NAME}} {size(push.bytes):>10}"
    if push.left_out:
        yield f"not sent: {one_line(', '.join(push.left_out), 300)}"
    replaced = push.replaced(there)
    if replaced:
        yield f"REPLACES {len(replaced)} there: {one_line(', '.join(replaced), 300)}"
    kept = there.files - {item.name for item in push.items} - {".gitattributes"} if there else frozenset()
    if kept:
        yield f"beside them stay: {one_line(', '.join(sorted(kept)), 300)}"
    if push.unproven:
        yield f"NOT SHOWN to be the model that was trained: {one_line(push.unproven, 300)}"
    yield from (f"note: {one_line(remark, 300)}" for remark in push.remarks)


def _where(push: Push, there: There | None) -> str:
    seen = f"{visibility(push, there)}"
    if there is None:
        return f"{seen} if it is new; the Hub wasn't asked"
    if not there.exists:
        return f"{seen}; it will be made"
    unchanged = "; --public changes nothing about that" if push.public and there.private else ""
    return f"{seen}; it is there already{unchanged}"
