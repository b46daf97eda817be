"""The memory forecast at the level that was asked for: from the shape, or by a worker that builds the model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from pegbox_hardware.forecast.adapters import PRICED, cost_of
from pegbox_hardware.forecast.memory import Forecast, Learned, forecast_memory, from_simulation
from pegbox_hardware.forecast.setup import TrainingSetup
from pegbox_hardware.forecast.simulated import SimulationRequest, SimulationResult, Stack
from pegbox_hardware.model_config import shape_of
from pegbox_hardware.shape import ModelShape
from pegbox_methods.recipe import Model
from pegbox_methods.recipe_file import recipe_from_table
from pegbox_methods.refusal import Refusal, did_you_mean
from pegbox_runs.jobs import JobFailed, ask_worker

SIMULATION_SECONDS = 300.0
"""A simulation that takes longer than this hangs; whole models take 10 to 40 s on two cores."""

APPROXIMATE = frozenset(
    {"ia3", "vera", "loha", "lokr", "oft", "boft", "hra", "miss", "shira", "randlora", "gralora", "delora"}
    | {"fourierft", "vblora", "loraplus", "lora-fa", "eva", "loftq"}
)
"""Methods that level 1 prices as if they were LoRA, with a wide range."""


def read_config(path: Path) -> dict[str, Any]:
    """Read a config.json, or the one of a folder.

    Raises: Refusal.
    """
    file = path / "config.json" if path.is_dir() else path
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Refusal(f"{file}: there is no such file. Give a model's config.json or the folder it lies in.") from None
    except (OSError, ValueError) as error:
        raise Refusal(f"{file}: can't be read as JSON: {error}.") from None
    if not isinstance(found, dict):
        raise Refusal(f"{file}: expected a JSON object, as a model's config.json is one.")
    return found


def named_model(name: str) -> Model:
    """Read a model's name as a recipe in the current folder would.

    Raises: Refusal.
    """
    table = {"model": {"name": name}, "rows": {"file": "-"}}
    return recipe_from_table(table, file="the command line", folder=Path.cwd()).model


def shape_or_refuse(config: Mapping[str, Any], *, named: str) -> ModelShape:
    """Derive a model's shape.

    Raises: Refusal: a field is missing or absurd; says which.
    """
    shape, why = shape_of(config)
    if shape is None:
        raise Refusal(f"{named}: {why}. The forecast needs it; take the config.json the model was published with.")
    return shape


def refuse_setup(setup: TrainingSetup, shape: ModelShape) -> None:
    """Refuse what can't be priced.

    Raises: Refusal: an unknown method, or a target the model doesn't have.
    """
    known = PRICED | APPROXIMATE
    if setup.method not in known:
        raise Refusal(f"--method {setup.method}: {did_you_mean(setup.method, known)}")
    try:
        cost_of(shape, setup)
    except KeyError as error:
        raise Refusal(
            f"--targets: the model has no {error.args[0]}; its linear maps are {', '.join(shape.matrices)}; "
            '"all-linear" and "attention" stand for sets of them.'
        ) from None


def analytic(
    shape: ModelShape, setup: TrainingSetup, *, stack: Stack | None = None, learned: Learned | None = None
) -> Forecast:
    """Forecast at level 1."""
    return forecast_memory(shape, setup, cost_of(shape, setup), stack=stack, learned=learned)


def simulated(config: dict[str, Any], setup: TrainingSetup, *, stack: Stack | None = None) -> Forecast:
    """Forecast at level 2, in a worker of its own.

    Raises: Refusal: the model can't be built without its numbers, or the worker failed.
    """
    request = SimulationRequest(config=config, setup=setup, stack=stack or Stack(evaluates=False), full_depth=True)
    try:
        result = ask_worker("simulate", request, SimulationResult, timeout_seconds=SIMULATION_SECONDS)
    except JobFailed as failed:
        raise Refusal(
            f"the simulation gave no answer: {failed.sentence} --level analytic needs no simulation."
        ) from None
    return from_simulation(result)


def setup_from(values: Mapping[str, Any]) -> TrainingSetup:
    """Check a set-up's values.

    Raises: Refusal: names the first value that can't be.
    """
    try:
        return msgspec.convert(dict(values), TrainingSetup)
    except msgspec.ValidationError as error:
        said, _, place = str(error).partition(" - at `$.")
        name = place.rstrip("`").split("[")[0]
        option = f"--{name.replace('_', '-')} {values.get(name)}" if name in values else "the set-up"
        words = said.replace("`int`", "a whole number").replace("`float`", "a number").replace("`", "")
        raise Refusal(f"{option}: {words[:1].lower()}{words[1:]}.") from None
