"""pegbox forecast [MODEL] [--config PATH] [--recipe PATH] ..."""

from __future__ import annotations

import argparse
from typing import Any

import msgspec
from rich.console import Console

from pegbox.answer import answer_json
from pegbox.asked_setup import Asked, read_asked
from pegbox.forecast_view import Priced, show_forecast
from pegbox_hardware.forecast.memory import Forecast
from pegbox_hardware.forecast.time import TimeForecast, forecast_time
from pegbox_hardware.model_config import shape_of
from pegbox_hardware.shape import ModelShape
from pegbox_methods.advice.pricing import on_processor
from pegbox_methods.advice.ram import lacking_ram, ram_of
from pegbox_methods.advice.ranking import not_together
from pegbox_methods.refusal import Refusal
from pegbox_methods.registry import find_card
from pegbox_runs.forecasting import (
    analytic,
    cost_for,
    measured,
    measured_rate,
    refuse_setup,
    simulated,
    step_time_ratio,
)


def run(options: argparse.Namespace) -> int:
    """Price one setting. Exit code 1: it doesn't fit."""
    asked = read_asked(options)
    shape, why = shape_of(asked.config)
    if shape is not None:
        refuse_setup(asked.setup, shape, asked.settings)
        _refuse_together(asked)
    elif options.level != "simulated":
        raise Refusal(
            f"{asked.named}: {why}. The forecast needs it: take the config.json the model was published with, or "
            "--level simulated, which builds the model."
        )
    found = _forecast(options, asked, shape)
    ram = None if shape is None else ram_of(asked.place, shape, asked.setup, found, nodes=options.nodes)
    fits = False if lacking_ram(ram, asked.place) else _fits(found, asked)
    time = None if shape is None else _time(shape, asked, found)
    if options.json:
        answer_json({**_record(found, asked, fits, time), "host": None if ram is None else msgspec.to_builtins(ram)})
    else:
        show_forecast(Priced(asked.named, shape, asked.setup, found, fits, asked.place, time, ram))
    return 1 if fits is False else 0


def _refuse_together(asked: Asked) -> None:
    """Refuse what the method can't do over several devices. Raises: Refusal."""
    setup = asked.setup
    why = not_together(find_card(setup.method), processes=setup.processes, sharded=setup.sharded)
    if why is not None:
        raise Refusal(f"--devices {setup.processes}: {why}.")
    if setup.sharded and asked.place is not None and asked.place.accelerator == "cpu":
        raise Refusal("--engine fsdp2: it parts a base model among GPUs alone; take --engine ddp.")


def _forecast(options: argparse.Namespace, asked: Asked, shape: ModelShape | None) -> Forecast:
    if options.level == "measured" and asked.recipe is not None and shape is not None:
        trained = cost_for(shape, asked.setup, asked.settings).trainable_weights
        with Console(stderr=True).status("taking the first steps", spinner="line"):
            return measured(asked.recipe, trained, file=options.recipe, timeout_seconds=options.timeout)
    if asked.setup.processes > 1 and (options.level == "simulated" or shape is None):
        raise Refusal("--level simulated builds the model for one device; --level analytic prices several.")
    if options.level == "simulated" or shape is None:
        found = simulated(asked.config, asked.setup, stack=asked.stack)
    else:
        cost = cost_for(shape, asked.setup, asked.settings)
        found = analytic(shape, asked.setup, cost, stack=asked.stack, learned=asked.learned)
    if asked.place is not None and asked.place.accelerator == "cpu":
        return on_processor(found)
    return found


def _fits(found: Forecast, asked: Asked) -> bool | None:
    """Tell whether it fits; None where there is no device to fit into. What was measured here has shown it."""
    if found.level == "measured":
        return not found.ran_out
    return None if asked.place is None else found.fits(asked.place.usable_bytes)


def _time(shape: ModelShape, asked: Asked, found: Forecast) -> TimeForecast | None:
    """Forecast the time of one optimizer step, where the device's speed is known."""
    if asked.place is None or asked.place.card is None:
        return None
    rate = measured_rate(asked.recipe) if found.level == "measured" and asked.recipe is not None else asked.rate
    return forecast_time(
        shape,
        asked.setup,
        found.trainable_weights,
        asked.place.card,
        tokens=asked.setup.step_tokens,
        link=asked.link,
        step_time_ratio=step_time_ratio(asked.setup, shape, asked.settings),
        measured_tokens_per_second=rate,
    )


def _record(found: Forecast, asked: Asked, fits: bool | None, time: TimeForecast | None) -> dict[str, Any]:
    place = asked.place
    device = None
    if place is not None:
        device = {"name": place.name, "memory_free": place.memory_free, "memory_usable": place.usable_bytes}
    return {
        **msgspec.to_builtins(found),
        "fits": fits,
        "device": device,
        "step_time": None if time is None else msgspec.to_builtins(time),
        "setup": msgspec.to_builtins(asked.setup),
    }
