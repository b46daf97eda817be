"""A model's config.json: from its fields to its shape. No weights, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pegbox_hardware.families import shape_from
from pegbox_hardware.model_fields import BadConfig
from pegbox_hardware.shape import ModelShape, Stored

STORED: dict[str, Stored] = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}


def shape_of(config: Mapping[str, Any]) -> tuple[ModelShape | None, str]:
    """Derive the shape from a config's fields.

    An unknown type is read as a Llama-like decoder, with `known` false.
    Returns: (shape, "") or (None, which fields are missing or absurd).
    """
    try:
        return msgspec.structs.replace(shape_from(config), stored=_stored(config)), ""
    except BadConfig as error:
        return None, str(error)


def _stored(config: Mapping[str, Any]) -> Stored | None:
    """Read in which format the weights lie in their files; None: the config doesn't say, or in one with scales."""
    if config.get("quantization_config"):
        return None
    inner = config.get("text_config")
    for fields in (config, inner if isinstance(inner, Mapping) else {}):
        named = fields.get("dtype") or fields.get("torch_dtype")
        if named:
            return STORED.get(str(named).removeprefix("torch."))
    return None
