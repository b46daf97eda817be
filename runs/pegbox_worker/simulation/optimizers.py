"""The optimizers of a run, made over weights without numbers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pegbox_hardware.forecast.setup import TrainingSetup
from pegbox_hardware.forecast.simulated import Stack
from pegbox_worker.simulation.storage_trace import StorageTrace

LEARNING_RATE = 1e-4
PAGED_FROM = 100_000
"""Smallest state, in numbers, that bitsandbytes puts into paged memory."""


def make_optimizer(weights: list[Tensor], setup: TrainingSetup, stack: Stack, trace: StorageTrace) -> Any:
    """Make the optimizer that transformers' Trainer makes for that name."""
    if setup.optimizer == "adamw":
        fused = not stack.foreach_optimizer
        return torch.optim.AdamW(weights, lr=LEARNING_RATE, fused=fused, foreach=not fused)
    if setup.optimizer == "sgd":
        return torch.optim.SGD(weights, lr=LEARNING_RATE, foreach=True)
    if setup.optimizer == "adafactor":
        from transformers.optimization import Adafactor

        return Adafactor(weights, lr=LEARNING_RATE, scale_parameter=False, relative_step=False)
    return _adam_8bit(weights, trace, paged=setup.optimizer.startswith("paged"))


def state_tensors(optimizer: Any) -> list[Tensor]:
    """List all tensors of an optimizer's state."""
    return [value for state in optimizer.state.values() for value in state.values() if isinstance(value, Tensor)]


def _adam_8bit(weights: list[Tensor], trace: StorageTrace, *, paged: bool) -> Any:
    from bitsandbytes.optim import adamw

    made: Any = adamw.AdamW8bit
    optimizer = made(weights, lr=LEARNING_RATE)
    if not paged:
        return optimizer

    def paged_state(weight: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        # Unified memory: outside torch's allocator, and on the card only as far as there is room.
        if weight.numel() < PAGED_FROM:
            return torch.zeros_like(weight, dtype=dtype)
        with trace.elsewhere():
            return torch.zeros_like(weight, dtype=dtype)

    optimizer.get_state_buffer = paged_state
    return optimizer
