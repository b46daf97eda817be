"""The memory forecast at the level that was asked for: from the shape, or by a worker that builds the model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from pegbox_hardware.forecast.adapters import PRICED, cost_of
from pegbox_hardware.forecast.memory import Forecast, Learned, forecast_memory, from_simulation
from pegbox_hardware.forecast.setup import NumberFormat, TrainingSetup
from pegbox_hardware.forecast.simulated import SimulationRequest, SimulationResult, Stack
from pegbox_hardware.model_config import shape_of
from pegbox_hardware.shape import ModelShape
from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal, did_you_mean
from pegbox_methods.registry import find_card
from pegbox_runs.jobs import JobFailed, ask_worker
from pegbox_runs.measured import measure

SIMULATION_SECONDS = 300.0
"""A simulation that takes longer than this hangs; whole models take 10 to 40 s on two cores."""

MEASURED_MARGIN = 1.03
"""A run of many steps may fragment a little more than the probe's seven did."""

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


def shape_or_refuse(config: Mapping[str, Any], *, named: str) -> ModelShape:
    """Derive a model's shape.

    Raises: Refusal: a field is missing or absurd; says which.
    """
    shape, why = shape_of(config)
    if shape is None:
        raise Refusal(f"{named}: {why}. The forecast needs it; take the config.json the model was published with.")
    return shape


def setup_of(recipe: Recipe, *, bf16: bool) -> TrainingSetup:
    """Give a complete recipe's set-up as it would run on a GPU, one that computes in bfloat16 or an older one."""
    training, settings = recipe.training, recipe.method.settings
    formats: dict[str, NumberFormat] = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}
    dtype = formats.get(training.precision, "bf16" if bf16 else "fp16")
    quantized = find_card(recipe.method.name).needs.quantized_base
    targets = settings.get("targets", "all-linear")
    return TrainingSetup(
        method=recipe.method.name,
        rank=settings.get("rank", 16),
        targets=(targets,) if isinstance(targets, str) else tuple(targets),
        micro_batch=training.micro_batch,
        length=training.length,
        accumulation=training.accumulation,
        checkpointing=training.activation_checkpointing != "off",
        optimizer=training.optimizer,
        dtype=dtype,
        adapter_dtype="bf16" if quantized and dtype == "bf16" else "fp32",
        autocast=dtype != "fp32",
        quantization="nf4-double" if quantized else "none",
        dropout=settings.get("dropout", 0.0),
        padding=training.micro_batch > 1,
        evaluation_batch=recipe.evaluation_batch,
    )


def measured(recipe: Recipe, trainable_weights: int, *, file: str, timeout_seconds: float) -> Forecast:
    """Measure at level 3: the recipe's first steps, on this machine's device.

    Raises: Refusal: training would refuse it too, or the worker gave no answer.
    """
    try:
        found = measure(recipe, timeout_seconds=timeout_seconds, file=file)
    except JobFailed as failed:
        raise Refusal(f"the measurement gave no answer: {failed.sentence}") from None
    worst = max(found.parts, key=lambda part: part.allocated_bytes)
    where = f"{found.device}: {'the process' if found.figures == 'process' else 'the card'}"
    speed = () if found.tokens_per_second is None else (f"{found.tokens_per_second:,.0f} tokens/s at the worst shape",)
    ended = () if found.fits else (f"memory ran out in the part: {found.ran_out_of_memory}",)
    return Forecast(
        level="measured",
        allocated_bytes=found.allocated_bytes,
        card_bytes=found.card_bytes,
        safe_bytes=round(found.card_bytes * MEASURED_MARGIN),
        low_bytes=found.allocated_bytes,
        high_bytes=round(found.card_bytes * MEASURED_MARGIN),
        items={},
        phases={part.name: part.allocated_bytes for part in found.parts},
        peak_phase=worst.name,
        trainable_weights=trainable_weights,
        notes=(f"measured on {where}", *ended, *speed, *found.notes),
        ran_out=not found.fits,
    )


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
