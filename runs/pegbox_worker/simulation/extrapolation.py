"""A deep model's memory from shallow ones: each phase's peak grows by the same amount with every layer of a kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pegbox_hardware.forecast.simulated import SimulationRequest
from pegbox_worker.simulation.backward_stretches import BETWEEN
from pegbox_worker.simulation.layer_kinds import layer_kinds, with_layers
from pegbox_worker.simulation.step import Traced, trace_run

FEWEST = 2
"""Layers of a kind in the shallowest model: with one, its first and last layer would be the same."""
STEP = 1
"""Layers added to see what one costs."""


@dataclass(frozen=True)
class Extended:
    """Peaks of the whole model."""

    phases: dict[str, int]
    items: dict[str, dict[str, int]]
    trainable_weights: int
    layers_traced: int


def extended_run(request: SimulationRequest, config: Any) -> Extended:
    """Trace shallow models and extend each phase's peak to the depth of the config.

    Exact where a phase's peak is held by one layer and by what all layers keep: for every phase here.
    """
    kinds = layer_kinds(config)
    counts = {kind: kinds.count(kind) for kind in kinds}
    base = {kind: min(count, FEWEST) for kind, count in counts.items()}
    traced = trace_run(request, with_layers(config, kinds, base), in_order=False)
    figures = _figures(traced)
    whole: dict[tuple[str, str], float] = dict(figures)
    most = sum(base.values())
    for kind, count in counts.items():
        more = min(STEP, count - base[kind])
        if more == 0:
            continue
        deeper = {**base, kind: base[kind] + more}
        most = max(most, sum(deeper.values()))
        slopes = _figures(trace_run(request, with_layers(config, kinds, deeper), in_order=False))
        for key in {*figures, *slopes}:
            grown = (slopes.get(key, 0) - figures.get(key, 0)) * (count - base[kind]) / more
            whole[key] = whole.get(key, 0) + grown
    return _extended(whole, traced.phases, most)


def _figures(traced: Traced) -> dict[tuple[str, str], int]:
    """Lay out what is extended: (phase, item) -> bytes, and the count of trainable weights."""
    phases = {phase: items for phase, items in traced.items.items() if phase != BETWEEN}
    figures = {(phase, item): size for phase, items in phases.items() for item, size in items.items()}
    return {**figures, ("", "trainable weights"): traced.trainable_weights}


def _extended(whole: Mapping[tuple[str, str], float], phases: Mapping[str, int], layers: int) -> Extended:
    items: dict[str, dict[str, int]] = {phase: {} for phase in phases}
    for (phase, item), size in whole.items():
        if phase:
            items[phase][item] = round(size)
    return Extended(
        phases={phase: sum(held.values()) for phase, held in items.items()},
        items=items,
        trainable_weights=round(whole["", "trainable weights"]),
        layers_traced=layers,
    )
