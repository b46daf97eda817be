"""The methods that are installed, in three grains: their names, one of them, all of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from pegbox_methods.card import Card
from pegbox_methods.card_check import NAME
from pegbox_methods.dropped import dropped_files, import_file, method_of, readable
from pegbox_methods.fence import SLOW_SECONDS, Broken, load_fenced, load_here
from pegbox_methods.refusal import Refusal, did_you_mean

GROUP = "pegbox"
"""The group of entry points through which distributions bring methods."""


@dataclass(frozen=True)
class Plugin:
    """Something that says it brings a method; nothing of it was imported."""

    name: str
    """Of the method."""
    origin: str
    """Whose it is, as people are told: a distribution with its version, or "drop-in" and the file's name."""
    precedence: int
    """0: Pegbox' own, 1: an installed distribution, 2: a drop-in file. Of one name, the lowest counts."""
    load: Callable[[], Any]
    """Imports its module."""


def method_names() -> tuple[str, ...]:
    """List the installed methods, in alphabetical order. Imports none of them."""
    return tuple(sorted({plugin.name for plugin in _plugins() if NAME.fullmatch(plugin.name)}))


def find_card(name: str) -> Card:
    """Load one method's card.

    Raises: Refusal: no such method, or its plugin is broken.
    """
    plugin = _plugin(name)
    try:
        return _loaded(plugin)[0]
    except Broken as error:
        raise Refusal(f"{_left_out(plugin, error)}. Mend or remove it, or take another method.") from error


def origin_of(name: str) -> str:
    """Say which distribution, with its version, or which drop-in file brings a method. Imports none.

    Raises: Refusal: no such method.
    """
    return _plugin(name).origin


def all_cards() -> tuple[tuple[Card, ...], tuple[str, ...]]:
    """Load every method.

    Returns: (cards by name, one sentence for each plugin that is left out or slow).
    """
    cards: dict[str, Card] = {}
    taken: dict[str, Plugin] = {}
    warnings: list[str] = []
    for plugin in _plugins():
        if plugin.name in taken:
            by = taken[plugin.name].origin
            warnings.append(f'{plugin.origin}: the name "{plugin.name}" is taken by {by}; its method is left out')
            continue
        taken[plugin.name] = plugin
        try:
            cards[plugin.name], seconds = _loaded(plugin)
        except Broken as error:
            warnings.append(_left_out(plugin, error))
            continue
        if seconds > SLOW_SECONDS:
            warnings.append(
                f'{plugin.origin}: the method "{plugin.name}" takes {seconds:.1f} s to come in; a card that imports '
                "nothing heavy takes some milliseconds"
            )
    return tuple(cards.values()), tuple(warnings)


def _loaded(plugin: Plugin) -> tuple[Card, float]:
    """Bring a plugin in. Returns: (its card, seconds it took; 0 for our own).

    Raises: Broken.
    """
    if not NAME.fullmatch(plugin.name):
        raise Broken("a method's name has small letters, digits and hyphens alone")
    if plugin.precedence == 0:
        return load_here(plugin.load, plugin.name), 0.0
    return load_fenced(plugin.load, plugin.name, plugin.origin)


def _left_out(plugin: Plugin, error: Broken) -> str:
    return f'{plugin.origin}: the method "{plugin.name}" is left out: {error}'


def _plugin(name: str) -> Plugin:
    """Find the plugin that brings a method. Raises: Refusal: none does."""
    found = next((plugin for plugin in _plugins() if plugin.name == name), None)
    if found is None:
        raise Refusal(f'no method is called "{name}"; {did_you_mean(name, method_names())}.')
    return found


def _plugins() -> list[Plugin]:
    """List the plugins by name; of several with one name, the one that counts comes first."""
    found = [*_installed(tuple((folder, _changed(folder)) for folder in sys.path)), *_dropped()]
    return sorted(found, key=lambda plugin: (plugin.name, plugin.precedence, plugin.origin))


@lru_cache(maxsize=1)
def _installed(_places: tuple[tuple[str, int | None], ...]) -> tuple[Plugin, ...]:
    """Look through the installed distributions: some 10 ms, so only once while the places stay as they are.

    `_places`: the folders of `sys.path`, each with the time at which something was last added to it or removed.
    """
    origins: dict[int, tuple[str, int]] = {}
    found = []
    for point in entry_points(group=GROUP):
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


def _dropped() -> Iterator[Plugin]:
    for file in dropped_files():
        yield Plugin(method_of(file), f"drop-in {readable(file.name)}", 2, partial(import_file, file))
