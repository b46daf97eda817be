"""Which GPUs could carry a run together: those of one kind, on one machine or many, apart from what others use."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pegbox_hardware.gpu import Gpu

GIB = 2**30
TALKING = frozenset(("cuda", "rocm"))
"""Kinds whose processes can talk to each other: NCCL and RCCL."""
IN_USE = 0.25
"""Share of a device's memory by which its free memory may lie below the freest one's: beyond it, somebody uses it."""


class Seat(NamedTuple):
    """A device with the name of its machine; empty: this one."""

    host: str
    gpu: Gpu


class Alike(NamedTuple):
    """Devices of one kind, the freest first."""

    seats: tuple[Seat, ...]
    busy: tuple[Seat, ...]
    """Of the same kind, and in use by others."""

    @property
    def gpus(self) -> list[Gpu]:
        """List all of them, those in use last."""
        return [seat.gpu for seat in (*self.seats, *self.busy)]


def alike(seats: Iterable[Seat]) -> list[Alike]:
    """Group devices by kind, the group with the most that are free first; what stands alone is in none."""
    kinds: dict[tuple[object, ...], list[Seat]] = defaultdict(list)
    for seat in seats:
        if not stands_alone(seat.gpu):
            kinds[kind_of(seat.gpu)].append(seat)
    return sorted((_free(found) for found in kinds.values()), key=lambda group: -len(group.seats))


def stands_alone(gpu: Gpu) -> bool:
    """Tell whether a device never carries a run with others: a slice of a card, since NCCL takes one process a card; a
    chip that shares the machine's RAM, of which there is one."""
    return gpu.kind not in TALKING or gpu.slice_of is not None or gpu.unified


def kind_of(gpu: Gpu) -> tuple[object, ...]:
    """Name what devices must share to be alike. Drivers' totals differ by some MiB among cards of one kind."""
    return gpu.kind, gpu.name, gpu.compute_capability, round((gpu.memory_total or 0) / GIB)


def teams_for(gpus: Sequence[Gpu], count: int) -> list[list[Gpu]]:
    """List the devices of each kind that could carry a run of so many processes: the roomiest kind first, then the
    newest.

    Those in use are taken only where there aren't enough without them: whoever asks for so many means them too.
    Returns: of each kind the emptiest, in the driver's order.
    """
    groups = alike(Seat("", gpu) for gpu in gpus)
    enough = [group for group in groups if len(group.seats) >= count]
    enough = enough or [group for group in groups if len(group.gpus) >= count]
    ranked = sorted((group.gpus for group in enough), key=lambda found: _worth(found[0]), reverse=True)
    return [sorted(found[:count], key=lambda gpu: gpu.index) for found in ranked]


def _worth(gpu: Gpu) -> tuple[int, list[int]]:
    return gpu.memory_total or 0, [int(part) for part in (gpu.compute_capability or "0").split(".")]


def _free(found: Sequence[Seat]) -> Alike:
    ordered = sorted(found, key=lambda seat: -(seat.gpu.memory_free or 0))
    most = ordered[0].gpu.memory_free or 0
    least = most - IN_USE * (ordered[0].gpu.memory_total or 0)
    kept = tuple(seat for seat in ordered if (seat.gpu.memory_free or 0) >= least)
    return Alike(kept, tuple(ordered[len(kept) :]))
