"""The methods that are installed, in three grains: their names, one of them, all of them."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from pegbox_methods import hookspecs
from pegbox_methods.card import Card
from pegbox_methods.refusal import Refusal, did_you_mean

GROUP = "pegbox"


class Broken(Exception):
    """A plugin that can't be used; the message says why."""


def method_names() -> tuple[str, ...]:
    """List the installed methods, in alphabetical order. Imports none of them."""
    return tuple(sorted({point.name for point in entry_points(group=GROUP)}))


def find_card(name: str) -> Card:
    """Load one method's card.

    Raises: Refusal: no such method, or its plugin is broken.
    """
    points: dict[str, EntryPoint] = {}
    for point in _points():
        points.setdefault(point.name, point)
    if name not in points:
        raise Refusal(f'no method is called "{name}"; {did_you_mean(name, points)}.')
    try:
        return _load(points[name])
    except Broken as error:
        raise Refusal(
            f'the method "{name}" can\'t be used: {error}. Mend or uninstall {_origin(points[name])}.'
        ) from error


def all_cards() -> tuple[tuple[Card, ...], tuple[str, ...]]:
    """Load every method.

    Returns: (cards by name, one sentence for each plugin that is broken or whose name is taken).
    """
    cards: dict[str, Card] = {}
    warnings: list[str] = []
    for point in _points():
        if point.name in cards:
            warnings.append(f'{_origin(point)}: the name "{point.name}" is taken; its method is left out')
            continue
        try:
            cards[point.name] = _load(point)
        except Broken as error:
            warnings.append(f'{_origin(point)}: the method "{point.name}" is left out: {error}')
    return tuple(cards.values()), tuple(warnings)


def _load(point: EntryPoint) -> Card:
    """Bring one plugin in through the hook.

    Raises: Broken.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(point.load(), name=point.name)
        manager.check_pending()
        answers: list[Any] = manager.hook.pegbox_card()
    except Exception as error:  # a guest may raise anything, and must not take the house down
        raise Broken(f"{type(error).__name__}: {error}") from error
    if len(answers) != 1 or not isinstance(answers[0], Card):
        raise Broken("it doesn't answer the hook pegbox_card with a Card")
    card = answers[0]
    if card.name != point.name:
        raise Broken(f'its entry point is called "{point.name}" but its card "{card.name}"')
    return card


def _points() -> list[EntryPoint]:
    """List the installed plugins by name, our own before a guest that took its name: the first one counts."""
    return sorted(entry_points(group=GROUP), key=lambda point: (point.name, not _is_ours(point)))


def _is_ours(point: EntryPoint) -> bool:
    return point.dist is not None and point.dist.name == "pegbox"


def _origin(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.value
