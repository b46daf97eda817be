"""The doors through which guests come in: one for methods, one for tasks, and what differs between them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from pegbox_methods.card import Card
from pegbox_methods.card_check import card_faults
from pegbox_methods.task import Task
from pegbox_methods.task_check import task_faults

Brought = TypeVar("Brought", Card, Task)


@dataclass(frozen=True)
class Door(Generic[Brought]):
    """Where a kind of guest is looked for, and how it is held to the contract."""

    kind: str
    """What comes in, as people call it."""
    record: str
    """What they call that which the hook gives."""
    hook: str
    """In `pegbox_methods.hookspecs`."""
    group: str
    """Of entry points, through which distributions bring them."""
    folder: str
    """Of drop-in files, in Pegbox' home."""
    package: str
    """Before the names of drop-in modules, so that a file called random.py shadows nothing."""
    faults: Callable[[object], Iterable[str]]
    """What is wrong with a record, each as a clause."""


METHODS = Door[Card]("method", "card", "pegbox_card", "pegbox", "methods", "pegbox_dropped", card_faults)
TASKS = Door[Task]("task", "task", "pegbox_task", "pegbox_tasks", "tasks", "pegbox_dropped_tasks", task_faults)
