"""The bookkeeping of an import: every key of the other tool's recipe ends in exactly one place."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from pegbox_methods.recipe import Recipe
from pegbox_runs.foreign.hiding import HIDDEN, hidden, hidden_text, is_secret

Fate = Literal["carried", "translated", "left", "empty"]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one key."""

    key: str
    """As the other tool has it; `datasets[1].path` for what lies deeper."""
    value: Any
    fate: Fate
    """`carried`: the same value under another name. `translated`: said otherwise here. `left`: not carried over.
    `empty`: it holds nothing, in either tool."""
    to: str = ""
    """Where it went: `training.learning_rate = 0.0002`."""
    why: str = ""
    """Why it was said otherwise, or left."""


class Assumed(msgspec.Struct, frozen=True, kw_only=True):
    """A value that the other tool takes where its recipe says nothing, and Pegbox wouldn't."""

    to: str
    value: Any
    why: str


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What came of an import."""

    tool: str
    source: str
    """Which version of the tool the tables are made after."""
    entries: tuple[Entry, ...]
    assumed: tuple[Assumed, ...]
    to_do: tuple[str, ...]
    """What must be done before the recipe can be trained, in sentences."""
    recipe: Recipe


class Carrying:
    """Takes the keys of a table one by one; what nobody took is named at the end."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.given = given
        self.table: dict[str, Any] = {}
        """The recipe in the making, as TOML has it."""
        self.entries: dict[str, Entry] = {}
        self.assumed: list[Assumed] = []
        self.to_do: list[str] = []
        for key, value in given.items():
            if value is None or value in ("", [], {}):
                self._note(Entry(key=key, value=value, fate="empty"))

    def has(self, key: str) -> bool:
        """Tell whether a key is there, holds something, and waits to be taken."""
        return key in self.given and key not in self.entries

    def value(self, key: str, default: Any = None) -> Any:
        """Look at a key's value, which stays to be taken; the default where it holds nothing."""
        found = self.given.get(key)
        return default if found is None or found in ("", [], {}) else found

    def carry(self, key: str, to: str, value: Any = None) -> None:
        """Put a value under a key of ours."""
        kept = self.given[key] if value is None else value
        self.put(to, kept)
        self._note(Entry(key=key, value=self.given[key], fate="carried", to=_said(to, kept)))

    def translate(self, key: str, to: str, value: Any, why: str = "") -> None:
        """Put another value, which means the same, under a key of ours."""
        self.put(to, value)
        self._note(Entry(key=key, value=self.given.get(key), fate="translated", to=_said(to, value), why=why))

    def same(self, key: str, why: str) -> None:
        """Note that Pegbox does by itself what a key asks for."""
        self._note(Entry(key=key, value=self.given.get(key), fate="translated", why=why))

    def leave(self, key: str, why: str) -> None:
        """Note that a key isn't carried over."""
        self._note(Entry(key=key, value=self.given.get(key), fate="left", why=why))

    def deeper(self, entry: Entry) -> None:
        """Note what became of something below a key."""
        self._note(entry)

    def replace(self, entry: Entry) -> None:
        """Note that something else became of a key after all."""
        self.entries[entry.key] = entry

    def assume(self, to: str, value: Any, why: str) -> None:
        """Write down a default of the other tool, unless something stands there."""
        if self.at(to) is None:
            self.put(to, value)
            self.assumed.append(Assumed(to=to, value=value, why=why))

    def put(self, to: str, value: Any) -> None:
        """Set a dotted key of the recipe."""
        table = self.table
        *above, last = to.split(".")
        for name in above:
            table = table.setdefault(name, {})
        table[last] = value

    def at(self, to: str) -> Any:
        """Look at a dotted key of the recipe; None: nothing stands there."""
        found: Any = self.table
        for name in to.split("."):
            found = found.get(name) if isinstance(found, dict) else None
        return found

    def drop(self, to: str) -> None:
        """Take a dotted key out of the recipe."""
        *above, last = to.split(".")
        table = self.at(".".join(above)) if above else self.table
        if isinstance(table, dict):
            table.pop(last, None)

    def waiting(self) -> Iterable[str]:
        """List the keys that nobody took yet."""
        return [key for key in self.given if key not in self.entries]

    def _note(self, entry: Entry) -> None:
        if entry.key in self.entries:
            raise ValueError(f"{entry.key} was seen to already")
        value = HIDDEN if is_secret(entry.key) else hidden(entry.value)
        self.entries[entry.key] = msgspec.structs.replace(
            entry, value=value, to=hidden_text(entry.to), why=hidden_text(entry.why)
        )


def _said(to: str, value: Any) -> str:
    return f"{to} = {msgspec.json.encode(value).decode()}"
