"""What torch and its companions see of this machine: the answer of the worker's job `torch-facts`."""

from __future__ import annotations

import threading
from typing import Literal

import msgspec

PATIENCE_SECONDS = 120.0
"""Imports from a slow network disk take long; a driver that hangs would take for ever."""


class DeviceFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One device as torch tried it."""

    name: str
    uuid: str
    """As the driver has it, `GPU-...`; empty where torch doesn't tell."""
    capability: str | None
    """Of CUDA, as `8.9`."""
    fault: str | None
    """Why it can't be used; None: a small product of matrices came out right."""
    bf16: bool
    """Whether it computes bfloat16 in hardware; of a processor: whether torch computes it at all."""
    attention: tuple[str, ...]
    """Kernels of attention that ran in training: among `flash`, `memory-efficient`, `cudnn`, `math`."""


class BitsAndBytes(msgspec.Struct, frozen=True, kw_only=True):
    """The library of 4-bit weights and 8-bit optimizers."""

    version: str
    library: str | None
    """Which of its native libraries it loaded, as `libbitsandbytes_cuda130.so`."""
    fault: str | None
    """Why 4-bit weights can't be used; None: a small tensor was packed and unpacked on the device."""


class TorchFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a training process would find."""

    version: str
    build: Literal["cpu", "cuda", "rocm", "mps"]
    build_version: str | None
    """Of CUDA or ROCm, as `13.0`."""
    architectures: tuple[str, ...]
    """Those it has code for, as `sm_90`, `gfx942`."""
    releases: dict[str, tuple[int, ...]]
    """The CUDA builds there are of this torch for this kind of processor, and what each has code for, as 90 for 9.0."""
    devices: tuple[DeviceFacts, ...]
    """Its accelerators, in its own order."""
    fault: str | None
    """Why it sees no accelerator although it was built for one."""
    processor: DeviceFacts
    bitsandbytes: BitsAndBytes | None
    """None: it isn't installed."""
    libraries: dict[str, str | None]
    """Version by name; None where one isn't installed."""


def torch_facts(left: threading.Event | None = None) -> TorchFacts:
    """Ask torch in a process of its own; takes a few seconds. Another thread may set `left` to give it up.

    Raises: JobFailed: torch can't be imported, crashes, or hangs.
    """
    from pegbox_runs.jobs import ask_worker  # what only reads such facts loads nothing that starts a worker

    return ask_worker("torch-facts", {}, TorchFacts, timeout_seconds=PATIENCE_SECONDS, every_gpu=True, left=left)
