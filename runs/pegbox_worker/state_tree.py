"""Nested state of optimizers and the like, as JSON and tensors: what a pickle would hold, but nothing that runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor


class Unwritable(Exception):
    """A state holds something that is neither a number, a text, a tensor, nor a collection of those."""


def to_tree(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Turn a value into what JSON can hold, and put its tensors beside it; a tensor met twice is put there once.

    Numbers come back exactly: Python writes the shortest text that reads as the same float.
    Raises: Unwritable.
    """
    return _Writer(tensors).write(value, "")


def from_tree(tree: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Take back what `to_tree` made.

    Raises: KeyError, TypeError or ValueError: it is something else.
    """
    if not isinstance(tree, dict):
        return [from_tree(item, tensors) for item in tree] if isinstance(tree, list) else tree
    ((kind, content),) = tree.items()
    match kind:
        case "tensor":
            return tensors[content]
        case "map":
            return {from_tree(key, tensors): from_tree(item, tensors) for key, item in content}
        case "tuple":
            return tuple(from_tree(item, tensors) for item in content)
        case "float":
            return float(content)
    raise ValueError(f"unknown kind {kind!r}")


class _Writer:
    """Walks through one state, and names its tensors by where they were met first."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        self._tensors = tensors
        self._met: dict[tuple[Any, ...], str] = {}

    def write(self, value: Any, path: str) -> Any:
        match value:
            case Tensor():
                return {"tensor": self._put(value, path)}
            case np.generic():
                return self.write(value.item(), path)
            case None | bool() | int() | str():
                return value
            case float():
                return value if math.isfinite(value) else {"float": repr(value)}
            case Mapping():
                return {"map": [[self.write(k, path), self.write(v, f"{path}.{k}")] for k, v in value.items()]}
            case tuple():
                return {"tuple": [self.write(item, f"{path}.{index}") for index, item in enumerate(value)]}
            case list():
                return [self.write(item, f"{path}.{index}") for index, item in enumerate(value)]
        raise Unwritable(f"{path.lstrip('.')} is a {type(value).__name__}, which a checkpoint can't hold")

    def _put(self, tensor: Tensor, path: str) -> str:
        key = (tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride()) if tensor.numel() else (path,)
        if key not in self._met:
            name = path.lstrip(".") or "tensor"
            while name in self._tensors:
                name += "'"
            self._met[key] = name
            self._tensors[name] = plain(tensor)
        return self._met[key]


def plain(tensor: Tensor) -> Tensor:
    """Copy a tensor to the CPU, dense, since safetensors refuses those that share their memory."""
    return tensor.detach().to(torch.device("cpu"), copy=True).contiguous()
