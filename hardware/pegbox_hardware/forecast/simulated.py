"""What the simulator is asked and what it answers: the second level of the forecast, carried by a worker's job."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from pegbox_hardware.forecast.setup import TrainingSetup

MIB = 1 << 20

CUBLAS_WORKSPACE_BYTES = 2 * (8 * MIB + 128 * 1024)
"""Scratch that torch gives cuBLAS, inside its own allocator: once for the forward's thread, once for the backward's.

Source: PyTorch, `getChosenWorkspaceSize` in aten/src/ATen/cuda/CublasHandlePool.cpp: 2 x 4 MiB + 8 x 16 KiB before
Hopper (4 times that on it).
"""
CONTEXT_BYTES = 500 * MIB
"""Memory a process holds on the card outside torch's allocator: the driver's context, cuBLAS' and torch's kernels.

Range: 0.4 GiB (consumer cards, kernels loaded when first used) to 2.2 GiB (old drivers, all kernels loaded). A probe
on the card replaces it.
"""


COLLECTIVES_BYTES = 700 * MIB
"""Memory that NCCL holds on the card for the collectives of a run over several processes.

Range: 544 MB for two and 688 MB for more A100 with NVLink (github.com/NVIDIA/nccl/issues/964); less over PCIe, whose
speed needs fewer channels (nccl#986).
"""


class Stack(msgspec.Struct, frozen=True, kw_only=True):
    """How the libraries of a run behave where that moves the peak. Defaults: what Pegbox trains with today."""

    foreach_optimizer: bool = False
    """torch's optimizers in their default form, with whole-model temporaries, not the fused one the Trainer takes."""
    logits_shifted: bool = False
    """The full loss copies the shifted fp32 logits, as transformers 4.46 to 4.5x did; 5.x shifts the labels."""
    in_place_loss: bool = False
    """The full loss is a Triton kernel that overwrites the logits by their gradient (Unsloth's)."""
    own_loop: bool = False
    """Not the Trainer: the model's outputs and their key-value cache live until the next forward pass is done, and
    gradients until it begins."""
    reentrant_checkpointing: bool = False
    """Checkpointing as transformers 4 did it by default."""
    fp32_norms: bool = False
    """TRL's old `peft_module_casting_to_bf16`: norms of a quantized base become fp32, its other parts stay 16 bit."""
    keeps_packed_inputs: bool = False
    """bitsandbytes before 0.43.3 kept the input of every 4-bit map for the backward pass."""
    evaluates: bool = True
    """Evaluation and generation belong to the run, so their peaks count."""
    earlier_length: int | None = None
    """Length of the first micro-batch, after which the cache of the allocator was emptied. None: as all others."""
    cublas_workspace_bytes: int = CUBLAS_WORKSPACE_BYTES
    context_bytes: int = CONTEXT_BYTES
    """On the card outside torch's allocator; a measured value is better."""
    collectives_bytes: int = COLLECTIVES_BYTES
    """On the card outside torch's allocator, where several processes carry the run."""
    card_limit_bytes: int | None = None
    """Bytes the allocator may reserve before it gives unused segments back. None: as many as it wants."""


class SimulationRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A model by its config.json, a set-up, and the libraries' behaviour."""

    config: dict[str, Any]
    setup: TrainingSetup = TrainingSetup()
    stack: Stack = Stack()
    peft_config: dict[str, Any] | None = None
    """PEFT's own words, which replace the set-up's method, rank, targets and dropout."""
    evaluation_micro_batch: int = 8
    generation_micro_batch: int = 1
    full_depth: bool = False
    """Trace all layers, which the reserved figure needs; otherwise a few layers, extended by phase."""


PhaseName = Literal["loading", "forward", "backward", "optimizer", "evaluation", "generation"]


class SimulationResult(msgspec.Struct, frozen=True, kw_only=True):
    """Peaks in bytes."""

    allocated_bytes: int
    """Peak over all phases of what live tensors hold, as `torch.cuda.max_memory_allocated` counts."""
    reserved_bytes: int | None
    """Peak of what torch's allocator holds. None: not traced at full depth."""
    card_bytes: int | None
    """reserved_bytes and the context: what nvidia-smi shows."""
    peak_phase: str
    phases: dict[str, int]
    """Phase -> peak within it."""
    items: dict[str, int]
    """What held the memory at the peak; adds up to allocated_bytes."""
    trainable_weights: int
    layers_traced: int
    seconds: float
