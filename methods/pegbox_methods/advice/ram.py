"""What several processes take of their machine's RAM, against what it has."""

from __future__ import annotations

from pegbox_hardware.forecast.host import PROCESS_LOW, HostMemory, host_memory
from pegbox_hardware.forecast.memory import Forecast
from pegbox_hardware.forecast.setup import TrainingSetup
from pegbox_hardware.shape import ModelShape
from pegbox_methods.advice.records import Place

GIB = 2**30
BASE = ("linear maps", "embeddings, head, norms", "experts")
"""Items of a memory forecast that are the base model."""


def ram_of(
    place: Place | None, shape: ModelShape, setup: TrainingSetup, memory: Forecast, *, nodes: int = 1
) -> HostMemory | None:
    """Forecast the RAM of each of so many machines; None: one process alone, of which nobody asks.

    `place` None: a GPU that isn't known.
    """
    if setup.processes == 1:
        return None
    if place is None or place.accelerator != "cpu":
        return host_memory(shape, setup, nodes=nodes)
    here = max(1, setup.processes // nodes)
    base = sum(memory.items.get(name, 0) for name in BASE)
    # Weights in fp32 are taken as they lie in the files, whose pages all share, until they are trained themselves.
    shared = (here - 1) * base if shape.stored == "fp32" and not (setup.quantized or setup.full) else 0
    return HostMemory(
        processes=here,
        bytes=here * memory.card_bytes - shared,
        low_bytes=here * round(PROCESS_LOW + base) - shared,  # rows may all be far shorter than they are allowed to be
        high_bytes=here * memory.safe_bytes,
        base_bytes=base,
        when="at the peak of a step",
        why="each takes what is forecast of it" + (", but the pages of the base's files are shared" if shared else ""),
        source="the memory forecast",
    )


def ram_in_words(ram: HostMemory, place: Place | None) -> str:
    """Say it with its range and why, and what the machine has."""
    said = f"{_taken(ram)}: {ram.why}"
    if place is None or place.ram_total is None or place.ram_free is None:
        return f"{said}; so much must be free on each machine"
    return f"{said}; {_has(place.ram_total, place.ram_free)}"


def lacking_ram(ram: HostMemory | None, place: Place | None) -> str:
    """Say that a machine can't hold it; empty: it can, or what it has isn't known."""
    if ram is None or place is None or place.ram_total is None or not ram.lacks(place.ram_total):
        return ""
    return (
        f"{_taken(ram)}: {ram.why}. This machine has {place.ram_total / GIB:.1f} GiB, "
        "and its kernel would kill one of them"
    )


def tight_ram(ram: HostMemory | None, place: Place) -> str:
    """Warn that it may be too little; empty: it is enough, or what the machine has isn't known."""
    if ram is None or place.ram_total is None or place.ram_free is None or not ram.may_lack(place.ram_free):
        return ""
    return f"RAM may not do: {_taken(ram)}; {_has(place.ram_total, place.ram_free)}"


def _taken(ram: HostMemory) -> str:
    low, high = f"{ram.low_bytes / GIB:.1f}", f"{ram.high_bytes / GIB:.1f}"
    return f"{ram.processes} processes take about {ram.bytes / GIB:.1f} GiB of RAM ({low} to {high}) {ram.when}"


def _has(total: int, free: int) -> str:
    return f"{free / GIB:.1f} of this machine's {total / GIB:.1f} GiB are free"
