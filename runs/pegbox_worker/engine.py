"""What spans a run's processes: what it needs to be told of a model, and what it really is, by looking."""

from __future__ import annotations

from typing import Any, Literal

import torch.distributed as dist
from accelerate import PartialState
from accelerate.utils import DistributedType
from torch.distributed.fsdp import FSDPModule
from torch.nn.parallel import DistributedDataParallel

Spanning = Literal["single", "ddp", "fsdp2"]


def engine_of(trainer: Any) -> Spanning:
    """Look at a trainer whose training has begun."""
    wrapped = trainer.model_wrapped
    if not dist.is_initialized():
        return "single"
    if isinstance(wrapped, DistributedDataParallel):
        return "ddp"
    if isinstance(wrapped, FSDPModule) or any(isinstance(part, FSDPModule) for part in wrapped.modules()):
        return "fsdp2"
    return "single"


def leaves_out(model: Any) -> bool:
    """Tell whether a step may go past weights that train, as past an expert that no token was sent to.

    DDP must look for those then, in every step; else it waits for their gradients, and fails at the next one.
    """
    config: Any = getattr(model, "config", None)
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    names = ("num_experts", "num_local_experts", "n_routed_experts")
    return any(isinstance(count := getattr(text, name, None), int) and count > 1 for name in names)


def shard_on_processors() -> None:
    """Let Accelerate shard a model without a GPU, for tests: people are refused it, since nothing is gained by it.

    It takes FSDP from processes on GPUs alone, and DDP in its place on processors without a word, though torch's own
    `fully_shard` works there (accelerate 1.15, AcceleratorState.__init__). So they are called GPUs until it has looked.
    """
    if PartialState().distributed_type == DistributedType.MULTI_CPU:
        PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU
