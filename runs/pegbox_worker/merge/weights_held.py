"""What merging gives against what files hold, weight by weight, and what it costs to round it as they are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from pegbox_runs.artefacts.artefact import NOT_FINITE
from pegbox_runs.artefacts.weight_files import StoredTensor, stored_tensors
from pegbox_worker.merge.sources import ByMaps, main_format
from pegbox_worker.merge.weight_bytes import TORCH, read_weight

SHORT = frozenset({"F16", "BF16"})


def weights_apart(merged: nn.Module, base: Mapping[str, StoredTensor], folder: Path) -> float | None:
    """Give the largest distance of a weight in a folder's files from the merged one, rounded as it is there, as a share
    of what merging changed in it.

    0: all are the same to the last bit; NOT_FINITE: one differs where nothing was to change, or is no number. None: the
    files name their weights otherwise than the model does.
    """
    written = stored_tensors(sorted(folder.glob("*.safetensors")))
    there = dict(merged.named_parameters(remove_duplicate=False))
    if not {name for name, one in written.items() if one.is_weight} <= there.keys() & base.keys():
        return None
    shares = [_share(one, there[name], base[name]) for name, one in written.items() if one.is_weight]
    return max(shares, default=0.0)


def weights_apart_by_maps(source: ByMaps, base: Mapping[str, StoredTensor], folder: Path) -> float | None:
    """Measure the same with one merged map in memory at a time. The source is used up. Raises: OSError."""
    written = stored_tensors(sorted(folder.glob("*.safetensors")))
    weights = {name: one for name, one in written.items() if one.is_weight}
    if not weights.keys() <= base.keys():
        return None
    return max((_share(one, source.weight(name), base[name]) for name, one in weights.items()), default=0.0)


def rounds(folder: Path) -> bool:
    """Tell whether a folder's files hold weights in 16 bits."""
    return any(one.format in SHORT for one in stored_tensors(sorted(folder.glob("*.safetensors"))).values())


def round_as(merged: nn.Module, folder: Path) -> None:
    """Round a model's weights in memory to the number formats of a folder's files."""
    written = stored_tensors(sorted(folder.glob("*.safetensors")))
    usual = main_format(written)
    for name, weight in merged.named_parameters():
        weight.data = _as_in(weight.data, written[name].format if name in written else usual)


def _share(one: StoredTensor, merged: Tensor, base: StoredTensor) -> float:
    expected = _as_in(merged.detach(), one.format)
    found = read_weight(one)
    if found.shape == expected.shape and torch.equal(found, expected):
        return 0.0
    if found.shape != expected.shape:
        return NOT_FINITE
    distance = float((found - expected).norm())
    changed = float((_as_in(read_weight(base), one.format) - expected).norm())
    share = distance / changed if changed else NOT_FINITE
    return share if math.isfinite(share) else NOT_FINITE


def _as_in(weight: Tensor, word: str) -> Tensor:
    return weight.to(TORCH[word]).float()
