"""A model's config.json: from its fields to its shape. No weights, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pegbox_hardware.families import shape_from
from pegbox_hardware.model_fields import BadConfig
from pegbox_hardware.shape import ModelShape


def shape_of(config: Mapping[str, Any]) -> tuple[ModelShape | None, str]:
    """Derive the shape from a config's fields.

    An unknown type is read as a Llama-like decoder, with `known` false.
    Returns: (shape, "") or (None, which fields are missing or absurd).
    """
    try:
        return shape_from(config), ""
    except BadConfig as error:
        return None, str(error)
