"""What can be picked in a folder, and how a typed path goes on. Names are from outside."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from itertools import islice
from os.path import commonprefix
from pathlib import Path
from time import localtime, strftime
from typing import Literal

from rich.text import Text

from pegbox_methods.home import user_path
from pegbox_methods.hub_name import is_hub_id
from pegbox_methods.refusal import Refusal
from pegbox_runs.figures import size
from pegbox_runs.printable import one_line
from pegbox_runs.rows.source import kind_of

MOST_SHOWN = 500
"""Of one folder: a longer list is for nobody; more letters make it shorter."""
MOST_LOOKED_AT = 20_000
"""Entries of one folder, in about a fifth of a second."""
NAME = 40
Kind = Literal["folder", "file", "whole folder", "up", "hub", "example"]


@dataclass(frozen=True)
class Entry:
    """One thing to pick."""

    kind: Kind
    name: str
    """As it is called; text from outside."""
    path: str
    """What a recipe would name it by."""
    size: int | None = None
    modified: float | None = None
    fault: str = ""
    """Why it can't be taken, where it can't."""


@dataclass(frozen=True)
class Listing:
    """A folder, as far as what was typed lets it through."""

    folder: Path
    entries: tuple[Entry, ...] = ()
    problem: str = ""
    """Why the folder can't be seen, or that not all of it is shown: a sentence."""


def look_into(typed: str, here: Path) -> Listing:
    """List what fits what was typed, beginning at a folder: folders, files of rows, and the way up."""
    try:
        folder, begun = _parted(typed, here)
        names = _names(folder)
    except (OSError, ValueError, Refusal) as error:
        return Listing(here, _offers(typed), f"{one_line(typed or str(here), 200)}: {_reason(error)}")
    fitting = [name for name in names if _fits(name, begun)]
    found = [entry for name in fitting if (entry := _entry(folder, name)) is not None]
    found.sort(key=lambda entry: (entry.kind != "folder", entry.name.casefold()))
    rows = sum(entry.kind == "file" for entry in found)
    first: list[Entry] = [*_offers(typed)]
    if not begun:
        first += [Entry("up", "..", str(folder.parent))] if folder.parent != folder else []
        first += [Entry("whole folder", folder.name, str(folder))] if rows > 1 else []
    more = len(found) - MOST_SHOWN
    problem = f"{more:,} more are not shown: type more letters." if more > 0 else ""
    if len(names) >= MOST_LOOKED_AT:
        problem = f"The folder has more than {MOST_LOOKED_AT:,} entries: type the path of one."
    return Listing(folder, (*first, *found[:MOST_SHOWN]), problem)


def completed(typed: str, listing: Listing) -> str:
    """Go on with a typed path as far as all entries that fit it do; a lone folder is gone into."""
    found = [entry for entry in listing.entries if entry.kind in ("folder", "file") and not entry.fault]
    if not found:
        return typed
    typed = "~/" if typed == "~" else typed
    begun = typed.rpartition("/")[2]
    before = typed[: len(typed) - len(begun)]
    if len(found) == 1:
        return before + found[0].name + ("/" if found[0].kind == "folder" else "")
    common = commonprefix([entry.name for entry in found])  # noqa: RUF071 - of names, letter by letter
    return before + common if len(common) > len(begun) else typed


def nothing_there(typed: str) -> str:
    """Say that nothing goes on as typed."""
    begun = typed.rpartition("/")[2]
    return f'Nothing there begins with "{one_line(begun, 60)}".' if begun else "No rows and no folders are there."


def absolute(path: str) -> str:
    """Write a path so that it means the same from any folder. Raises: Refusal, ValueError."""
    return os.path.normpath(user_path(path).absolute())


def begin_at(file: str | None) -> Path:
    """Choose the folder to begin in: that of the rows picked before, else where the person stands."""
    try:
        here = Path.cwd()
    except OSError:  # the folder in which the app was started is gone
        here = Path.home()
    if file is None:
        return here
    try:
        folder = user_path(file).parent
        return folder if folder.is_absolute() and folder.is_dir() else here
    except (OSError, ValueError, Refusal):
        return here


def line_of(entry: Entry, width: int) -> Text:
    """Draw one entry in a line of so many cells."""
    if entry.kind == "up":
        return Text("../  the folder above")
    if entry.kind == "whole folder":
        return Text("all  every file of rows in this folder and below it")
    if entry.kind == "hub":
        return Text.assemble("Hub  ", (one_line(entry.name, NAME), "bold"), "  a data set to be fetched")
    if entry.kind == "example":
        return Text.assemble("try  ", ("the bundled example rows", "bold"), ": 400 questions about Python")
    facts = one_line(entry.fault or _facts(entry), 40)
    said = Text("     ").append(one_line(entry.name, 255)).append("/" if entry.kind == "folder" else "")
    said.truncate(max(8, width - len(facts) - 2), overflow="ellipsis")  # by cells: some letters take two
    said.append(" " * max(1, width - said.cell_len - len(facts)))
    return said.append(facts, "dim")


def _offers(typed: str) -> tuple[Entry, ...]:
    """Offer what lies in no folder."""
    return (Entry("hub", typed, typed),) if is_hub_id(typed) and not Path(typed).exists() else ()


def _parted(typed: str, here: Path) -> tuple[Path, str]:
    """Part what was typed into a folder and the begun name of something in it. Raises: Refusal, ValueError."""
    if not typed:
        return here, ""
    path = Path(absolute(typed))
    if typed.endswith(("/", "/.", "/..")) or typed in ("~", ".", ".."):
        return path, ""
    return path.parent, typed.rpartition("/")[2]


def _names(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.name for entry in islice(entries, MOST_LOOKED_AT)]


def _fits(name: str, begun: str) -> bool:
    return name.casefold().startswith(begun.casefold()) and (begun.startswith(".") or not name.startswith("."))


def _entry(folder: Path, name: str) -> Entry | None:
    """Look at one name; None: it is neither a folder nor a file of rows."""
    path, rows = folder / name, bool(kind_of(name).form)
    fault = "" if is_utf8(name) else "its name isn't UTF-8"
    try:
        facts = path.stat()
    except OSError as error:
        return Entry("file", name, str(path), fault=_reason(error)) if rows else None
    if stat.S_ISDIR(facts.st_mode):
        return Entry("folder", name, str(path), modified=facts.st_mtime, fault=fault)
    if not rows or not stat.S_ISREG(facts.st_mode):
        return None
    return Entry("file", name, str(path), facts.st_size, facts.st_mtime, fault)


def is_utf8(name: str) -> bool:
    """Tell whether a recipe can hold a name."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _facts(entry: Entry) -> str:
    taken = "" if entry.size is None else size(entry.size)
    date = "" if entry.modified is None else strftime("%Y-%m-%d %H:%M", localtime(entry.modified))
    return f"{taken}  {date}"


def _reason(error: Exception) -> str:
    if isinstance(error, Refusal):
        return error.sentence
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
