"""All that the dashboard shows at one moment."""

from __future__ import annotations

from dataclasses import dataclass

from pegbox_methods.recipe import Recipe
from pegbox_methods.recipe_file import read_recipe
from pegbox_methods.refusal import Refusal
from pegbox_runs.expected import Expected, read_expected
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_state import RunState


@dataclass(frozen=True)
class View:
    """What the panels are drawn from; each takes what it needs."""

    run: str
    """The run's id."""
    state: RunState
    now: float
    """Seconds since 1970."""
    expected: Expected | None = None
    """What was forecast; None: nothing is kept, or it wasn't read yet."""
    recipe: Recipe | None = None


@dataclass(frozen=True)
class Beside:
    """What lies in a run's folder beside its log, and stays as it is once it is there."""

    expected: Expected | None = None
    recipe: Recipe | None = None
    forecast_seen: bool = False
    """Whether there was a forecast, readable or not: it is written some seconds after the run's start."""

    def is_behind(self, folder: RunFolder) -> bool:
        """Tell whether a forecast came since."""
        return not self.forecast_seen and folder.forecast.is_file()


def read_beside(folder: RunFolder) -> Beside:
    """Read it. What isn't there, or can't be read, is left out: the log alone makes a dashboard."""
    seen = folder.forecast.is_file()
    try:
        recipe = read_recipe(folder.recipe)
    except Refusal:
        recipe = None
    return Beside(read_expected(folder), recipe, seen)
