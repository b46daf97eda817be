"""pegbox forecast [MODEL] [--config PATH] ..."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from pegbox.answer import answer_json
from pegbox.forecast_view import Priced, show_forecast
from pegbox_hardware.forecast.adapters import QUANTIZED, cost_of
from pegbox_hardware.forecast.memory import Forecast, Learned
from pegbox_hardware.forecast.setup import TrainingSetup
from pegbox_hardware.forecast.simulated import Stack
from pegbox_hardware.forecast.time import TimeForecast, forecast_time
from pegbox_hardware.machine import probe
from pegbox_hardware.profiles import load_profiles
from pegbox_hardware.shape import ModelShape
from pegbox_methods.advice.places import places_of, planned_card, planned_memory
from pegbox_methods.advice.records import Place
from pegbox_methods.recipe import Recipe
from pegbox_methods.recipe_file import complete_recipe, read_recipe
from pegbox_methods.refusal import Refusal
from pegbox_methods.registry import find_card
from pegbox_runs.advising import learned_here
from pegbox_runs.forecasting import (
    analytic,
    measured,
    read_config,
    refuse_setup,
    setup_from,
    setup_of,
    shape_or_refuse,
    simulated,
)
from pegbox_runs.models import find_config, named_model

SWITCH = {"on": True, "off": False}
ONE_SOURCE = "give a MODEL, or its config.json by --config PATH, or a recipe by --recipe PATH; one of the three."


def run(asked: argparse.Namespace) -> int:
    """Price one setting. Exit code 1: it doesn't fit."""
    place, learned = _place(asked)
    recipe = _recipe(asked)
    if recipe is None:
        config, named = _config(asked)
        setup = setup_from(_values(asked, place))
    else:
        config, named = find_config(recipe.model).config, recipe.model.name
        setup = setup_of(recipe, bf16=place is None or place.bf16)
    shape = shape_or_refuse(config, named=named)
    refuse_setup(setup, shape)
    if asked.level == "simulated":
        found = simulated(config, setup, stack=_stack(asked, evaluates=False))
    elif asked.level == "measured":
        found = _measured(asked, recipe, shape, setup)
    else:
        found = analytic(shape, setup, stack=_stack(asked, evaluates=True), learned=learned)
    fits = _fits(found, place, asked.level)
    time = _time(shape, setup, found, place)
    if asked.json:
        answer_json(_record(found, setup, fits, place, time))
    else:
        show_forecast(Priced(named, shape, setup, found, fits, place, time))
    return 1 if fits is False else 0


def _fits(found: Forecast, place: Place | None, level: str) -> bool | None:
    """Tell whether it fits; None where there is no card to fit into. What was measured here has shown it."""
    if level == "measured":
        return not found.ran_out
    return None if place is None else found.fits(place.memory_free)


def _config(asked: argparse.Namespace) -> tuple[dict[str, Any], str]:
    if (asked.config is None) == (asked.model is None):
        raise Refusal(
            "give a MODEL, or its config.json by --config PATH, or a recipe by --recipe PATH; one of the three."
        )
    if asked.config is not None:
        return read_config(Path(asked.config).expanduser()), asked.config
    return find_config(named_model(asked.model)).config, asked.model


def _recipe(asked: argparse.Namespace) -> Recipe | None:
    """Read the recipe that the set-up is taken from, if one is named.

    Raises: Refusal.
    """
    if asked.recipe is None:
        if asked.level == "measured":
            raise Refusal("--level measured takes a recipe's first steps on this machine: name it by --recipe PATH.")
        return None
    if asked.config is not None or asked.model is not None:
        raise Refusal(
            "give a MODEL, or its config.json by --config PATH, or a recipe by --recipe PATH; one of the three."
        )
    if asked.level == "measured" and (asked.gpu is not None or asked.vram is not None):
        raise Refusal("--level measured runs on this machine's device; leave --gpu and --vram out.")
    recipe = read_recipe(Path(asked.recipe))
    return complete_recipe(recipe, find_card(recipe.method.name), file=asked.recipe)


def _measured(asked: argparse.Namespace, recipe: Recipe | None, shape: ModelShape, setup: TrainingSetup) -> Forecast:
    if recipe is None:  # _recipe has refused that
        raise Refusal("--level measured needs a recipe.")
    trained = cost_of(shape, setup).trainable_weights
    with Console(stderr=True).status("taking the first steps", spinner="line"):
        return measured(recipe, trained, file=asked.recipe, timeout_seconds=asked.timeout)


def _values(asked: argparse.Namespace, place: Place | None) -> dict[str, Any]:
    """Collect the set-up's values: what was said, and for the rest what `pegbox train` would do."""
    quantization = asked.quantization or ("nf4-double" if asked.method in QUANTIZED else "none")
    dtype = asked.dtype or ("bf16" if place is None or place.bf16 else "fp16")
    # TRL casts the adapters of a quantized base to bf16; else, and in fp16, they stay as PEFT makes them.
    adapter = asked.adapter_dtype or ("bf16" if quantization != "none" and dtype == "bf16" else "fp32")
    return {
        "method": asked.method,
        "rank": asked.rank,
        "targets": [name for name in asked.targets.split(",") if name],
        "micro_batch": asked.micro_batch,
        "length": asked.length,
        "accumulation": asked.accumulation,
        "checkpointing": SWITCH[asked.checkpointing],
        "optimizer": asked.optimizer,
        "dtype": dtype,
        "adapter_dtype": adapter,
        "autocast": SWITCH[asked.autocast],
        "quantization": quantization,
        "kbit_casts": SWITCH[asked.kbit_casts],
        "dropout": asked.dropout,
        "loss": asked.loss,
        "attention": asked.attention,
        "padding": SWITCH[asked.padding],
        "evaluation_batch": asked.evaluation_batch,
    }


def _stack(asked: argparse.Namespace, *, evaluates: bool) -> Stack:
    """Say how the libraries behave: today's, or those of an older transformers where it matters."""
    shifted = False
    if asked.transformers is not None:
        try:
            major, minor = (int(part) for part in asked.transformers.split(".")[:2])
        except ValueError:
            raise Refusal(f"--transformers {asked.transformers}: expected a version such as 4.48 or 5.23.") from None
        shifted = (4, 46) <= (major, minor) < (5, 0)
    return Stack(evaluates=evaluates, logits_shifted=shifted, foreach_optimizer=asked.foreach)


def _place(asked: argparse.Namespace) -> tuple[Place | None, Learned | None]:
    """Find the device to fit into: one that was named, else this machine's GPU; none where there is no GPU.

    Returns: (device, what measurements on it taught).
    """
    if asked.gpu is not None and asked.vram is not None:
        raise Refusal("--gpu and --vram both name a card; give one of the two.")
    if asked.gpu is not None:
        return planned_card(asked.gpu, load_profiles()), None
    if asked.vram is not None:
        return planned_memory(asked.vram, load_profiles()), None
    machine = probe()
    if not machine.gpus:
        return None, None
    place = places_of(machine, load_profiles())[0]
    return place, learned_here(machine).get(place.name)


def _time(shape: ModelShape, setup: TrainingSetup, found: Forecast, place: Place | None) -> TimeForecast | None:
    """Forecast the time of one optimizer step, where the card's speed is known."""
    if place is None or place.card is None:
        return None
    tokens = setup.tokens * setup.accumulation
    return forecast_time(shape, setup, found.trainable_weights, place.card, tokens=tokens)


def _record(
    found: Forecast, setup: TrainingSetup, fits: bool | None, place: Place | None, time: TimeForecast | None
) -> dict[str, Any]:
    return {
        **msgspec.to_builtins(found),
        "fits": fits,
        "device": None if place is None else {"name": place.name, "memory_free": place.memory_free},
        "step_time": None if time is None else msgspec.to_builtins(time),
        "setup": msgspec.to_builtins(setup),
    }
