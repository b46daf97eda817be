"""Which maps IA3 puts its factors on, and on which side."""

from __future__ import annotations

from pegbox_hardware.shape import ModelShape, ends_like
from pegbox_methods.zoo.shared.low_rank import wanted

PAPERS = "key-value-down"
"""The setting's word for the places that the paper chose."""

KEYS_AND_VALUES = ("k_proj", "v_proj", "kv_b_proj", "query_key_value", "qkv_proj", "c_attn")
"""Where queries come out of the same map, they get factors too."""

INNER = ("down_proj", "dense_4h_to_h", "fc2", "fc_out", "mlp.c_proj")
"""Maps whose inputs are the MLP's inner activations. They get a factor for each input, all others one for each
output. Source: the tables of IA3 in peft/utils/constants.py."""


def is_inner(name: str) -> bool:
    """Tell whether a map's inputs are the MLP's inner activations."""
    return any(ends_like(name, inner) for inner in INNER)


def factors(shape: ModelShape, targets: str | list[str]) -> int:
    """Count the factors on the maps that the setting `targets` names.

    Raises: KeyError: the model has no matrix of that name.
    """
    names = wanted(targets)
    if targets == PAPERS:
        names = tuple(
            name for name in shape.matrices if any(ends_like(name, each) for each in (*KEYS_AND_VALUES, *INNER))
        )
    return sum(layers * (d_in if is_inner(name) else d_out) for layers, name, d_out, d_in in shape.adapted(names))
