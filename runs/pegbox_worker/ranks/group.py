"""The processes that carry a run together, as one of them sees them. Alone, all of it costs nothing.

What goes between them is JSON and numbers, never a pickle. Each call but the properties is made by all of them, in
the same order; whoever doesn't come holds the others up, which the crew sees and tells.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import Protocol

import torch
import torch.distributed as dist


class Group(Protocol):
    """One process' view of all."""

    @property
    def rank(self) -> int:
        """Give this process' number, from 0."""

    @property
    def processes(self) -> int:
        """Count all."""

    @property
    def local_rank(self) -> int:
        """Give this process' number on its machine, from 0: its GPU there."""

    @property
    def leads(self) -> bool:
        """Tell whether this one writes what the run leaves: events, checkpoints, the adapter."""

    def agree(self, content: bytes) -> bytes:
        """Give the leading process' content to all."""

    def collect(self, content: bytes) -> list[bytes]:
        """Give every process' content to all, by rank."""

    def gather(self, figures: Sequence[float]) -> list[tuple[float, ...]]:
        """Give every process' figures to all, by rank; all bring as many."""

    def total(self, figures: Sequence[float]) -> tuple[float, ...]:
        """Add each figure up over all processes, in float64."""

    def wait(self) -> None:
        """Come back once all are here."""


class Alone:
    """The only process of its run."""

    rank = local_rank = 0
    processes = 1
    leads = True

    def agree(self, content: bytes) -> bytes:
        """Give it back."""
        return content

    def collect(self, content: bytes) -> list[bytes]:
        """Give it back, as a list."""
        return [content]

    def gather(self, figures: Sequence[float]) -> list[tuple[float, ...]]:
        """Give them back, as a list."""
        return [tuple(figures)]

    def total(self, figures: Sequence[float]) -> tuple[float, ...]:
        """Give them back."""
        return tuple(figures)

    def wait(self) -> None:
        """Come back at once."""


class Together:
    """One of several; torch's process group is there, and can send a processor's tensors (gloo)."""

    def __init__(self) -> None:
        self.rank = dist.get_rank()
        self.processes = dist.get_world_size()
        self.local_rank = int(os.environ.get("LOCAL_RANK", "0"))
        self.leads = self.rank == 0
        self.host = socket.gethostname()

    def agree(self, content: bytes) -> bytes:
        """Send the leading process' content to all."""
        size = torch.tensor([len(content)], dtype=torch.int64)
        dist.broadcast(size, src=0)
        block = _block(content, int(size)) if self.leads else torch.empty(int(size), dtype=torch.uint8)
        if len(block):
            dist.broadcast(block, src=0)
        return bytes(block.numpy())

    def collect(self, content: bytes) -> list[bytes]:
        """Send every process' content to all."""
        sizes = [int(size) for (size,) in self.gather([float(len(content))])]
        blocks = [torch.empty(max(sizes), dtype=torch.uint8) for _ in sizes]
        if blocks[0].numel():
            dist.all_gather(blocks, _block(content, max(sizes)))
        return [bytes(block[:size].numpy()) for block, size in zip(blocks, sizes, strict=True)]

    def gather(self, figures: Sequence[float]) -> list[tuple[float, ...]]:
        """Send every process' figures to all."""
        mine = torch.tensor(figures, dtype=torch.float64)
        found = [torch.empty_like(mine) for _ in range(self.processes)]
        dist.all_gather(found, mine)
        return [tuple(one.tolist()) for one in found]

    def total(self, figures: Sequence[float]) -> tuple[float, ...]:
        """Add each figure up."""
        mine = torch.tensor(figures, dtype=torch.float64)
        dist.all_reduce(mine)
        return tuple(mine.tolist())

    def wait(self) -> None:
        """Come back once all are here."""
        self.total([0.0])


def _block(content: bytes, size: int) -> torch.Tensor:
    """Make a tensor of so many bytes, zeros behind the content."""
    return torch.frombuffer(bytearray(content.ljust(size, b"\0")) or bytearray(1), dtype=torch.uint8)[:size]
