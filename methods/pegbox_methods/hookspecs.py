"""The hooks through which a method or a task comes in. Specifications, and nothing else."""

from __future__ import annotations

import pluggy

from pegbox_methods.card import Card
from pegbox_methods.task import Task

PROJECT = "pegbox"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def pegbox_card() -> Card:
    """Return the card of the method that this plugin brings.

    The plugin's entry point in group `pegbox` carries the same name as the card.
    """
    raise NotImplementedError


@hookspec
def pegbox_task() -> Task:
    """Return the task that this plugin brings, for `pegbox evaluate --task`.

    The plugin's entry point in group `pegbox_tasks` carries the same name as the task.
    """
    raise NotImplementedError
