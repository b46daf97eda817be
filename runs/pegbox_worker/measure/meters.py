"""Reading how much memory a part of the probe took: a card's through torch, a CPU's as the process' resident memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch

from pegbox_hardware.gpu import Gpu
from pegbox_runs.measured import FigureKind
from pegbox_worker.memory import forget_most_resident, most_resident

MOST_CONTEXT_BYTES = 4 * 2**30
"""Nearly twice the largest context seen (2.2 GiB): more than that is another process that came meanwhile."""


@dataclass(frozen=True)
class Reading:
    """Most that was held since the part began. Bytes."""

    allocated: int
    """By torch's tensors; of a process: all its resident memory above what it was before the model."""
    reserved: int | None
    """By torch's allocator; None where there is no such thing."""
    outside: int | None
    """On the card beside torch's allocator, at the moment of reading; None where it can't be told."""


class Meter(Protocol):
    """Reads one device."""

    kind: FigureKind

    def begin(self) -> None:
        """Forget the peaks so far."""

    def settle(self) -> None:
        """Wait until the device has done what it was given, so that the clock tells the truth."""

    def read(self) -> Reading:
        """Read the peaks since `begin`; safe after an out-of-memory error too."""


class CardMeter:
    """Reads a GPU through torch.cuda (CUDA and ROCm). Make it before torch opens the device, or the context is missed.

    `look` gives the card as its driver sees it now.
    """

    kind: FigureKind = "card"

    def __init__(self, device: torch.device, look: Callable[[], Gpu | None]) -> None:
        self._device = device
        self._look = look
        self._before = look()

    def begin(self) -> None:
        """Reset torch's peaks to what is held now."""
        torch.cuda.reset_peak_memory_stats(self._device)

    def settle(self) -> None:
        """Wait for the kernels that were launched."""
        torch.cuda.synchronize(self._device)

    def read(self) -> Reading:
        """Read torch's peaks, and what the process holds on the card beside them."""
        return Reading(
            allocated=torch.cuda.max_memory_allocated(self._device),
            reserved=torch.cuda.max_memory_reserved(self._device),
            outside=self._outside(),
        )

    def retries(self) -> int:
        """Count how often the allocator had to give its cache back to the card to find room."""
        return int(torch.cuda.memory_stats(self._device).get("num_alloc_retries", 0))

    def _outside(self) -> int | None:
        """Take torch's part from what the process holds: by the driver's word, else by what is free now and was before.

        In a container the driver may list this process under another number, or none. Another process that takes or
        frees memory meanwhile falsifies the difference, so an absurd one counts as unknown.
        """
        if self._before is None or self._before.unified:
            return None
        reserved = torch.cuda.memory_reserved(self._device)
        now = self._look()
        for holder in () if now is None else now.holders:
            if holder.pid == os.getpid() and holder.memory is not None and holder.memory > reserved:
                return holder.memory - reserved
        if self._before.memory_free is None:
            return None
        free, _ = torch.cuda.mem_get_info(self._device)
        outside = self._before.memory_free - free - reserved
        return outside if 0 < outside <= MOST_CONTEXT_BYTES else None


class ProcessMeter:
    """Reads this process' resident memory, above what the imported libraries took."""

    kind: FigureKind = "process"

    def __init__(self) -> None:
        self.begin()
        self.libraries_bytes = most_resident()
        """Resident when the meter was made."""

    def begin(self) -> None:
        """Reset the peak. Where the system has no means to (anything but Linux), peaks are those of the whole job."""
        forget_most_resident()

    def settle(self) -> None:
        """Do nothing: a CPU has done its work when torch returns."""

    def read(self) -> Reading:
        """Read the peak of resident memory."""
        return Reading(allocated=max(0, most_resident() - self.libraries_bytes), reserved=None, outside=None)
