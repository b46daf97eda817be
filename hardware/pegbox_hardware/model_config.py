"""A model's config.json: from its fields to its shape. No weights, no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pegbox_hardware.families import shape_from
from pegbox_hardware.model_fields import BadConfig
from pegbox_hardware.shape import ModelShape


def read_shape(config: Path) -> tuple[ModelShape | None, str]:
    """Read the shape of a model from its config.json.

    Returns: (shape, "") or (None, why it isn't known).
    Raises: OSError: the file can't be read; ValueError: it isn't JSON.
    """
    found = json.loads(config.read_text(encoding="utf-8"))
    return shape_of(found) if isinstance(found, dict) else (None, "config.json isn't a JSON object")


def shape_of(config: Mapping[str, Any]) -> tuple[ModelShape | None, str]:
    """Derive the shape from a config's fields.

    An unknown type is read as a Llama-like decoder, with `known` false.
    Returns: (shape, "") or (None, which fields are missing or absurd).
    """
    try:
        return shape_from(config), ""
    except BadConfig as error:
        return None, str(error)
