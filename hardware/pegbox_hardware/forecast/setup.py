"""One training set-up, as everything that moves its memory peak."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Quantization = Literal["none", "nf4", "nf4-double"]
Optimizer = Literal["adamw", "adamw_8bit", "paged_adamw_8bit", "adafactor", "sgd"]
NumberFormat = Literal["bf16", "fp16", "fp32"]
LossPath = Literal["full", "chunked", "fused"]
Attention = Literal["flash", "sdpa", "eager"]

WIDTH = {"bf16": 2, "fp16": 2, "fp32": 4}
"""Bytes of a number."""


USUAL_SURPLUS = 1.5
"""AdaLoRA begins with that many times its final rank. Source: the ratio 12 to 8 of arXiv:2303.10512, section 4."""


def first_rank(rank: int, surplus: float) -> int:
    """Give the rank AdaLoRA starts with; always above the final one, or nothing could move."""
    return max(rank + 1, round(rank * surplus))


class TrainingSetup(msgspec.Struct, frozen=True, kw_only=True):
    """A method with its settings, a batch, and the software path it takes. Defaults: `pegbox train` on a GPU."""

    method: str = "lora"
    rank: Annotated[int, Meta(ge=1, le=65536)] = 16
    """AdaLoRA: its final rank."""
    surplus: Annotated[float, Meta(ge=1, le=16)] = USUAL_SURPLUS
    """AdaLoRA: its first rank over its final one."""
    targets: tuple[str, ...] = ("all-linear",)
    """Names of a layer's linear maps, or the words "all-linear" or "attention"."""
    micro_batch: Annotated[int, Meta(ge=1, le=4096)] = 4
    length: Annotated[int, Meta(ge=8, le=4_194_304)] = 1024
    """Tokens of the longest sequence; a micro-batch is priced as if all its rows were that long."""
    accumulation: Annotated[int, Meta(ge=1, le=4096)] = 4
    """Micro-batches of a process in a step; above one, gradients live through the forward passes too."""
    checkpointing: bool = True
    optimizer: Optimizer = "adamw"
    dtype: NumberFormat = "bf16"
    """Of the base weights that aren't quantized, and of the computation."""
    adapter_dtype: NumberFormat = "fp32"
    """Of the adapter's weights, their gradients and Adam's moments."""
    autocast: bool = True
    """The Trainer's `bf16=True`: fp32 adapters compute in `dtype`."""
    quantization: Quantization = "none"
    kbit_casts: bool = False
    """PEFT's `prepare_model_for_kbit_training`: embeddings, norms and head of a quantized model become fp32."""
    dropout: Annotated[float, Meta(ge=0, le=0.9)] = 0.05
    loss: LossPath = "fused"
    """full: transformers' cross-entropy over all logits; chunked: some positions at a time; fused: TRL's head."""
    attention: Attention = "sdpa"
    padding: bool = True
    """Rows of unequal length in a batch, so that attention gets a mask."""
    evaluation_batch: Annotated[int, Meta(ge=1, le=4096)] | None = None
    """Rows evaluated at once; None: as many as `micro_batch`."""
    processes: Annotated[int, Meta(ge=1, le=4096)] = 1
    """How many carry the run together; micro-batch and accumulation are those of one of them."""
    sharded: bool = False
    """FSDP2: each process holds a part of the model, and gathers the rest layer by layer; else DDP, where each holds
    all of it."""

    @property
    def tokens(self) -> int:
        """Count the positions of a micro-batch, padding included."""
        return self.micro_batch * self.length

    @property
    def step_tokens(self) -> int:
        """Count the positions of an optimizer step, over all processes."""
        return self.tokens * self.accumulation * self.processes

    @property
    def quantized(self) -> bool:
        """Whether the linear maps of the base are packed into 4 bits."""
        return self.quantization != "none"

    @property
    def full(self) -> bool:
        """Whether the model's own weights are trained."""
        return self.method == "full"
