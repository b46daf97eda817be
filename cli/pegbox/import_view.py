"""Another tool's recipe on a terminal: what became of each key."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pegbox.answer import say, stream_for_people
from pegbox_runs.foreign.carrying import Entry, Fate, Imported
from pegbox_runs.printable import one_line

TITLES: dict[Fate, tuple[str, str]] = {
    "carried": ("carried over", "green"),
    "translated": ("translated", "cyan"),
    "left": ("NOT carried over", "bold yellow"),
}
VALUE = 40
"""Characters of a value that are shown."""


def show_import(found: Imported, *, json: bool) -> None:
    """Print what became of each key, what was assumed, and what is left to do."""
    console = Console(file=stream_for_people(json=json), highlight=False, emoji=False, markup=False)
    say(f"a recipe of {found.tool}", json=json)
    for fate, (title, style) in TITLES.items():
        entries = [entry for entry in found.entries if entry.fate == fate and (entry.to or fate == "left")]
        if entries:
            console.print(Text(f"{title}: {len(entries)}", style))
            console.print(_table(entries))
    _show_alike(found, json=json)
    empty = [entry.key for entry in found.entries if entry.fate == "empty"]
    if empty:
        say(f"empty there too: {', '.join(empty)}", json=json)
    if found.assumed:
        said = ", ".join(f"{one.to} = {one_line(str(one.value), VALUE)}" for one in found.assumed)
        say(
            f"where the file says nothing, or nothing that could be carried over, {found.tool}'s defaults were written "
            f"down: {said}",
            json=json,
        )
    for sentence in found.to_do:
        say(f"to do: {sentence}", json=json)


def _show_alike(found: Imported, *, json: bool) -> None:
    """Say what Pegbox does by itself, the keys of one reason in one line."""
    reasons: dict[str, list[str]] = {}
    for entry in found.entries:
        if entry.fate == "translated" and not entry.to:
            reasons.setdefault(entry.why, []).append(entry.key)
    if reasons:
        say("nothing to carry over:", json=json)
    for why, keys in reasons.items():
        say(f"  {', '.join(one_line(key, 60) for key in keys)}: {one_line(why, 300)}", json=json)


def _table(entries: Sequence[Entry]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_header=False)
    table.add_column("key", overflow="fold", ratio=2)
    table.add_column("became", overflow="fold", ratio=4)
    for entry in entries:
        value = one_line(msgspec.json.encode(entry.value, enc_hook=str).decode(), VALUE)
        became = [Text(one_line(entry.to, 200))] if entry.to else []
        if entry.why:
            became.append(Text(one_line(entry.why, 300), "dim" if entry.fate != "left" else ""))
        table.add_row(Text(one_line(f"{entry.key}: {value}", 120)), Text("; ").join(became))
    return table
