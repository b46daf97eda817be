"""From the options of `pegbox forecast` to a model, a set-up, and the device it is priced for."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

import msgspec

from pegbox_hardware.alike import TALKING
from pegbox_hardware.forecast.memory import Learned
from pegbox_hardware.forecast.setup import TrainingSetup
from pegbox_hardware.forecast.simulated import Stack
from pegbox_hardware.machine import probe
from pegbox_hardware.profile_rows import LinkRow
from pegbox_hardware.profiles import load_profiles
from pegbox_hardware.shape import ALL_LINEAR, ATTENTION
from pegbox_methods.advice.places import having, places_of, planned_card, planned_memory
from pegbox_methods.advice.pricing import STACKS, number_of, targets_of
from pegbox_methods.advice.records import Place
from pegbox_methods.advice.several import link_for, place_for
from pegbox_methods.advice.teams import refuse_numbers, with_team
from pegbox_methods.home import user_path
from pegbox_methods.recipe import Devices, Recipe
from pegbox_methods.recipe_file import complete_recipe, read_recipe
from pegbox_methods.refusal import Refusal
from pegbox_methods.registry import find_card, method_names
from pegbox_runs.advising import learned_here
from pegbox_runs.forecasting import measured_rate, setup_from, setup_of
from pegbox_runs.models import find_config, named_model, read_config

SWITCH = {"on": True, "off": False}
ONE_SOURCE = "give a MODEL, or its config.json by --config PATH, or a recipe by --recipe PATH; one of the three."


@dataclass(frozen=True)
class Asked:
    """What is to be priced."""

    config: dict[str, Any]
    named: str
    setup: TrainingSetup
    settings: dict[str, Any]
    """The method's, complete."""
    stack: Stack
    place: Place | None
    """None: no device was named, and there is no GPU here."""
    learned: Learned | None
    recipe: Recipe | None
    link: LinkRow | None
    """Between the processes; None: there is one."""
    rate: float | None
    """Tokens a second that this very recipe was measured at, here."""


def read_asked(options: argparse.Namespace) -> Asked:
    """Read all options.

    Raises: Refusal.
    """
    recipe = _recipe(options)
    count = _processes(options) if recipe is None or options.devices else recipe.devices.processes
    place, learned = _place(options, -(-count // options.nodes), here=recipe is not None)
    if recipe is not None:
        config, named = find_config(recipe.model).config, recipe.model.name
        settings = recipe.method.settings
        recipe = _over_devices(recipe, options)
        if place is not None and not place.planned and place.accelerator in TALKING:
            place, learned = _started_on(recipe, options.nodes) or (place, learned)
        setup = setup_of(recipe, bf16=place is None or place.bf16, processor=_on_processor(place))
    else:
        config, named = _config(options)
        settings = _settings(options)
        setup = setup_from(_values(options, place, settings))
    if place is not None and place.accelerator == "mps" and (setup.quantized or "8bit" in setup.optimizer):
        raise Refusal(f"{place.name}: bitsandbytes, which 4-bit bases and 8-bit optimizers need, has nothing for it.")
    rate = None if recipe is None or (place is not None and place.planned) else measured_rate(recipe)
    place = None if place is None else _teamed(place, setup, options)
    link = None if place is None else link_for(place, setup.processes)
    place = None if place is None else place_for(place, setup.processes)
    return Asked(config, named, setup, settings, _stack(options, place), place, learned, recipe, link, rate)


def _started_on(recipe: Recipe, nodes: int) -> tuple[Place, Learned | None] | None:
    """Find the kind of this machine's GPUs that a recipe would start on; None: it takes one alone, or has no choice."""
    here = recipe.devices.processes // nodes
    if here < 2:
        return None
    from pegbox_runs.rungs import Ground

    machine = probe()
    mine = msgspec.structs.replace(recipe.devices, processes=here)
    ground = Ground(msgspec.structs.replace(recipe, devices=mine), None, machine)
    return (ground.place, learned_here(machine).get(ground.place.name)) if ground.gpus else None


def _processes(options: argparse.Namespace) -> int:
    """Count the processes that the options ask for. Raises: Refusal: no sensible number."""
    refuse_numbers(options.devices, options.nodes, options.network)
    return (options.devices or 1) * int(options.nodes)


def _parted(accumulation: int, processes: int, engine: str | None) -> int:
    """Give one process' part of the accumulation. Raises: Refusal: it doesn't part alike, or the engine needs more."""
    if engine == "fsdp2" and processes == 1:
        raise Refusal("--engine fsdp2 parts the base model among several devices: name their number by --devices.")
    if accumulation % processes:
        near = processes * max(1, round(accumulation / processes))
        raise Refusal(
            f"--accumulation {accumulation}: {processes} devices don't part it alike; take a multiple of {processes}, "
            f"such as {near}."
        )
    return accumulation // processes


def _over_devices(recipe: Recipe, options: argparse.Namespace) -> Recipe:
    """Put the options' devices in place of a recipe's. Raises: Refusal."""
    processes = _processes(options)
    if processes == 1 and options.devices is None and options.engine is None:
        _parted(recipe.training.accumulation, recipe.devices.processes, None)
        return recipe
    count = recipe.devices.processes if processes == 1 and options.devices is None else processes
    engine = options.engine or ("auto" if count == 1 else recipe.devices.engine)
    _parted(recipe.training.accumulation, count, engine)
    return msgspec.structs.replace(recipe, devices=Devices(processes=count, engine=engine))


def _teamed(place: Place, setup: TrainingSetup, options: argparse.Namespace) -> Place:
    """Name the link between several devices. Raises: Refusal: so many aren't here."""
    if setup.processes == 1:
        return place
    each = setup.processes // options.nodes
    return with_team(place, load_profiles(), devices=each, nodes=options.nodes, network_gbit=options.network)


def _on_processor(place: Place | None) -> bool:
    return place is not None and place.accelerator == "cpu"


def _config(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    if (options.config is None) == (options.model is None):
        raise Refusal(ONE_SOURCE)
    if options.model is not None:
        return find_config(named_model(options.model)).config, options.model
    path = user_path(options.config)
    if not path.exists():
        raise Refusal(f"{path}: there is no such file. Give a model's config.json or the folder it lies in.")
    return read_config(path / "config.json" if path.is_dir() else path), options.config


def _recipe(options: argparse.Namespace) -> Recipe | None:
    """Read the recipe that the set-up is taken from, if one is named.

    Raises: Refusal.
    """
    if options.level == "measured":
        if options.recipe is None:
            raise Refusal("--level measured takes a recipe's first steps on this machine: name it by --recipe PATH.")
        if options.gpu is not None or options.vram is not None:
            raise Refusal("--level measured runs on this machine's device; leave --gpu and --vram out.")
        if not 1 <= options.timeout <= 86_400:
            raise Refusal(f"--timeout {options.timeout:g}: expected seconds, from 1 to 86400.")
    if options.recipe is None:
        return None
    if options.config is not None or options.model is not None:
        raise Refusal(ONE_SOURCE)
    recipe = read_recipe(user_path(options.recipe))
    return complete_recipe(recipe, find_card(recipe.method.name), file=options.recipe)


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    """Collect the method's settings: what was said, and its own defaults for the rest; none of an unknown method.

    Raises: Refusal: a value that the method doesn't take.
    """
    method = options.method.lower()
    if method not in method_names():
        return {}
    card = find_card(method)
    said = {"rank": options.rank, "dropout": options.dropout, "targets": _names(options.targets)}
    chosen = {setting.name: setting.default for setting in card.settings}
    for setting in card.settings:
        value = said.get(setting.name)
        if value is None:
            continue
        if not setting.accepts(value):
            raise Refusal(f"--{setting.name} {value}: the method {card.name} takes {setting.accepted()}.")
        chosen[setting.name] = value
    return chosen


def _names(said: str | None) -> str | list[str] | None:
    """Read --targets: one word, or module names with commas."""
    if said is None:
        return None
    names = [name.strip() for name in said.split(",") if name.strip()]
    if not names:
        raise Refusal('--targets: names no linear map; "all-linear" stands for all of them.')
    return names[0] if names[0] in (ALL_LINEAR, ATTENTION) and len(names) == 1 else names


def _values(options: argparse.Namespace, place: Place | None, settings: dict[str, Any]) -> dict[str, Any]:
    """Collect the set-up's values: what was said, and for the rest what `pegbox train` would do."""
    method = options.method.lower()
    packs = method in method_names() and find_card(method).needs.quantized_base
    quantization = options.quantization or ("nf4-double" if packs else "none")
    # On a processor the weights are fp32, whatever it computes in; so are, everywhere, those that train.
    usual = "fp32" if _on_processor(place) or method == "full" else "bf16" if place is None or place.bf16 else "fp16"
    dtype = options.dtype or usual
    return {
        "method": method,
        "rank": number_of(settings, "rank", 16),
        "targets": targets_of(settings),
        "micro_batch": options.micro_batch,
        "length": options.length,
        "accumulation": _parted(options.accumulation, _processes(options), options.engine),
        "processes": _processes(options),
        "sharded": options.engine == "fsdp2",
        "checkpointing": SWITCH[options.checkpointing],
        "optimizer": options.optimizer,
        "dtype": dtype,
        "adapter_dtype": options.adapter_dtype or "fp32",
        # A processor without bfloat16 computes in fp32 throughout, as the worker decides too.
        "autocast": SWITCH[options.autocast] and (place is None or place.bf16 or not _on_processor(place)),
        "quantization": quantization,
        "kbit_casts": SWITCH[options.kbit_casts],
        "dropout": number_of(settings, "dropout", 0.0),
        "loss": options.loss,
        "attention": options.attention,
        "padding": SWITCH[options.padding],
        "evaluation_batch": options.evaluation_batch,
    }


def _stack(options: argparse.Namespace, place: Place | None) -> Stack:
    """Say how the libraries behave: today's, or those of an older transformers where it matters.

    Raises: Refusal.
    """
    shifted = False
    if options.transformers is not None:
        try:
            major, minor = (int(part) for part in options.transformers.split(".")[:2])
        except ValueError:
            raise Refusal(f"--transformers {options.transformers}: expected a version such as 4.48 or 5.23.") from None
        shifted = (4, 46) <= (major, minor) < (5, 0)
    workspace = STACKS["cuda" if place is None else place.accelerator].cublas_workspace_bytes
    return Stack(logits_shifted=shifted, foreach_optimizer=options.foreach, cublas_workspace_bytes=workspace)


def _place(options: argparse.Namespace, devices: int, *, here: bool) -> tuple[Place | None, Learned | None]:
    """Find the device to fit into: one that was named, else this machine's GPU.

    `devices`: how many of one kind it must be; `here`: a recipe is priced, which would run on the processor where there
    is no GPU.
    Returns: (device, what measurements on it taught).
    """
    if options.gpu is not None and options.vram is not None:
        raise Refusal("--gpu and --vram both name a card; give one of the two.")
    if options.gpu is not None:
        return planned_card(options.gpu, load_profiles()), None
    if options.vram is not None:
        return planned_memory(options.vram, load_profiles()), None
    machine = probe()
    if not machine.gpus and not here:
        return None, None
    place = having(places_of(machine, load_profiles()), devices)[0]
    return place, learned_here(machine).get(place.name)
