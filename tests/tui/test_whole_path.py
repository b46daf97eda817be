"""All steps one after another with the real workbench, by keys alone: to a run that ends, and back without a loss."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from textual.pilot import Pilot

from pegbox_methods.recipe_file import read_recipe
from pegbox_runs.drafts import STEPS, Draft, draft_file
from pegbox_runs.run_folder import all_runs
from pegbox_runs.starting import Begun
from pegbox_tui.dashboard.screen import DashboardScreen
from pegbox_tui.wizard.app import WizardApp
from pegbox_tui.wizard.review import working
from pegbox_tui.wizard.settings.form import SettingsForm
from pegbox_tui.wizard.step import StepScreen
from tests.tui.cardboard import drawn

STEPS_SET = 6
SCREEN_SECONDS = 60.0
"""How long a busy machine may take to open a step, or to find out what it shows."""
RUN_SECONDS = 240.0


async def until(pilot: Any, so: Callable[[], object], seconds: float = SCREEN_SECONDS) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not so():
        assert time.monotonic() < deadline, f"it never came to that:\n{drawn(pilot.app)}"
        await asyncio.sleep(0.02)
        await pilot.pause()


async def shows(pilot: Any, *texts: str, seconds: float = SCREEN_SECONDS) -> None:
    """Wait until all of the texts stand on the terminal, across line ends too."""
    await until(pilot, lambda: all(text in " ".join(drawn(pilot.app).split()) for text in texts), seconds)


async def at(pilot: Pilot[Any], step: str) -> None:
    """Wait until a step is open."""
    await until(pilot, lambda: isinstance(pilot.app.screen, StepScreen) and pilot.app.screen.step == step)


async def to_the_settings(pilot: Pilot[Any]) -> None:
    """Answer the first four steps: this machine, the bundled model and rows, what a run is usually for."""
    await at(pilot, "machine")
    await shows(pilot, "Go on to the model", "What is here")
    await pilot.press("enter")
    await at(pilot, "model")
    await shows(pilot, "Comes with Pegbox", "LoRA,")
    await pilot.press(*"bundled")
    await shows(pilot, "> bundled")
    await pilot.press("enter")
    await shows(pilot, "taken: bundled")
    await pilot.press("ctrl+n")
    await at(pilot, "rows")
    await shows(pilot, "the bundled example rows")
    await pilot.press("down", "enter")
    await shows(pilot, "400 rows")
    await until(pilot, lambda: pilot.app.screen.lacking() is None)  # type: ignore[attr-defined]
    await pilot.press("ctrl+n")
    await at(pilot, "goal")
    await pilot.press("down", "enter", "ctrl+n")
    await at(pilot, "settings")
    await shows(pilot, "advised")


async def set_steps(pilot: Pilot[Any]) -> None:
    """Set how many steps are taken at most, in the form that shows all settings."""
    form = pilot.app.screen.query_one(SettingsForm)
    await pilot.press("e")
    await until(pilot, lambda: form.line is not None)
    for _ in range(100):
        if form.line is not None and form.line.field.key == "training.max_steps":
            break
        await pilot.press("down")
    await pilot.press(*str(STEPS_SET), "enter")
    await shows(pilot, "max steps", f"← {STEPS_SET} steps →", "yours")


@pytest.mark.slow
async def test_from_the_first_step_to_the_end_of_a_run_by_keys_alone(home: Path) -> None:
    app = WizardApp()
    async with app.run_test(size=(120, 40)) as pilot:
        await to_the_settings(pilot)
        await set_steps(pilot)
        await pilot.press("ctrl+n")
        await at(pilot, "review")
        await shows(pilot, "nothing would be refused")
        await pilot.press("s")
        await until(pilot, lambda: isinstance(app.screen, DashboardScreen))
        (folder,) = all_runs()
        await shows(pilot, "finished", f"step {STEPS_SET}/{STEPS_SET}", seconds=RUN_SECONDS)
        await pilot.press("q")
        await until(pilot, lambda: not app.is_running)
    assert app.return_value is not None
    assert "The run has ended." in app.return_value.lines[0]
    recipe = read_recipe(folder.recipe)
    assert recipe.training.max_steps == STEPS_SET
    assert (recipe.model.name, recipe.rows.file.rpartition("/")[2]) == ("bundled", "rows.jsonl")
    assert folder.forecast.is_file()
    assert (folder.path / "adapter" / "adapter_model.safetensors").is_file()
    assert not draft_file().exists(), "the draft has become a run"


async def test_all_steps_keep_their_answers_back_and_forward(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given: list[Any] = []

    def start(recipes: Any, _supervisor: Any, *, gpu: str | None) -> Begun:
        given.append((recipes, gpu))
        return Begun([], lambda: None)

    monkeypatch.setattr(working, "begin_runs", start)
    app = WizardApp()
    monkeypatch.setattr(app.bench, "warm_up", lambda: None)
    monkeypatch.setattr(app.bench, "torch", lambda: "nobody asked")
    async with app.run_test(size=(80, 24)) as pilot:
        await to_the_settings(pilot)
        await set_steps(pilot)
        await pilot.press("ctrl+n")
        await at(pilot, "review")
        await shows(pilot, "nothing would be refused")
        answered = _answers(app.draft)
        for step in reversed(STEPS[:-1]):
            await pilot.press("escape")
            await at(pilot, step)
        assert _answers(app.draft) == answered
        for step in STEPS[1:]:
            await until(pilot, lambda: app.screen.lacking() is None)  # type: ignore[attr-defined]
            await pilot.press("ctrl+n")
            await at(pilot, step)
        assert _answers(app.draft) == answered
        assert answered.values == {"training.max_steps": STEPS_SET}
        assert answered.goal.purpose is not None
        await shows(pilot, "nothing would be refused")
        await pilot.press("s")
        await until(pilot, lambda: given)
    ((((recipe, _),), gpu),) = given
    assert recipe.training.max_steps == STEPS_SET
    assert gpu is None or gpu.startswith("GPU")


def _answers(draft: Draft) -> Draft:
    """Leave out where the person is."""
    return msgspec.structs.replace(draft, step="machine", reached="machine")
