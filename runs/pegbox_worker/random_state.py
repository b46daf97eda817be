"""Where chance stands: the state of every generator that training draws from, taken, put aside, and put back."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from pegbox_worker.state_tree import from_tree, to_tree

CPU = "cpu"
CHANCE = "chance"
"""Under this name the part that is no tensor lies in a packed state's metadata."""


@dataclass(frozen=True)
class RandomState:
    """One moment of Python's, numpy's and torch's generators. Taking it costs 0.05 ms."""

    python: tuple[Any, ...]
    numpy: tuple[Any, ...]
    cpu: Tensor
    """uint8."""
    cuda: tuple[Tensor, ...]
    """uint8, one for each visible device, or this process' own alone where several share the devices; empty where CUDA
    isn't in use."""

    @classmethod
    def now(cls) -> RandomState:
        """Take it."""
        if not torch.cuda.is_initialized():
            cuda: tuple[Tensor, ...] = ()
        else:
            cuda = (torch.cuda.get_rng_state(),) if _shared() else tuple(torch.cuda.get_rng_state_all())
        numpy: Any = np.random.get_state()
        return cls(random.getstate(), numpy, torch.random.get_rng_state(), cuda)

    def put_back(self) -> None:
        """Let all draw from here."""
        random.setstate(self.python)
        np.random.set_state(self.numpy)
        torch.random.set_rng_state(self.cpu)
        if self.cuda and _shared():
            torch.cuda.set_rng_state(self.cuda[0])
        elif self.cuda:
            torch.cuda.set_rng_state_all(list(self.cuda))

    def packed(self) -> bytes:
        """Give all of it in one piece, for another process to keep."""
        chance = json.dumps(to_tree(self.tree(), {}), allow_nan=False)
        return save(self.tensors(), metadata={CHANCE: chance})

    def tensors(self) -> dict[str, Tensor]:
        """Give the part that is kept as tensors."""
        return {CPU: self.cpu} | {f"cuda.{index}": state for index, state in enumerate(self.cuda)}

    def tree(self) -> dict[str, Any]:
        """Give the part that is kept as JSON."""
        name, keys, *rest = self.numpy
        return {"python": self.python, "numpy": (name, tuple(keys.tolist()), *rest)}

    @classmethod
    def of(cls, tree: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> RandomState:
        """Make it from what was kept.

        Raises: KeyError: a part is missing.
        """
        name, keys, *rest = tree["numpy"]
        return cls(
            python=tree["python"],
            numpy=(name, np.array(keys, dtype=np.uint32), *rest),
            cpu=tensors[CPU],
            cuda=tuple(tensors[f"cuda.{index}"] for index in range(len(tensors) - 1)),
        )


def chance_in(file: Path) -> RandomState:
    """Read what `packed` gave, from the file it lies in.

    Raises: OSError, SafetensorError, KeyError or ValueError: it isn't there, or is something else.
    """
    with safe_open(file, framework="pt") as held:
        tensors = {name: held.get_tensor(name) for name in held.keys()}  # noqa: SIM118  # it is no dict
        return RandomState.of(from_tree(json.loads((held.metadata() or {})[CHANCE]), {}), tensors)


def _shared() -> bool:
    return bool(torch.distributed.is_initialized())


@contextmanager
def chance_put_aside() -> Iterator[None]:
    """Do something beside training that may draw, and leave training's chance as it was."""
    before = RandomState.now()
    try:
        yield
    finally:
        before.put_back()
