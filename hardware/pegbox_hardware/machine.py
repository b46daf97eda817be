"""What this machine is: processor, memory, GPUs, and what could not be read."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import msgspec
import psutil

GIB = 2**30


class Gpu(msgspec.Struct, frozen=True, kw_only=True):
    """One NVIDIA device as its driver describes it. Memory in bytes; None where the driver says nothing."""

    index: int
    name: str
    uuid: str
    memory_total: int | None
    memory_free: int | None
    compute_capability: str | None


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """The facts a run's environment records. Memory in bytes."""

    system: str
    python: str
    cpu: str
    cores: int
    """Cores this process may use, not those of the host."""
    cpu_flags: tuple[str, ...]
    memory_total: int
    memory_available: int
    gpus: tuple[Gpu, ...]
    findings: tuple[str, ...]
    """One sentence for each thing that could not be read, with the reason."""


def probe() -> Machine:
    """Read the machine now. Never raises for a device: what can't be read becomes a finding."""
    gpus, findings = nvidia_gpus()
    name, flags = processor()
    memory = psutil.virtual_memory()
    return Machine(
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        cpu=name,
        cores=usable_cores(),
        cpu_flags=flags,
        memory_total=memory.total,
        memory_available=memory.available,
        gpus=gpus,
        findings=findings,
    )


def usable_cores() -> int:
    """Count the cores the scheduler lets this process run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> tuple[str, tuple[str, ...]]:
    """Name the processor and the matrix instructions that decide the number format on a CPU.

    Returns: (name, flags among avx2, avx512f, avx512_bf16, amx_bf16, in this order).
    """
    wanted = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
    try:
        first = cpuinfo.read_text(encoding="utf-8", errors="replace").split("\n\n", 1)[0]
    except OSError:
        return platform.processor() or "unknown", ()
    facts = {
        key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines()) if value
    }
    present = set(facts.get("flags", "").split())
    return facts.get("model name", platform.processor() or "unknown"), tuple(flag for flag in wanted if flag in present)


def nvidia_gpus() -> tuple[tuple[Gpu, ...], tuple[str, ...]]:
    """List the NVIDIA devices through NVML.

    Returns: (devices, findings). No driver at all is no finding: most machines without a GPU are whole.
    """
    try:
        import pynvml
    except ImportError:
        return (), ("nvidia-ml-py isn't installed, so NVIDIA GPUs can't be seen",)
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        absent = {pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED}
        if error.value in absent and not Path("/proc/driver/nvidia").exists():
            return (), ()
        return (), (f"the NVIDIA driver doesn't answer: {error}",)
    try:
        return tuple(_gpu(pynvml, index) for index in range(pynvml.nvmlDeviceGetCount())), ()
    except pynvml.NVMLError as error:
        return (), (f"the NVIDIA driver failed while being read: {error}",)
    finally:
        pynvml.nvmlShutdown()


def _gpu(nvml: Any, index: int) -> Gpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    total: int | None
    free: int | None
    try:
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        total, free = int(memory.total), int(memory.free)
    except nvml.NVMLError_NotSupported:
        total = free = None  # unified memory (GB10): NVML has no figure
    major, minor = nvml.nvmlDeviceGetCudaComputeCapability(handle)
    return Gpu(
        index=index,
        name=str(nvml.nvmlDeviceGetName(handle)),
        uuid=str(nvml.nvmlDeviceGetUUID(handle)),
        memory_total=total,
        memory_free=free,
        compute_capability=f"{major}.{minor}",
    )
