"""pegbox forecast [MODEL] [--config PATH] ..."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pegbox.answer import answer_json
from pegbox_hardware.forecast.adapters import QUANTIZED
from pegbox_hardware.forecast.memory import Forecast
from pegbox_hardware.forecast.setup import TrainingSetup
from pegbox_hardware.forecast.simulated import Stack
from pegbox_hardware.forecast.time import TimeForecast, forecast_time
from pegbox_hardware.profiles import load_profiles
from pegbox_hardware.shape import ModelShape
from pegbox_methods.advice.places import places_of, planned_card, planned_memory
from pegbox_methods.advice.records import Place
from pegbox_methods.refusal import Refusal
from pegbox_runs.figures import count, gib
from pegbox_runs.forecasting import (
    analytic,
    named_model,
    read_config,
    refuse_setup,
    setup_from,
    shape_or_refuse,
    simulated,
)
from pegbox_runs.models import find_config
from pegbox_runs.printable import printable

SWITCH = {"on": True, "off": False}


def run(asked: argparse.Namespace) -> int:
    """Price one setting. Exit code 1: it doesn't fit."""
    config, named = _config(asked)
    shape = shape_or_refuse(config, named=named)
    place = _place(asked)
    setup = setup_from(_values(asked, place))
    refuse_setup(setup, shape)
    found = (
        simulated(config, setup, stack=_stack(asked, evaluates=False))
        if asked.level == "simulated"
        else analytic(shape, setup, stack=_stack(asked, evaluates=True))
    )
    fits = None if place is None else found.fits(place.memory_free)
    time = _time(shape, setup, found, place)
    if asked.json:
        answer_json(_record(found, setup, fits, place, time))
    else:
        _show(Console(highlight=False, emoji=False, markup=False), named, shape, setup, found, fits, place, time)
    return 1 if fits is False else 0


def _config(asked: argparse.Namespace) -> tuple[dict[str, Any], str]:
    if (asked.config is None) == (asked.model is None):
        raise Refusal("give a MODEL, or its config.json by --config PATH; one of the two.")
    if asked.config is not None:
        return read_config(Path(asked.config).expanduser()), asked.config
    return find_config(named_model(asked.model)).config, asked.model


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


def _place(asked: argparse.Namespace) -> Place | None:
    """Find the device to fit into: one that was named, else this machine's GPU; none where there is no GPU."""
    if asked.gpu is not None and asked.vram is not None:
        raise Refusal("--gpu and --vram both name a card; give one of the two.")
    if asked.gpu is not None:
        return planned_card(asked.gpu, load_profiles())
    if asked.vram is not None:
        return planned_memory(asked.vram, load_profiles())
    from pegbox_hardware.machine import probe

    machine = probe()
    return places_of(machine, load_profiles())[0] if machine.gpus else None


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


def _show(
    console: Console,
    named: str,
    shape: ModelShape,
    setup: TrainingSetup,
    found: Forecast,
    fits: bool | None,
    place: Place | None,
    time: TimeForecast | None,
) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(justify="right")
    table.add_column()
    for label, text in _lines(named, shape, setup, found):
        table.add_row(label, Text(printable(text)))
    console.print(table)
    console.print()
    bars = Table(box=None, pad_edge=False, show_header=False)
    bars.add_column(justify="right", min_width=10)
    bars.add_column(min_width=24)
    bars.add_column()
    for name, size in sorted(found.items.items(), key=lambda item: -item[1]):
        bars.add_row(gib(size), "█" * max(1, round(24 * size / found.allocated_bytes)), name)
    console.print(bars)
    for note in found.notes:
        console.print(Text(f"note: {printable(note)}"))
    if time is not None:
        console.print(
            f"\na step of {setup.micro_batch} x {setup.accumulation} rows: "
            f"{time.seconds:.1f} s ({time.seconds_low:.1f} to {time.seconds_high:.1f}), "
            f"{time.tokens_per_second:,.0f} tokens/s, {time.level}"
        )
    if place is not None:
        verdict = "fits" if fits else "does not fit"
        console.print(Text(f"\n{verdict}: {printable(place.name)} has {gib(place.memory_free)} free"))


def _lines(named: str, shape: ModelShape, setup: TrainingSetup, found: Forecast) -> list[tuple[str, str]]:
    batch = f"{setup.micro_batch} rows of {setup.length} tokens"
    checkpointing = "with" if setup.checkpointing else "without"
    return [
        ("model", f"{named}: {shape.architecture}, {count(shape.weights)} weights"),
        (
            "set-up",
            f"{setup.method}, {count(found.trainable_weights)} trained weights; {batch}, {checkpointing} checkpointing",
        ),
        ("allocated", f"{gib(found.allocated_bytes)} at the peak, in the phase: {found.peak_phase}"),
        ("card", f"{gib(found.card_bytes)} as nvidia-smi will show"),
        ("safe", f"{gib(found.safe_bytes)} should be free"),
        ("range", f"{gib(found.low_bytes)} to {gib(found.high_bytes)}, {found.level}"),
    ]
