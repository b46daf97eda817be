"""What the worker's process and its device hold now, and held at most."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import resource
import sys
from pathlib import Path

import psutil
import torch

from pegbox_methods.events import Memory

STATUS = Path("/proc/self/status")
CLEAR_REFS = Path("/proc/self/clear_refs")
RESET_PEAK = "5"
"""Resets the peak of resident memory. Source: proc(5), /proc/pid/clear_refs."""

_PROCESS = psutil.Process()
_MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024


def memory(device: torch.device) -> Memory:
    """Read both. Bytes; a CPU has no device figures."""
    cuda = device.type == "cuda"
    return Memory(
        device_now=torch.cuda.memory_reserved(device) if cuda else None,
        device_peak=torch.cuda.max_memory_reserved(device) if cuda else None,
        process_now=_PROCESS.memory_info().rss,
        process_peak=most_resident(),
    )


def most_resident() -> int:
    """Read the peak of resident memory in bytes.

    getrusage's can't be reset, and would begin with what the parent process held (Linux hands it on through exec).
    """
    with contextlib.suppress(OSError):
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_BYTES


def forget_most_resident() -> None:
    """Let the peak of resident memory begin anew. Where the system has no means to (anything but Linux), it stays."""
    with contextlib.suppress(OSError):
        CLEAR_REFS.write_text(RESET_PEAK)


def forget_peaks(device: torch.device) -> None:
    """Let both peaks begin anew, without what was freed before and not given back."""
    _give_back()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    forget_most_resident()


def free_unused() -> None:
    """Free what nobody can reach any more, and give it back."""
    gc.collect()
    _give_back()


def _give_back() -> None:
    """Give freed memory back to the device, and to the system where C's library can do that.

    The worker's environment tells malloc to keep what is freed, which is right within a run.
    """
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    with contextlib.suppress(OSError, AttributeError):  # glibc alone has it
        ctypes.CDLL(None).malloc_trim(0)
