"""Which tensors are alive when: every storage that an operation makes, until the last reference to it goes.

torch's own `MemTracker` raises on frozen weights and takes ten times as long.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pegbox_worker.simulation.allocator import EMPTY_CACHE, GRAIN, Event

Scratch = Callable[[str, tuple[Any, ...], Any], int]
"""(operation's name, its arguments, its result) -> bytes its CUDA kernel takes and gives back."""


_NUMBER_OF = torch.ops.aten._local_scalar_dense.default
"""What `.item()`, `float()` and `if tensor:` ask."""


ITEMS = {
    "loading": "base weights",
    "forward": "activations",
    "backward": "backward temporaries",
    "optimizer": "optimizer temporaries",
    "evaluation": "evaluation batch",
    "generation": "generation",
}
"""What a phase makes, unless it is tagged as something better known."""


@dataclass
class Peak:
    """The highest point of a phase."""

    bytes: int = 0
    at: int = -1
    """Index into the events; the peak is just after it."""


class StorageTrace(TorchDispatchMode):
    """Follows storages by weak reference. Sizes are rounded as the GPU's allocator rounds them."""

    def __init__(self, scratch: Scratch, vocabulary: int) -> None:
        """`vocabulary` tells logits from other tensors: they are as wide."""
        super().__init__()
        self._vocabulary = vocabulary
        self.events: list[Event] = []
        self.live_bytes = 0
        self.peaks: dict[str, Peak] = {}
        self._scratch = scratch
        self._phase = "loading"
        self._items: dict[int, str] = {}
        self._number_of: dict[int, int] = {}
        """id of a storage -> its number."""
        self._references: dict[int, weakref.ref[Any]] = {}
        self._sizes: dict[int, int] = {}
        self._next = 0
        self._paused = False
        self._outside: dict[int, weakref.ref[Any]] = {}
        self.outside_bytes = 0
        """Of what was made elsewhere than in the allocator's memory."""

    def enter(self, phase: str) -> None:
        """Begin a phase; what is alive counts towards its peak."""
        self._phase = phase
        self._note_peak()

    def forget_peaks(self) -> None:
        """Drop the peaks of the phases so far."""
        self.peaks = {}

    @contextmanager
    def elsewhere(self) -> Iterator[None]:
        """Leave out what is made inside: it doesn't lie in the allocator's memory."""
        outer, self._paused = self._paused, True
        try:
            yield
        finally:
            self._paused = outer

    def tag(self, tensors: Iterable[Tensor | None], item: str) -> None:
        """Say what these tensors are; those not seen yet are counted from now on."""
        for tensor in tensors:
            if tensor is not None and (number := self._follow(tensor)) is not None:
                self._items[number] = item

    def take_scratch(self, size: int, item: str) -> None:
        """Count memory that is taken and given back at once."""
        number = self._allocate(-(-size // GRAIN) * GRAIN, item)
        self._release(number)

    def take(self, size: int, item: str) -> None:
        """Count memory that is taken and kept."""
        self._allocate(-(-size // GRAIN) * GRAIN, item)

    def empty_cache(self) -> None:
        """Let the allocator give unused segments back at this point of the replay."""
        self.events.append(EMPTY_CACHE)

    def items_at(self, peak: Peak) -> dict[str, int]:
        """Give what held the memory at a peak; adds up to its bytes."""
        live: dict[int, int] = {}
        for number, size in self.events[: peak.at + 1]:
            if size > 0:
                live[number] = size
            else:
                live.pop(number, None)
        items: dict[str, int] = {}
        for number, size in live.items():
            items[self._items[number]] = items.get(self._items[number], 0) + size
        return items

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is _NUMBER_OF:
            return _any_number(args[0].dtype)
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._follow(leaf)
        scratch = self._scratch(func._schema.name, args, result)
        if scratch:
            self.take_scratch(scratch, "kernel scratch")
        return result

    def _follow(self, tensor: Tensor) -> int | None:
        storage = tensor.untyped_storage()
        key = id(storage)
        known = self._number_of.get(key)
        if known is not None:
            return known
        size = storage.nbytes()
        if key in self._outside:
            return None
        if self._paused:
            self.outside_bytes += size
            self._outside[key] = weakref.ref(storage, lambda _: self._outside.pop(key, None))
            return None
        if size == 0:
            return None
        logits = tensor.dim() > 1 and tensor.shape[-1] == self._vocabulary
        item = "logits" if logits else ITEMS[self._phase.partition(" ")[0]]
        number = self._allocate(-(-size // GRAIN) * GRAIN, item)
        self._number_of[key] = number

        def gone(_: Any, key: int = key, number: int = number) -> None:
            if self._number_of.get(key) == number:
                del self._number_of[key]
            del self._references[number]
            self._release(number)

        self._references[number] = weakref.ref(storage, gone)
        return number

    def _allocate(self, size: int, item: str) -> int:
        number = self._next
        self._next += 1
        self._items[number] = item
        self.events.append((number, size))
        self._sizes[number] = size
        self.live_bytes += size
        self._note_peak()
        return number

    def _release(self, number: int) -> None:
        size = self._sizes.pop(number)
        self.events.append((number, -size))
        self.live_bytes -= size

    def _note_peak(self) -> None:
        peak = self.peaks.setdefault(self._phase, Peak())
        if self.live_bytes > peak.bytes:
            peak.bytes, peak.at = self.live_bytes, len(self.events) - 1


def _any_number(dtype: torch.dtype) -> bool | float | int:
    """Answer a tensor's number, which isn't there, by one."""
    if dtype == torch.bool:
        return True
    return 1.0 if dtype.is_floating_point else 1
