"""Finds a step's screen by name: the first frame imports one step, not six."""

from __future__ import annotations

import importlib

from pegbox_runs.drafts import Draft, StepName
from pegbox_tui.wizard.broken import BrokenStep
from pegbox_tui.wizard.step import StepScreen
from pegbox_tui.wizard.workbench import Workbench

SCREENS: dict[StepName, str] = {
    "machine": "pegbox_tui.wizard.machine.screen:MachineStep",
    "model": "pegbox_tui.wizard.model.screen:ModelStep",
    "rows": "pegbox_tui.wizard.rows.screen:RowsStep",
    "goal": "pegbox_tui.wizard.goal.screen:GoalStep",
    "settings": "pegbox_tui.wizard.settings.screen:SettingsStep",
    "review": "pegbox_tui.wizard.review.screen:ReviewStep",
}


def import_step(name: StepName) -> type[StepScreen]:
    """Import a step's screen. It may raise anything that a broken module raises."""
    module, _, screen = SCREENS[name].partition(":")
    found: type[StepScreen] = getattr(importlib.import_module(module), screen)
    return found


def open_step(name: StepName, draft: Draft, bench: Workbench) -> StepScreen:
    """Make a step from the draft; where that raises, what says so."""
    try:
        return import_step(name)(draft, bench)
    except Exception as error:  # noqa: BLE001 - one broken step must not cost the other five
        return BrokenStep(draft, bench, name, error)
