"""The methods and the tasks that are installed: their names, one of them, all of them."""

from __future__ import annotations

from pegbox_methods.card import Card
from pegbox_methods.door import METHODS, TASKS
from pegbox_methods.guests import find_one, load_all, names_of, plugin_of
from pegbox_methods.task import Task


def method_names() -> tuple[str, ...]:
    """List the installed methods, in alphabetical order. Imports none of them."""
    return names_of(METHODS)


def find_card(name: str) -> Card:
    """Load one method's card.

    Raises: Refusal: no such method, or its plugin is broken.
    """
    return find_one(name, METHODS)


def origin_of(name: str) -> str:
    """Say which distribution, with its version, or which drop-in file brings a method. Imports none.

    Raises: Refusal: no such method.
    """
    return plugin_of(name, METHODS).origin


def all_cards() -> tuple[tuple[Card, ...], tuple[str, ...]]:
    """Load every method.

    Returns: (cards by name, one sentence for each plugin that is left out or slow).
    """
    return load_all(METHODS)


def find_task(name: str) -> Task:
    """Load one task.

    Raises: Refusal: no such task, or its plugin is broken.
    """
    return find_one(name, TASKS)


def task_origin(name: str) -> str:
    """Say who brings a task, as `origin_of` does of a method. Imports none.

    Raises: Refusal: no such task.
    """
    return plugin_of(name, TASKS).origin


def all_tasks() -> tuple[tuple[Task, ...], tuple[str, ...]]:
    """Load every task.

    Returns: (tasks by name, one sentence for each plugin that is left out or slow).
    """
    return load_all(TASKS)
