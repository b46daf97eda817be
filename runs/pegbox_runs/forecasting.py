"""The memory forecast at the level that was asked for: from the shape, or by a worker that builds the model."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import msgspec

from pegbox_hardware.forecast.adapters import PRICED, MethodCost, cost_of
from pegbox_hardware.forecast.memory import UNMEASURED_MIXTURE, Forecast, Learned, forecast_memory, from_simulation
from pegbox_hardware.forecast.setup import USUAL_SURPLUS, NumberFormat, TrainingSetup
from pegbox_hardware.forecast.simulated import SimulationRequest, SimulationResult, Stack
from pegbox_hardware.machine import probe
from pegbox_hardware.model_config import shape_of
from pegbox_hardware.shape import ModelShape
from pegbox_methods.abilities import packs_base
from pegbox_methods.advice.pricing import method_cost, number_of, targets_of
from pegbox_methods.card import Card
from pegbox_methods.fence import one_line_of
from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal, did_you_mean
from pegbox_methods.registry import find_card, method_names
from pegbox_runs.conditions import gpu_of_run
from pegbox_runs.jobs import JobFailed, ask_worker
from pegbox_runs.learned import learned_tokens_per_second
from pegbox_runs.measured import measure, setting_of
from pegbox_runs.models import find_config

SIMULATION_SECONDS = 300.0
"""A simulation that takes longer than this hangs; whole models take 10 to 40 s on two cores."""

MEASURED_MARGIN = 1.03
"""A run of many steps may fragment a little more than the probe's seven did."""


def setup_of(recipe: Recipe, *, bf16: bool, processor: bool = False, card: Card | None = None) -> TrainingSetup:
    """Give a complete recipe's set-up as it would run on a device, one that computes in bfloat16 or not.

    `card`: the method's, where it is at hand; else it is looked up.
    On a processor the frozen weights are fp32, as all are that train, and checkpointing is off unless it is asked for.
    """
    training, settings = recipe.training, recipe.method.settings
    formats: dict[str, NumberFormat] = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}
    compute = formats.get(training.precision, "bf16" if bf16 else "fp32" if processor else "fp16")
    dtype = "fp32" if processor or recipe.method.name == "full" else compute
    checkpointing = training.activation_checkpointing
    quantized = packs_base(recipe, card or find_card(recipe.method.name))
    return TrainingSetup(
        method=recipe.method.name,
        rank=number_of(settings, "rank", 16),
        surplus=number_of(settings, "surplus", USUAL_SURPLUS),
        targets=targets_of(settings),
        micro_batch=training.micro_batch,
        length=training.length,
        accumulation=max(1, training.accumulation // recipe.devices.processes),
        checkpointing=checkpointing == "on" or (checkpointing == "auto" and not processor),
        optimizer=training.optimizer,
        dtype=dtype,
        autocast=compute != "fp32",
        quantization="nf4-double" if quantized else "none",
        kbit_casts=quantized and settings.get("preparation") == "full",
        dropout=number_of(settings, "dropout", 0.0),
        padding=training.micro_batch > 1,
        evaluation_batch=recipe.evaluation_batch,
        processes=recipe.devices.processes,
        sharded=recipe.devices.shards,
    )


def measured_rate(recipe: Recipe) -> float | None:
    """Give the tokens a second that a complete recipe was measured at on this machine's device, if it was.

    Raises: Refusal: its model isn't there.
    """
    if recipe.devices.processes > 1:  # one alone was measured
        return None
    machine = probe()
    gpu = gpu_of_run(machine)
    name, driver = (machine.cpu, None) if gpu is None else (gpu.name, gpu.driver)
    setting = setting_of(recipe, find_config(recipe.model).sha256())
    try:
        return learned_tokens_per_second(setting, name, driver, version("torch"))
    except PackageNotFoundError:
        return None


def step_time_ratio(setup: TrainingSetup, shape: ModelShape, settings: Mapping[str, Any]) -> float:
    """Give a method's step time relative to LoRA's, by its card; 1 where no card tells.

    The time forecast counts itself what full fine-tuning and the unpacking of a 4-bit base take.
    """
    if setup.full or setup.quantized or setup.method not in method_names():
        return 1.0
    return find_card(setup.method).price(shape, settings).step_time_ratio or 1.0


def measured(
    recipe: Recipe,
    trainable_weights: int,
    *,
    file: str,
    timeout_seconds: float,
    gpu: str | None = None,
    left: threading.Event | None = None,
) -> Forecast:
    """Measure at level 3: the recipe's first steps, on this machine's device. Another thread may set `left` to give up.

    `gpu`: what CUDA_VISIBLE_DEVICES shall name, as `Place.uuid` has it; None: the device that a run would get.

    Raises: Refusal: training would refuse it too, no single device could hold it, or the worker gave no answer.
    """
    if recipe.devices.shards:
        raise Refusal(
            'a measurement takes one device alone, and devices.engine = "fsdp2" parts the base model among '
            f"{recipe.devices.processes}: --level analytic forecasts what each of them holds."
        )
    try:
        found = measure(recipe, timeout_seconds=timeout_seconds, file=file, gpu=gpu, left=left)
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


def refuse_setup(setup: TrainingSetup, shape: ModelShape, settings: Mapping[str, Any]) -> None:
    """Refuse what can't be priced, or what no run could be.

    `settings`: the method's, complete.
    Raises: Refusal: an unknown method, a target the model doesn't have, or values that contradict each other.
    """
    known = method_names()
    if setup.method not in known:
        raise Refusal(f"--method {setup.method}: {did_you_mean(setup.method, known)}")
    card = find_card(setup.method)
    if not setup.targets:
        raise Refusal('--targets: names no linear map; "all-linear" stands for all of them.')
    for wrong, sentence in _contradictions(setup, shape, card):
        if wrong:
            raise Refusal(sentence)
    try:
        cost_for(shape, setup, settings)
    except Exception as error:
        if isinstance(error, KeyError) and error.args and error.args[0] in setup.targets:
            raise Refusal(
                f"--targets: the model has no {error.args[0]}; its linear maps are {', '.join(shape.matrices)}; "
                '"all-linear" and "attention" stand for sets of them.'
            ) from None
        raise Refusal(f"--method {setup.method}: its card can't price this model: {one_line_of(error)}.") from error


def _contradictions(setup: TrainingSetup, shape: ModelShape, card: Card) -> Iterator[tuple[bool, str]]:
    yield (
        setup.full and setup.quantized,
        "--method full trains the model's own weights, which can't be in 4 bits; leave --quantization out.",
    )
    yield (
        card.needs.quantized_base and not setup.quantized,
        f"--method {card.name} trains on a 4-bit base alone; leave --quantization none out.",
    )
    yield (
        setup.quantized and "4-bit" in card.cannot,
        f"--method {card.name} can't train on a 4-bit base: {card.cannot.get('4-bit')}; leave --quantization out.",
    )
    yield (
        setup.kbit_casts and not setup.quantized,
        "--kbit-casts on prepares a 4-bit base; take it with --quantization nf4 or nf4-double.",
    )
    learned = shape.rotary == 0 and shape.positions is not None
    yield (
        learned and setup.length > (shape.positions or 0),
        f"--length {setup.length}: the model learned {shape.positions} positions, and has no more.",
    )


def analytic(
    shape: ModelShape, setup: TrainingSetup, cost: MethodCost, *, stack: Stack, learned: Learned | None
) -> Forecast:
    """Forecast at level 1."""
    return forecast_memory(shape, setup, cost, stack=stack, learned=learned)


def cost_for(shape: ModelShape, setup: TrainingSetup, settings: Mapping[str, Any]) -> MethodCost:
    """Price a set-up's method: by its name where its operations are known, any other by its own card.

    `settings`: the method's, complete.
    Raises: KeyError: the model has no map of a target's name; a guest's card may raise anything.
    """
    if setup.method in PRICED:
        return cost_of(shape, setup)
    card = find_card(setup.method)
    return method_cost(card, card.price(shape, settings), setup, shape)


def simulated(config: dict[str, Any], setup: TrainingSetup, *, stack: Stack | None = None) -> Forecast:
    """Forecast at level 2, in a worker of its own.

    Raises: Refusal: the model can't be built without its numbers, or the worker failed.
    """
    if setup.loss == "chunked":
        raise Refusal("--loss chunked: no library that is simulated has such a loss; --level analytic prices it.")
    request = SimulationRequest(
        config=config,
        setup=setup,
        stack=stack or Stack(),
        evaluation_micro_batch=setup.evaluation_batch or setup.micro_batch,
        full_depth=True,
    )
    try:
        result = ask_worker("simulate", request, SimulationResult, timeout_seconds=SIMULATION_SECONDS)
    except JobFailed as failed:
        raise Refusal(
            f"the simulation gave no answer: {failed.sentence} --level analytic needs no simulation."
        ) from None
    shape, _ = shape_of(config)
    mixture = shape is not None and shape.expert_weights > 0
    return from_simulation(result, notes=(UNMEASURED_MIXTURE,) if mixture else ())


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
