"""Which layers of a model are alike, and the same model with fewer of them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

Kind = tuple[str, bool]
"""(kind of attention, whether a mixture of experts)."""


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
