"""Apple's chips, whose GPU shares the machine's RAM."""

from __future__ import annotations

import platform

from pegbox_hardware.gpu import Gpu
from pegbox_hardware.memory import read_memory
from pegbox_hardware.sysctl import sysctl


def apple_gpus() -> tuple[Gpu, ...]:
    """Describe the chip's GPU, if this is one of Apple's: its memory is the RAM, and free what nobody uses."""
    if platform.system() != "Darwin" or platform.machine() != "arm64":
        return ()
    ram = read_memory()
    return (
        Gpu(
            kind="mps",
            index=0,
            name=sysctl("machdep.cpu.brand_string") or "Apple GPU",
            uuid="",
            memory_total=ram.total,
            memory_free=ram.available,
            unified=True,
            compute_capability=None,
            driver=platform.mac_ver()[0] or None,
        ),
    )
