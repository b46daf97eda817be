"""The processor: its name, the cores one may use, and the instructions that decide the number format."""

from __future__ import annotations

import math
import os
import platform
from pathlib import Path

from pegbox_hardware.cgroup import Cgroups
from pegbox_hardware.sysctl import sysctl

X86 = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
ARM = ("asimd", "sve", "i8mm", "bf16")


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> tuple[str, tuple[str, ...]]:
    """Name the processor and the matrix instructions that decide the number format on a CPU.

    Returns: (name, flags among avx2, avx512f, avx512_bf16, amx_bf16, or on ARM asimd, sve, i8mm, bf16, in this order).
    """
    try:
        first = cpuinfo.read_text(encoding="utf-8", errors="replace").split("\n\n", 1)[0]
    except OSError:
        return sysctl("machdep.cpu.brand_string") or platform.processor() or "unknown", ()
    facts = {
        key.strip(): value.strip() for key, _, value in (line.partition(":") for line in first.splitlines()) if value
    }
    present = {*facts.get("flags", "").split(), *facts.get("Features", "").split()}
    name = facts.get("model name") or facts.get("Model") or platform.processor() or platform.machine() or "unknown"
    return name, tuple(flag for flag in (*X86, *ARM) if flag in present)


def usable_cores(cgroups: Cgroups | None = None) -> int:
    """Count the cores this process may keep busy: those the scheduler gives it, within the container's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = (cgroups or Cgroups()).cores()
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))
