"""Weights of which each process holds a part (FSDP2's DTensors): brought together for files, and parted again.

Bringing together is done by all processes at once; where nothing is sharded, all of this gives back what it is given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor, distribute_tensor


def is_sharded(model: nn.Module) -> bool:
    """Tell whether each process holds a part of a model."""
    return isinstance(model, FSDPModule)


def whole(tensor: Tensor) -> Tensor:
    """Bring a tensor's parts together."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def own_part(tensor: Tensor) -> Tensor:
    """Give what this process holds of a tensor, asking nobody."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole_tree(value: Any) -> Any:
    """Bring together all that is in a nested state, on the processor: there is more of it than a device had."""
    if isinstance(value, Tensor):
        return whole(value.detach()).cpu()
    if isinstance(value, Mapping):
        return {key: whole_tree(item) for key, item in value.items()}
    return [whole_tree(item) for item in value] if isinstance(value, list) else value


def parted_as(tensor: Tensor, like: Tensor) -> Tensor:
    """Take this process' part of a tensor that all of them hold whole; one of another shape stays as it is."""
    if not isinstance(like, DTensor) or tensor.shape != like.shape:
        return tensor
    tensor = tensor.to(like.device)
    return distribute_tensor(tensor, like.device_mesh, like.placements, src_data_rank=None)


@contextmanager
def shown_whole(model: nn.Module) -> Iterator[None]:
    """Let a sharded model give its trained weights whole to whoever asks for its state, as PEFT does to save them.

    All processes enter and leave together; inside, any of them may ask.
    """
    if not is_sharded(model):
        yield
        return
    trained = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    state = {name: whole(weight.detach()).cpu() for name, weight in trained}
    shown: Any = model
    shown.state_dict = lambda *_, **__: state
    try:
        yield
    finally:
        del shown.state_dict
