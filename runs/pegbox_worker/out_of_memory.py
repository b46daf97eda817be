"""Telling by an exception that memory ran out, and whose."""

from __future__ import annotations

import errno

import torch


class OutOfMemoryAt(Exception):
    """Memory ran out at something that the phase alone doesn't name. Raised from what told so."""

    def __init__(self, where: str, doing: str) -> None:
        super().__init__(f"memory ran out while {where}")
        self.where, self.doing = where, doing


MACHINE = ("can't allocate memory", "cannot allocate memory", "unable to allocate", "std::bad_alloc")
"""What torch's CPU allocator, the C library, numpy and C++ say of the machine's own memory."""
DEVICE = ("out of memory", "cublas_status_alloc_failed", "cudaerrormemoryallocation", "hiperroroutofmemory")
"""What the driver, cuBLAS and bitsandbytes say of a device's: as RuntimeError, past torch's own exception."""


def device_ran_out(error: BaseException) -> bool:
    """Tell whether it was the device's memory."""
    return isinstance(error, torch.OutOfMemoryError) or (isinstance(error, RuntimeError) and _says(error, DEVICE))


def machine_ran_out(error: BaseException) -> bool:
    """Tell whether it was the machine's memory."""
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and not device_ran_out(error) and _says(error, MACHINE)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether it was either."""
    return device_ran_out(error) or machine_ran_out(error)


def _says(error: BaseException, words: tuple[str, ...]) -> bool:
    said = str(error).lower()
    return any(word in said for word in words)
