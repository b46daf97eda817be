"""A deep model's memory from shallow ones: each phase's peak grows by the same amount with every layer of a kind."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pegbox_hardware.forecast.simulated import SimulationRequest
from pegbox_worker.simulation.step import Traced, trace_run

FEWEST = 2
"""Layers of a kind in the shallowest model: with one, its first and last layer would be the same."""
STEP = 1
"""Layers added to see what one costs."""

Kind = tuple[str, bool]
"""(kind of attention, whether a mixture of experts)."""


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


def layer_kinds(config: Any) -> list[Kind]:
    """Tell each layer's kind, from the first to the last."""
    text = config.get_text_config()
    count = text.num_hidden_layers
    attention = list(getattr(text, "layer_types", None) or ["full_attention"] * count)
    return [(attention[layer], _has_experts(text, layer)) for layer in range(count)]


def with_layers(config: Any, kinds: list[Kind], counts: Mapping[Kind, int]) -> Any:
    """Copy a config with fewer layers: the last so many of each kind, in their order."""
    left = dict(counts)
    kept: list[Kind] = []
    for kind in reversed(kinds):  # the last layer is the first that the backward pass meets: it stays the last
        if left[kind] > 0:
            left[kind] -= 1
            kept.insert(0, kind)
    shallow = copy.deepcopy(config)
    text = shallow.get_text_config()
    text.num_hidden_layers = len(kept)
    if getattr(text, "layer_types", None):
        text.layer_types = [attention for attention, _ in kept]
    dense = [layer for layer, (_, experts) in enumerate(kept) if not experts]
    if hasattr(text, "mlp_layer_types"):
        text.mlp_layer_types = ["sparse" if experts else "dense" for _, experts in kept]
    if hasattr(text, "first_k_dense_replace"):
        text.first_k_dense_replace = len(dense)
    if hasattr(text, "mlp_only_layers"):
        text.mlp_only_layers, text.decoder_sparse_step = dense, 1
    return shallow


def _has_experts(text: Any, layer: int) -> bool:
    """Tell whether a layer is a mixture of experts, where a model has layers of both kinds."""
    kinds = getattr(text, "mlp_layer_types", None)
    if kinds:
        return bool(kinds[layer] == "sparse")
    if getattr(text, "first_k_dense_replace", None) is not None:
        return bool(layer >= text.first_k_dense_replace)
    if getattr(text, "mlp_only_layers", None) is not None:
        every = getattr(text, "decoder_sparse_step", 1) or 1
        return layer not in text.mlp_only_layers and (layer + 1) % every == 0
    return False


def _figures(traced: Traced) -> dict[tuple[str, str], int]:
    """Lay out what is extended: (phase, item) -> bytes, and the count of trainable weights."""
    figures = {(phase, item): size for phase, items in traced.items.items() for item, size in items.items()}
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
