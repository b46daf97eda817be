"""How devices are called where several of them may be alike."""

from __future__ import annotations

from collections.abc import Sequence

from pegbox_hardware.gpu import Gpu


def device_label(gpu: Gpu) -> str:
    """Call a card `GPU 1`, and the third slice of it `GPU 1/2`."""
    return f"GPU {gpu.index}" if gpu.slice_of is None else f"GPU {gpu.slice_of}/{gpu.index}"


def device_names(gpus: Sequence[Gpu], among: Sequence[Gpu]) -> str:
    """Call the only device by its name, and some of several by their numbers too: `GPU 0, 3 (NVIDIA L4)`."""
    if len(among) == 1:
        return gpus[0].name
    by_name: dict[str, list[str]] = {}
    for gpu in gpus:
        by_name.setdefault(gpu.name, []).append(device_label(gpu).removeprefix("GPU "))
    return " and ".join(f"GPU {', '.join(numbers)} ({name})" for name, numbers in by_name.items())
