"""What this machine is: processor, memory, accelerators, disks, terminal, and what stands in the way."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from pegbox_hardware.amd import amd_gpus
from pegbox_hardware.apple import apple_gpus
from pegbox_hardware.cgroup import Cgroups
from pegbox_hardware.disk import Disk, read_disk
from pegbox_hardware.gpu import Gpu, Holder, Trouble
from pegbox_hardware.memory import read_memory
from pegbox_hardware.nvidia import nvidia_gpus
from pegbox_hardware.processor import processor, usable_cores
from pegbox_hardware.terminal import Terminal, read_terminal

__all__ = ["GIB", "Gpu", "Holder", "Machine", "Trouble", "nvidia_gpus", "probe", "processor", "usable_cores"]

GIB = 2**30

Listed = tuple[tuple[Gpu, ...], tuple[Trouble, ...]]


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """The facts at one moment. Memory and disk in bytes; None is unknown."""

    system: str
    python: str
    cpu: str
    cores: int
    """Cores this process may use, not those of the host."""
    cpu_flags: tuple[str, ...]
    memory_total: int
    """RAM: the smaller of the host's and the container's limit."""
    memory_available: int
    gpus: tuple[Gpu, ...]
    """Those that this process may use, in the order that torch counts them."""
    memory_limit: int | None = None
    """The container's limit, where it is below the host's RAM."""
    memory_host: int | None = None
    """The host's RAM."""
    core_quota: float | None = None
    """The container's share of the processor in cores, as 1.5; None where nothing limits."""
    disks: tuple[Disk, ...] = ()
    """Those that were asked about."""
    terminal: Terminal | None = None
    troubles: tuple[Trouble, ...] = ()
    """What couldn't be read or stands in the way, with what mends it."""


def probe(places: Mapping[str, Path] | None = None) -> Machine:
    """Read the machine now, in well under a second and without torch. Never raises for a device.

    `places`: where files will lie, by what they are; their disks are looked at too.
    """
    gpus: list[Gpu] = []
    troubles: list[Trouble] = []
    for maker, backend in (("NVIDIA", nvidia_gpus), ("AMD", amd_gpus), ("Apple", _apple)):
        found, told = _softly(maker, backend)
        gpus += found
        troubles += told
    name, flags = processor()
    memory = read_memory()
    return Machine(
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        cpu=name,
        cores=usable_cores(),
        cpu_flags=flags,
        memory_total=memory.total,
        memory_available=memory.available,
        memory_limit=memory.limit,
        memory_host=memory.host_total,
        core_quota=Cgroups().cores(),
        gpus=tuple(gpus),
        disks=tuple(read_disk(what, path) for what, path in (places or {}).items()),
        terminal=read_terminal(),
        troubles=tuple(troubles),
    )


def _apple() -> Listed:
    return apple_gpus(), ()


def _softly(maker: str, backend: Callable[[], Listed]) -> Listed:
    """Ask for one maker's devices; whatever goes wrong there is a finding, and the others are still asked."""
    try:
        return backend()
    except Exception as error:  # noqa: BLE001
        text = f"{maker}'s devices can't be read: {type(error).__name__}: {error}."
        return (), (Trouble(about=f"{maker.lower()}-driver", sentence=text),)
