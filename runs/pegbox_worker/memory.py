"""What the worker's process and its device hold now, and held at most."""

from __future__ import annotations

import resource
import sys

import psutil
import torch

from pegbox_methods.events import Memory

_PROCESS = psutil.Process()
_MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024


def memory(device: torch.device) -> Memory:
    """Read both. Bytes; a CPU has no device figures."""
    cuda = device.type == "cuda"
    return Memory(
        device_now=torch.cuda.memory_reserved(device) if cuda else None,
        device_peak=torch.cuda.max_memory_reserved(device) if cuda else None,
        process_now=_PROCESS.memory_info().rss,
        process_peak=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_BYTES,
    )
