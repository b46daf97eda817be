"""What is installed or dropped in, in three grains: the names, one of them, all of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from pegbox_methods.card_check import NAME
from pegbox_methods.door import Brought, Door
from pegbox_methods.dropped import dropped_files, import_file, name_of, readable
from pegbox_methods.fence import SLOW_SECONDS, Broken, load_fenced, load_here
from pegbox_methods.refusal import Refusal, did_you_mean


@dataclass(frozen=True)
class Plugin:
    """Something that says it brings a method, or a task; nothing of it was imported."""

    name: str
    """Of what it brings."""
    origin: str
    """Whose it is, as people are told: a distribution with its version, or "drop-in" and the file's name."""
    precedence: int
    """0: Pegbox' own, 1: an installed distribution, 2: a drop-in file. Of one name, the lowest counts."""
    load: Callable[[], Any]
    """Imports its module."""


def names_of(door: Door[Brought]) -> tuple[str, ...]:
    """List what comes in by a door, in alphabetical order. Imports none of it."""
    return tuple(sorted({plugin.name for plugin in _plugins(door) if NAME.fullmatch(plugin.name)}))


def find_one(name: str, door: Door[Brought]) -> Brought:
    """Load one by its name.

    Raises: Refusal: there is none, or its plugin is broken.
    """
    plugin = plugin_of(name, door)
    try:
        return _loaded(plugin, door)[0]
    except Broken as error:
        left_out = _left_out(plugin, error, door)
        raise Refusal(f"{left_out}. Mend or remove it, or take another {door.kind}.") from error


def plugin_of(name: str, door: Door[Brought]) -> Plugin:
    """Find the plugin that brings something. Imports none. Raises: Refusal: none does."""
    found = next((plugin for plugin in _plugins(door) if plugin.name == name), None)
    if found is not None:
        return found
    known = names_of(door)
    instead = did_you_mean(name, known) if known else f"none is installed, and none lies in $PEGBOX_HOME/{door.folder}"
    raise Refusal(f'no {door.kind} is called "{name}"; {instead}.')


def load_all(door: Door[Brought]) -> tuple[tuple[Brought, ...], tuple[str, ...]]:
    """Load all that comes in by a door.

    Returns: (records by name, one sentence for each plugin that is left out or slow).
    """
    records: dict[str, Brought] = {}
    taken: dict[str, Plugin] = {}
    warnings: list[str] = []
    for plugin in _plugins(door):
        if plugin.name in taken:
            by = taken[plugin.name].origin
            warnings.append(f'{plugin.origin}: the name "{plugin.name}" is taken by {by}; its {door.kind} is left out')
            continue
        taken[plugin.name] = plugin
        try:
            records[plugin.name], seconds = _loaded(plugin, door)
        except Broken as error:
            warnings.append(_left_out(plugin, error, door))
            continue
        if seconds > SLOW_SECONDS:
            warnings.append(
                f'{plugin.origin}: the {door.kind} "{plugin.name}" takes {seconds:.1f} s to come in; a {door.record} '
                "that imports nothing heavy takes some milliseconds"
            )
    return tuple(records.values()), tuple(warnings)


def _loaded(plugin: Plugin, door: Door[Brought]) -> tuple[Brought, float]:
    """Bring a plugin in. Returns: (its record, seconds it took; 0 for our own).

    Raises: Broken.
    """
    if not NAME.fullmatch(plugin.name):
        raise Broken(f"a {door.kind}'s name has small letters, digits and hyphens alone")
    if plugin.precedence == 0:
        return load_here(plugin.load, plugin.name, door), 0.0
    return load_fenced(plugin.load, plugin.name, plugin.origin, door)


def _left_out(plugin: Plugin, error: Broken, door: Door[Brought]) -> str:
    return f'{plugin.origin}: the {door.kind} "{plugin.name}" is left out: {error}'


def _plugins(door: Door[Brought]) -> list[Plugin]:
    """List the plugins by name; of several with one name, the one that counts comes first."""
    found = [*_installed(door.group, tuple((folder, _changed(folder)) for folder in sys.path)), *_dropped(door)]
    return sorted(found, key=lambda plugin: (plugin.name, plugin.precedence, plugin.origin))


@lru_cache(maxsize=2)
def _installed(group: str, _places: tuple[tuple[str, int | None], ...]) -> tuple[Plugin, ...]:
    """Look through the installed distributions: some 10 ms, so only once while the places stay as they are.

    `_places`: the folders of `sys.path`, each with the time at which something was last added to it or removed.
    """
    origins: dict[int, tuple[str, int]] = {}
    found = []
    for point in entry_points(group=group):
        if id(point.dist) not in origins:  # reading a distribution's name costs a millisecond
            origins[id(point.dist)] = _origin(point)
        found.append(Plugin(point.name, *origins[id(point.dist)], point.load))
    return tuple(found)


def _origin(point: EntryPoint) -> tuple[str, int]:
    """Say whose an entry point is. Returns: (the distribution with its version, its precedence)."""
    if point.dist is None:
        return point.value, 1
    return f"{point.dist.name} {point.dist.version}", 0 if point.dist.name == "pegbox" else 1


def _changed(folder: str) -> int | None:
    try:
        return Path(folder or ".").stat().st_mtime_ns
    except OSError:
        return None


def _dropped(door: Door[Brought]) -> Iterator[Plugin]:
    for file in dropped_files(door.folder):
        yield Plugin(name_of(file), f"drop-in {readable(file.name)}", 2, partial(import_file, file, door.package))
