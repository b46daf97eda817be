"""A replay of PyTorch's caching allocator on the GPU: how much it reserves for a given sequence of tensors.

Source: c10/cuda/CUDACachingAllocator.cpp of PyTorch 2.x with its default settings, one stream.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from dataclasses import dataclass

MIB = 1 << 20
GRAIN = 512
"""Sizes are rounded up to it (kMinBlockSize)."""
SMALL = 1 * MIB
"""Largest request that the small pool serves (kSmallSize)."""
SMALL_SEGMENT = 2 * MIB
MIDDLE = 10 * MIB
"""Requests of the large pool below it come out of segments of a fixed size (kMinLargeAlloc)."""
MIDDLE_SEGMENT = 20 * MIB
LARGE_GRAIN = 2 * MIB
"""Larger requests get a segment of their own, rounded up to it (kRoundLarge)."""

Event = tuple[int, int]
"""(tensor, bytes); bytes are negative where the tensor is freed. (-1, 0): unused segments are given back."""
EMPTY_CACHE: Event = (-1, 0)


@dataclass(slots=True, eq=False)
class Block:
    """A stretch of a segment, in one piece free or taken."""

    address: int
    size: int
    small: bool
    before: Block | None = None
    after: Block | None = None
    free: bool = False

    def key(self) -> tuple[int, int]:
        """Order of the free lists: best fit, then lowest address."""
        return self.size, self.address


class CachingAllocator:
    """Best fit in two pools of segments; blocks are split when taken and joined when freed.

    `limit` bounds what is reserved: at it, unused segments are given back first, as the real one does before it
    reports that memory ran out.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.reserved = 0
        self.peak_reserved = 0
        self.allocated = 0
        self._limit = limit
        self._next_address = 0
        self._free: dict[bool, list[tuple[int, int]]] = {True: [], False: []}
        self._at: dict[int, Block] = {}
        """Free blocks by address."""

    def allocate(self, size: int) -> Block:
        """Take a block of at least `size` bytes. Beyond the limit it is granted all the same: the peak shows it."""
        size = max(GRAIN, -(-size // GRAIN) * GRAIN)
        small = size <= SMALL
        block = self._best_fit(size, small) or self._new_segment(size, small)
        remaining = block.size - size
        if remaining >= GRAIN if small else remaining > SMALL:
            rest = Block(block.address + size, remaining, small, before=block, after=block.after)
            if block.after is not None:
                block.after.before = rest
            block.after, block.size = rest, size
            self._put_back(rest)
        self.allocated += block.size
        return block

    def release(self, block: Block) -> None:
        """Free a block and join it with free neighbours."""
        self.allocated -= block.size
        before, after = block.before, block.after
        if after is not None and after.free:
            self._take_out(after)
            block.size += after.size
            block.after = after.after
            if block.after is not None:
                block.after.before = block
        if before is not None and before.free:
            self._take_out(before)
            before.size += block.size
            before.after = block.after
            if before.after is not None:
                before.after.before = before
            block = before
        self._put_back(block)

    def empty_cache(self) -> None:
        """Give whole segments that nothing uses back to the driver."""
        for block in [b for b in self._at.values() if b.before is None and b.after is None]:
            self._take_out(block)
            self.reserved -= block.size

    def _best_fit(self, size: int, small: bool) -> Block | None:
        pool = self._free[small]
        place = bisect.bisect_left(pool, (size, -1))
        if place == len(pool):
            return None
        block = self._at[pool[place][1]]
        self._take_out(block)
        return block

    def _new_segment(self, size: int, small: bool) -> Block:
        if small:
            segment = SMALL_SEGMENT
        elif size < MIDDLE:
            segment = MIDDLE_SEGMENT
        else:
            segment = -(-size // LARGE_GRAIN) * LARGE_GRAIN
        if self._limit is not None and self.reserved + segment > self._limit:
            self.empty_cache()
        self.reserved += segment
        self.peak_reserved = max(self.peak_reserved, self.reserved)
        block = Block(self._next_address, segment, small)
        self._next_address += segment + LARGE_GRAIN
        return block

    def _put_back(self, block: Block) -> None:
        block.free = True
        bisect.insort(self._free[block.small], block.key())
        self._at[block.address] = block

    def _take_out(self, block: Block) -> None:
        block.free = False
        pool = self._free[block.small]
        pool.pop(bisect.bisect_left(pool, block.key()))
        del self._at[block.address]


def replay(events: Iterable[Event], limit: int | None = None) -> int:
    """Give the peak of reserved bytes for a sequence of allocations and releases."""
    allocator = CachingAllocator(limit)
    taken: dict[int, Block] = {}
    for tensor, size in events:
        if (tensor, size) == EMPTY_CACHE:
            allocator.empty_cache()
        elif size > 0:
            taken[tensor] = allocator.allocate(size)
        else:
            allocator.release(taken.pop(tensor))
    return allocator.peak_reserved
