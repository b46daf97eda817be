"""The memory forecast: what a set-up will allocate, what the card will show, and what is safe to count on."""

from __future__ import annotations

from typing import Literal

import msgspec

from pegbox_hardware.forecast.adapters import MethodCost
from pegbox_hardware.forecast.analytic import Peaks, peaks
from pegbox_hardware.forecast.setup import TrainingSetup
from pegbox_hardware.forecast.simulated import Stack
from pegbox_hardware.shape import ModelShape

GIB = 2**30

Level = Literal["analytic", "simulated", "measured"]


class Learned(msgspec.Struct, frozen=True, kw_only=True):
    """What a measurement on a card taught, for the same card, driver and torch."""

    context_bytes: int
    """On the card outside torch's allocator."""
    reserved_ratio: float
    """Reserved over allocated bytes at the peak."""


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """One set-up's peak. Bytes."""

    level: Level
    allocated_bytes: int
    """Held by tensors at the peak, as `torch.cuda.max_memory_allocated` counts."""
    card_bytes: int
    """What nvidia-smi will show for the process."""
    safe_bytes: int
    """What should be free before the run is started."""
    low_bytes: int
    """The least that tensors may hold at the peak."""
    high_bytes: int
    """The most that the card may show."""
    items: dict[str, int]
    """What holds the memory at the peak; adds up to allocated_bytes."""
    phases: dict[str, int]
    """Phase of a step -> its own peak."""
    peak_phase: str
    trainable_weights: int
    notes: tuple[str, ...] = ()
    """Why the range is as wide as it is."""

    def fits(self, free_bytes: int) -> bool:
        """Tell whether the safe figure is free."""
        return self.safe_bytes <= free_bytes


def forecast_memory(
    shape: ModelShape,
    setup: TrainingSetup,
    cost: MethodCost,
    *,
    stack: Stack | None = None,
    learned: Learned | None = None,
) -> Forecast:
    """Forecast from the model's shape alone (level 1)."""
    stack = stack or Stack()
    found = peaks(shape, setup, cost, stack)
    allocated = found.allocated
    card = card_bytes(found, stack, learned)
    safe = card * 1.1 + 0.5 * GIB
    return Forecast(
        level="analytic",
        allocated_bytes=round(allocated),
        card_bytes=round(card),
        safe_bytes=round(safe),
        low_bytes=round(allocated * 0.95),
        high_bytes=round(safe),
        items=_items(found, setup),
        phases={name: round(found.standing + phase.total) for name, phase in found.phases.items()},
        peak_phase=found.name,
        trainable_weights=cost.trainable_weights,
    )


def card_bytes(found: Peaks, stack: Stack, learned: Learned | None) -> float:
    """Give what the card shows: what torch's allocator reserves, paged states, and the context."""
    if learned is not None:
        return found.allocated * learned.reserved_ratio + learned.context_bytes + found.static.paged
    moving = found.phases[found.name].total
    return found.allocated + 0.3 * GIB + 0.7 * GIB + 0.09 * moving + found.static.paged


def _items(found: Peaks, setup: TrainingSetup) -> dict[str, int]:
    """Name what holds the memory at the peak. The parts add up to the whole."""
    phase = found.phases[found.name]
    working = {"layer": "one layer at work", "loss": "logits and loss", "optimizer": "optimizer at work"}
    parts = {
        "linear maps": found.static.linear,
        "embeddings, head, norms": found.static.other,
        "adapter": found.static.adapter,
        "optimizer states": found.static.optimizer,
        "cuBLAS workspace": found.workspace,
        "gradients": phase.gradients,
        "checkpoints" if setup.checkpointing else "activations": phase.saved,
        working.get(found.name, "evaluation batch"): phase.working,
    }
    whole = {name: round(size) for name, size in parts.items() if size}
    whole[max(whole, key=lambda name: whole[name])] += round(found.allocated) - sum(whole.values())
    return whole
