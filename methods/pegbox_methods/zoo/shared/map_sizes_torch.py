"""The sizes of the linear maps of a loaded model that the setting `targets` names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from pegbox_hardware.shape import ALL_LINEAR
from pegbox_methods.zoo.shared.half_torch import linear_paths, target_modules

if TYPE_CHECKING:
    from torch import nn


def map_sizes(model: nn.Module, targets: str | list[str]) -> dict[str, tuple[int, int]]:
    """Find the maps that PEFT will adapt: full name -> (d_out, d_in), in the model's order.

    Raises: Refusal: an item matches no linear map; which maps are attention's isn't known for this kind of model.
    """
    chosen = target_modules(model, targets)
    return {
        path: _size(model.get_submodule(path))
        for path in linear_paths(model)
        if chosen == ALL_LINEAR or any(path == name or path.endswith(f".{name}") for name in chosen)
    }


def _size(part: Any) -> tuple[int, int]:
    if hasattr(part, "in_features"):
        return part.out_features, part.in_features
    d_in, d_out = cast("tuple[int, int]", tuple(part.weight.shape))  # GPT-2's Conv1D keeps its weights transposed
    return d_out, d_in
