"""The lines of the list for what is typed: models in sections, folders of a path, and what the Hub can be asked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pegbox_runs.printable import one_line
from pegbox_tui.wizard.model.entries import TITLES, Entry
from pegbox_tui.wizard.model.folders import Folder, Folders, is_path
from pegbox_tui.wizard.model.hub_state import HubState

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)


@dataclass(frozen=True)
class Choice:
    """One line. Just one of the following is given; none of a heading."""

    id: str
    said: str = ""
    entry: Entry | None = None
    folder: Folder | None = None
    act: Callable[[], None] | None = None

    @property
    def is_heading(self) -> bool:
        """Whether it only says what follows."""
        return self.entry is None and self.folder is None and self.act is None


@dataclass(frozen=True)
class Asked:
    """What is typed, and what is known of it."""

    typed: str
    folders: Folders | None
    hub: HubState
    offline: bool


def choices(
    asked: Asked, entries: Sequence[Entry], search: Callable[[], None], take: Callable[[str], None]
) -> Iterator[Choice]:
    """List what can be chosen now; `search` asks the Hub, `take` takes the model of a typed id."""
    if is_path(asked.typed):
        yield from _folder_choices(asked)
        return
    words = asked.typed.lower().split()
    fitting = [entry for entry in entries if entry.section == "hub" or entry.answers(words)]
    for section, title in TITLES.items():
        within = [entry for entry in fitting if entry.section == section]
        if section == "hub":
            title = f"{title} for “{one_line(asked.hub.words, 40)}”"
        if within:
            yield Choice(f"title-{section}", title)
            yield from (Choice(entry.id, entry=entry) for entry in within)
    typed = asked.typed.strip()
    yield Choice("title-ask", asked.hub.said_of(typed) or "Anything else")
    if HUB_ID.fullmatch(typed) and not any(entry.name == typed for entry in fitting):
        yield Choice("typed", f"  Take {one_line(typed, 60)} from the Hub, as typed", act=lambda: take(typed))
    if asked.offline:
        yield Choice("offline", "  The Hub isn't asked: HF_HUB_OFFLINE is set")
    elif typed:
        yield Choice("search", f"  Search the Hub for “{one_line(typed, 50)}” (ctrl+f)", act=search)
    yield Choice("hint", "  Type a name to narrow the list, a path (~/…, /…), or an id (org/name)")


def _folder_choices(asked: Asked) -> Iterator[Choice]:
    known = asked.folders
    if known is None or known.typed != asked.typed:
        yield Choice("title-folders", "reading folders")
        return
    if known.fault is not None:
        yield Choice("title-folders", one_line(known.fault, 200))
        return
    yield Choice("title-folders", "Folders. ↵ takes what is called a model here, and goes into the others; ⇥ completes")
    for folder in known.folders:
        mark = "model" if folder.is_model else ""
        yield Choice(f"folder-{folder.path}", f"{mark:<6}{one_line(folder.typed, 200)}", folder=folder)
