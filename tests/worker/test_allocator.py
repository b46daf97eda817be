"""The replay of the GPU's caching allocator."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pegbox_worker.simulation.allocator import EMPTY_CACHE, MIB, Block, CachingAllocator, replay

sizes = st.one_of(st.integers(1, 4096), st.integers(1, 3 * MIB), st.integers(1, 64 * MIB))
orders = st.lists(st.tuples(sizes, st.booleans(), st.integers(0, 1 << 30)), max_size=60)


def carried_out(orders: list[tuple[int, bool, int]], allocator: CachingAllocator) -> Iterator[list[Block]]:
    """Allocate in order, freeing one of the live blocks where told to; give the live blocks after each order."""
    live: list[Block] = []
    yield live
    for size, frees, which in orders:
        if frees and live:
            allocator.release(live.pop(which % len(live)))
        else:
            live.append(allocator.allocate(size))
            assert live[-1].size >= size
        yield live


@given(orders)
def test_live_blocks_never_overlap(orders: list[tuple[int, bool, int]]) -> None:
    for live in carried_out(orders, CachingAllocator()):
        places = sorted((block.address, block.address + block.size) for block in live)
        assert all(end <= begin for (_, end), (begin, _) in pairwise(places))


@given(orders)
def test_what_is_reserved_holds_what_is_allocated(orders: list[tuple[int, bool, int]]) -> None:
    allocator = CachingAllocator()
    for live in carried_out(orders, allocator):
        assert allocator.allocated == sum(block.size for block in live)
        assert allocator.allocated <= allocator.reserved <= allocator.peak_reserved


@given(orders)
def test_all_freed_and_emptied_nothing_is_reserved(orders: list[tuple[int, bool, int]]) -> None:
    allocator = CachingAllocator()
    *_, live = carried_out(orders, allocator)
    for block in live:
        allocator.release(block)
    allocator.empty_cache()
    assert (allocator.reserved, allocator.allocated) == (0, 0)


def test_small_tensors_share_a_segment_of_two_mebibytes() -> None:
    assert replay([(0, 600), (1, 512), (2, MIB)]) == 2 * MIB


def test_tensors_below_ten_mebibytes_come_out_of_segments_of_twenty() -> None:
    assert replay([(0, 9 * MIB), (1, 9 * MIB)]) == 20 * MIB
    assert replay([(0, 9 * MIB), (1, 9 * MIB), (2, 9 * MIB)]) == 40 * MIB


def test_large_tensors_get_segments_of_their_own_in_steps_of_two_mebibytes() -> None:
    assert replay([(0, 11 * MIB - 1)]) == 12 * MIB


def test_freed_neighbours_join_and_serve_a_larger_tensor() -> None:
    begun = [(0, 40 * MIB), (0, -40 * MIB), (1, 20 * MIB), (2, 20 * MIB), (1, -20 * MIB), (2, -20 * MIB)]
    assert replay([*begun, (3, 40 * MIB)]) == 40 * MIB


def test_fragments_make_a_new_segment_necessary() -> None:
    begun = [(0, 40 * MIB), (0, -40 * MIB), (1, 20 * MIB), (2, 20 * MIB), (1, -20 * MIB)]
    assert replay([*begun, (3, 40 * MIB)]) == 80 * MIB


def test_an_emptied_cache_lets_a_larger_tensor_have_the_room() -> None:
    assert replay([(0, 30 * MIB), (0, -30 * MIB), (1, 40 * MIB)]) == 70 * MIB
    assert replay([(0, 30 * MIB), (0, -30 * MIB), EMPTY_CACHE, (1, 40 * MIB)]) == 40 * MIB


def test_at_its_limit_it_gives_unused_segments_back_first() -> None:
    assert replay([(0, 30 * MIB), (0, -30 * MIB), (1, 40 * MIB)], limit=50 * MIB) == 40 * MIB
