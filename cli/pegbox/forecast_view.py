"""A forecast as people read it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pegbox_hardware.forecast.host import HostMemory
from pegbox_hardware.forecast.memory import Forecast
from pegbox_hardware.forecast.setup import TrainingSetup
from pegbox_hardware.forecast.time import TimeForecast
from pegbox_hardware.shape import ModelShape
from pegbox_methods.advice.ram import lacking_ram, ram_in_words
from pegbox_methods.advice.records import Place
from pegbox_runs.figures import count, gib, moment, traffic
from pegbox_runs.printable import printable

BAR = 24
"""Width of the longest bar."""


@dataclass(frozen=True)
class Priced:
    """One setting with its forecasts."""

    named: str
    shape: ModelShape | None
    """None: of a type that only the simulation can build."""
    setup: TrainingSetup
    memory: Forecast
    fits: bool | None
    place: Place | None
    time: TimeForecast | None
    ram: HostMemory | None
    """Of one machine's processes; None: one process."""


def show_forecast(priced: Priced) -> None:
    """Print one setting: what it is, its figures, what holds the memory, its speed, and whether it fits."""
    console = Console(highlight=False, emoji=False, markup=False)
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(justify="right")
    table.add_column()
    for label, text in _lines(priced):
        table.add_row(label, Text(printable(text)))
    console.print(table)
    if priced.memory.items:
        console.print()
        console.print(_bars(priced.memory))
    for note in priced.memory.notes:
        console.print(Text(f"note: {printable(note)}"))
    for line in _verdict(priced):
        console.print()
        console.print(Text(printable(line)))


def _lines(priced: Priced) -> Iterator[tuple[str, str]]:
    setup, memory = priced.setup, priced.memory
    checkpointing = "with" if setup.checkpointing else "without"
    shape = priced.shape
    yield (
        "model",
        priced.named if shape is None else f"{priced.named}: {shape.architecture}, {count(shape.weights)} weights",
    )
    yield (
        "set-up",
        f"{setup.method}, {count(memory.trainable_weights)} trained weights; {setup.micro_batch} rows of "
        f"{setup.length} tokens, {checkpointing} checkpointing",
    )
    yield "allocated", f"{gib(memory.allocated_bytes)} at the peak, in the phase: {memory.peak_phase}"
    if priced.place is not None and priced.place.accelerator == "cpu":
        yield "process", f"{gib(memory.card_bytes)} of RAM in all, libraries too"
    else:
        yield "card", f"{gib(memory.card_bytes)} as nvidia-smi will show"
    yield "safe", f"{gib(memory.safe_bytes)} should be free"
    if setup.processes > 1:
        engine = "FSDP2: each holds a part of the base" if setup.sharded else "DDP: each holds the whole base"
        yield "devices", f"{setup.processes}, {engine}; all figures are those of one of them"
    yield "range", f"{gib(memory.low_bytes)} to {gib(memory.high_bytes)}, {memory.level}"


def _bars(memory: Forecast) -> Table:
    bars = Table(box=None, pad_edge=False, show_header=False)
    bars.add_column(justify="right", min_width=10)
    bars.add_column(min_width=BAR)
    bars.add_column()
    for name, size in sorted(memory.items.items(), key=lambda item: -item[1]):
        bars.add_row(gib(size), "█" * max(1, round(BAR * size / memory.allocated_bytes)), name)
    return bars


def _verdict(priced: Priced) -> Iterator[str]:
    setup, time = priced.setup, priced.time
    if time is not None:
        yield (
            f"a step of {setup.micro_batch} x {setup.accumulation * setup.processes} rows: {moment(time.seconds)} "
            f"({moment(time.seconds_low)} to {moment(time.seconds_high)}), {time.tokens_per_second:,.0f} tokens/s, "
            f"{time.level}"
        )
    if time is not None and (told := time.communication) is not None:
        yield (
            f"of it each device sends {traffic(told.bytes)} over {told.link}: {moment(told.seconds)} "
            f"({moment(told.seconds_low)} to {moment(told.seconds_high)}), some of it while it computes "
            f"[{told.source}]"
        )
    if priced.ram is not None:
        yield f"RAM: {ram_in_words(priced.ram, priced.place)} [{priced.ram.source}]"
    if lacking_ram(priced.ram, priced.place):
        yield "does not fit: the machine's RAM is too small for that; take fewer processes"
    elif priced.place is not None and priced.fits is not None:
        verdict = "fits" if priced.fits else "does not fit"
        each = f" on each of {setup.processes}" if setup.processes > 1 else ""
        yield f"{verdict}{each}: {priced.place.name} has {gib(priced.place.usable_bytes)} to use"
    elif priced.fits is not None:
        yield "fits: it was run here" if priced.fits else "does not fit: memory ran out here"
