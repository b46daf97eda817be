"""One record for every kind of accelerator, whichever driver described it."""

from __future__ import annotations

from typing import Literal

import msgspec


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """A process that holds memory of a device."""

    pid: int
    """As the driver counts: in a container it may be the host's number."""
    name: str | None
    """The program's name without its folder; None where it can't be read, as across containers."""
    memory: int | None
    """Bytes; None where the driver doesn't say."""


class Gpu(msgspec.Struct, frozen=True, kw_only=True):
    """One device that a process can compute on: a card, or a MIG slice of one. Memory in bytes; None is unknown."""

    index: int
    """The driver's number of the card; of a slice, its number on its card."""
    name: str
    uuid: str
    """What CUDA_VISIBLE_DEVICES takes; empty where there is none."""
    memory_total: int | None
    memory_free: int | None
    compute_capability: str | None
    """NVIDIA's, as `8.9`."""
    kind: Literal["cuda", "rocm", "mps"] = "cuda"
    architecture: str | None = None
    """AMD's, as `gfx942`."""
    driver: str | None = None
    """Version of the driver."""
    cuda: str | None = None
    """The newest CUDA that the driver serves, as `12.8`."""
    temperature_c: int | None = None
    power_w: float | None = None
    power_limit_w: float | None = None
    holders: tuple[Holder, ...] = ()
    """Who holds its memory, the largest first."""
    slice_of: int | None = None
    """Index of the card that this is a MIG slice of; None for a whole card."""
    pcie_generation: int | None = None
    """The newest that both card and slot serve."""
    pcie_lanes: int | None = None
    nvlinks: int | None = None
    """Links to other cards that are up; None: it isn't known, or it has none."""
    unified: bool = False
    """Whether it shares the machine's RAM: then the two figures of memory are the RAM's."""


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """Something about the machine that couldn't be read, or that stands in the way."""

    about: str
    """A short stable word for programs: `nvidia-driver`, `gpu-lost`, `cuda-visible-devices`..."""
    sentence: str
    command: str | None = None
    """What mends it, where one command does."""
