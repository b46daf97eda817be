"""The sizes of LoKr's factors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pegbox_hardware.shape import ModelShape
from pegbox_methods.zoo.shared.low_rank import wanted


def split(size: int, factor: int) -> tuple[int, int]:
    """Divide a map's input or output into the parts that the left and the right factor stand for.

    The left part is `factor` where that divides the size; else the largest divisor that is neither above `factor`
    (-1: any) nor above the right part.
    Source: factorization() in peft/tuners/lokr/layer.py.
    """
    if factor > 0 and size % factor == 0:
        return factor, size // factor
    most = math.isqrt(size) if factor < 0 else min(factor, math.isqrt(size))
    left = next((part for part in range(most, 1, -1) if size % part == 0), 1)
    return left, size // left


def map_weights(d_out: int, d_in: int, settings: Mapping[str, Any]) -> int:
    """Count the weights LoKr adds to one map: a left factor, and a right one of low rank unless that is no saving.

    Source: update_layer() in peft/tuners/lokr/layer.py.
    """
    rank, factor = settings["rank"], settings["decompose_factor"]
    (left_out, right_out), (left_in, right_in) = split(d_out, factor), split(d_in, factor)

    def cost(rows: int, columns: int, *, low_rank: bool) -> int:
        thin = low_rank and rank < max(rows, columns) / 2
        return int(rank * (rows + columns) if thin else rows * columns)

    left = cost(left_out, left_in, low_rank=settings["decompose_both"])
    return left + cost(right_out, right_in, low_rank=True)


def kronecker_weights(shape: ModelShape, settings: Mapping[str, Any]) -> int:
    """Count the weights LoKr adds to a model.

    Raises: KeyError: the model has no matrix of that name.
    """
    adapted = shape.adapted(wanted(settings["targets"]))
    return sum(layers * map_weights(d_out, d_in, settings) for layers, _, d_out, d_in in adapted)
