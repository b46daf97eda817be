"""The number format of a run, decided by what the device computes in."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from pegbox_hardware.machine import processor
from pegbox_methods.recipe import Precision
from pegbox_methods.refusal import Refusal

BF16_CAPABILITY = (8, 0)
SIXTEEN_BITS = (torch.bfloat16, torch.float16)


@dataclass(frozen=True)
class NumberFormat:
    """Formats of the computation (under autocast) and of the frozen base weights."""

    name: str
    compute: torch.dtype
    weights: torch.dtype


def this_device(local_rank: int = 0) -> torch.device:
    """Give the device a process trains on. `local_rank`: its number on this machine."""
    return torch.device("cuda", local_rank) if torch.cuda.is_available() else torch.device("cpu")


def computing_in(compute: torch.dtype, device: torch.device) -> AbstractContextManager[Any]:
    """Compute as a training does, under autocast in 16 bits; it holds for the present thread alone."""
    return torch.autocast(device.type, dtype=compute) if compute in SIXTEEN_BITS else nullcontext()


def decide(wanted: Precision, device: torch.device) -> NumberFormat:
    """Turn `auto` into a format, and refuse one the device can't train in.

    Raises: Refusal.
    """
    if device.type == "cuda":
        return _on_gpu(wanted, torch.cuda.get_device_capability(device))
    if wanted == "float16":
        # torch would take it and compute in float32 without a word.
        raise Refusal("training.precision = 'float16': a CPU can't train in it; take 'bfloat16' or 'float32'.")
    _, flags = processor()
    name = wanted if wanted != "auto" else "bfloat16" if {"avx512_bf16", "amx_bf16"} & {*flags} else "float32"
    return NumberFormat(name, getattr(torch, name), torch.float32)


def _on_gpu(wanted: Precision, capability: tuple[int, int]) -> NumberFormat:
    name = wanted if wanted != "auto" else "bfloat16" if capability >= BF16_CAPABILITY else "float16"
    if name == "bfloat16" and capability < BF16_CAPABILITY:
        raise Refusal(
            f"training.precision = 'bfloat16': this GPU (compute capability {capability[0]}.{capability[1]}) "
            "computes it in software; take 'float16', or 'auto'."
        )
    dtype = getattr(torch, name)
    return NumberFormat(name, dtype, dtype)
