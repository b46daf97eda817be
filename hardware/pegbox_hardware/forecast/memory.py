"""The memory forecast: what a set-up will allocate, what the card will show, and what is safe to count on."""

from __future__ import annotations

from typing import Literal

import msgspec

from pegbox_hardware.forecast.adapters import MethodCost
from pegbox_hardware.forecast.analytic import Peaks, peaks
from pegbox_hardware.forecast.setup import TrainingSetup
from pegbox_hardware.forecast.simulated import SimulationResult, Stack
from pegbox_hardware.shape import ModelShape

GIB = 2**30

KNOWN_DOUBT = 0.05
"""Share by which a known model and method may be off; measured rows and the simulation stay well inside."""
SIMULATED_DOUBT = 0.05
"""The same for a simulation."""
SHARDED_DOUBT = 0.10
"""Of a base that is sharded: how much is gathered ahead depends on how far the device lags behind the host."""
SAFE_EXTRA = 0.5 * GIB
"""On top of a safe figure: a context may be that much larger than the usual one (on A100 it was 0.4 to 1.2 GiB)."""
LEARNED_EXTRA = 0.2 * GIB
"""The same where the card itself was measured."""
LEAST_SLACK = 0.3 * GIB
"""Reserved and never used: the ends of segments, which are 2 MiB or 20 MiB or a multiple of 2 MiB."""
LOGITS_SLACK = 0.45
CHECKPOINTED_SLACK = 0.09
ORDERED_SLACK = 0.03

UNMEASURED_MIXTURE = "nobody has held forecasts of mixtures of experts against a measurement"

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
    ran_out: bool = False
    """A measurement that ran out of memory: its figures are what was reached."""

    def fits(self, free_bytes: int) -> bool:
        """Tell whether the safe figure is free."""
        return not self.ran_out and self.safe_bytes <= free_bytes


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
    card = card_bytes(found, shape, setup, stack, learned)
    share, notes = doubt(shape, setup, cost, stack)
    # A measurement of this card leaves only the set-up itself in doubt.
    safe = card * (1 + 2 * share) + SAFE_EXTRA if learned is None else card * (1 + share) + LEARNED_EXTRA
    return Forecast(
        level="analytic",
        allocated_bytes=round(allocated),
        card_bytes=round(card),
        safe_bytes=round(safe),
        low_bytes=round(allocated * (1 - share)),
        high_bytes=round(safe),
        items=_items(found, setup),
        phases={name: round(found.standing + phase.total) for name, phase in found.phases.items()},
        peak_phase=found.name,
        trainable_weights=cost.trainable_weights,
        notes=notes,
    )


def card_bytes(
    found: Peaks, shape: ModelShape, setup: TrainingSetup, stack: Stack, learned: Learned | None = None
) -> float:
    """Give what the card shows: what torch's allocator reserves, paged states, and the context.

    The allocator can't use all it has reserved. With checkpointing, blocks of many sizes come and go between the
    checkpoints, and the logits' are the largest; without it, activations are laid down and taken up in order.
    Shares fitted on the fms-acceleration rows (A100, nvidia-smi) and PEFT's own rows (L40S, reserved) of 2024 to 2026.
    """
    collectives = stack.collectives_bytes if setup.processes > 1 else 0
    context = stack.context_bytes + collectives
    if learned is not None:
        context = learned.context_bytes + collectives
        if setup.loss == "fused":  # the path that was measured; others leave other holes
            return found.allocated * learned.reserved_ratio + context + found.static.paged
    moving = found.phases[found.name].total
    logits = 12.0 * shape.vocabulary * setup.tokens if setup.loss == "full" else 0.0
    if setup.checkpointing:
        slack = LOGITS_SLACK * logits + CHECKPOINTED_SLACK * max(0.0, moving - logits)
    else:
        slack = ORDERED_SLACK * moving
    return found.allocated + LEAST_SLACK + slack + found.static.paged + context


def doubt(shape: ModelShape, setup: TrainingSetup, cost: MethodCost, stack: Stack) -> tuple[float, tuple[str, ...]]:
    """Say how far the truth may lie from the figure, as a share of it to each side, and why."""
    reasons = [(KNOWN_DOUBT, "")]
    if not shape.known and shape.expert_weights:
        reasons.append((0.5, f"{shape.architecture}: an unknown mixture of experts; --level simulated builds it"))
    elif not shape.known:
        reasons.append(
            (
                0.2,
                f"{shape.architecture}: an unknown architecture, read as a Llama-like model; "
                "--level simulated builds it as it is",
            )
        )
    elif shape.assumed:
        reasons.append((0.15, "config.json leaves out what had to be assumed"))
    if shape.expert_weights:
        reasons.append((0.15, UNMEASURED_MIXTURE))
    if not cost.known:
        reasons.append((0.25, f"{setup.method} is priced as if it were LoRA"))
    if setup.loss == "chunked":
        reasons.append((0.15, "a loss in chunks is none that TRL or transformers has today: taken as litgpt's"))
    if stack.in_place_loss:
        reasons.append((0.25, "kernels that replace a model's own have been measured on one model only"))
    if setup.quantized and not shape.quantizable:
        reasons.append((0.05, f"transformers doesn't quantize {shape.architecture}'s linear maps: priced as 16 bit"))
    if setup.sharded:
        reasons.append((SHARDED_DOUBT, "nobody has held forecasts of a sharded base against a measurement here"))
    notes = [why for _, why in reasons if why]
    return max(share for share, _ in reasons), (*notes, *shape.assumed)


def _items(found: Peaks, setup: TrainingSetup) -> dict[str, int]:
    """Name what holds the memory at the peak. The parts add up to the whole."""
    phase = found.phases[found.name]
    working = {"layer": "one layer at work", "loss": "logits and loss", "optimizer": "optimizer at work"}
    working |= {"evaluation": "evaluation batch", "generation": "answer and its cache"}
    parts = {
        "linear maps": found.static.linear,
        "embeddings, head, norms": found.static.other,
        "experts": found.static.experts,
        "adapter": found.static.adapter,
        "optimizer states": found.static.optimizer,
        "cuBLAS workspace": found.workspace,
        "gathered from the others": found.gathered,
        "gradients' buckets": found.buckets,
        "gradients": phase.gradients,
        "checkpoints" if setup.checkpointing else "activations": phase.saved,
        working[found.name]: phase.working,
    }
    whole = {name: round(size) for name, size in parts.items() if size}
    whole[max(whole, key=lambda name: whole[name])] += round(found.allocated) - sum(whole.values())
    return whole


def from_simulation(result: SimulationResult, *, notes: tuple[str, ...] = ()) -> Forecast:
    """Say the answer of a simulation (level 2) in the same words."""
    allocated = result.allocated_bytes
    card = result.card_bytes if result.card_bytes is not None else round(allocated * 1.1)
    safe = round(card * (1 + 2 * SIMULATED_DOUBT) + SAFE_EXTRA)
    return Forecast(
        level="simulated",
        allocated_bytes=allocated,
        card_bytes=card,
        safe_bytes=safe,
        low_bytes=round(allocated * (1 - SIMULATED_DOUBT)),
        high_bytes=safe,
        items=result.items,
        phases=result.phases,
        peak_phase=result.peak_phase,
        trainable_weights=result.trainable_weights,
        notes=notes,
    )
