"""Weights of which each process holds a part (FSDP2's DTensors): brought together for files, and parted again.

Bringing together is done by all processes at once; where nothing is sharded, all of this gives back what it is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from peft import PeftModel
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


def lay_apart(model: nn.Module) -> None:
    """Leave each process its own part alone: FSDP2 keeps what lies outside the layers whole behind a pass, and forgets
    what is written into that.
    """
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


@contextmanager
def shown_whole(model: nn.Module) -> Iterator[None]:
    """Let a sharded model give whole what it has trained, and its buffers, to whoever asks for its state, as PEFT does
    to save them.

    All processes enter and leave together; inside, any of them may ask, and use what lies outside the layers, as what
    makes a trained prompt does.
    """
    if not isinstance(model, FSDPModule):
        yield
        return
    lay_apart(model)
    trained = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    state = {name: whole(weight.detach()).cpu() for name, weight in trained}
    persistent = model.state_dict().keys()
    buffers = model.named_buffers(remove_duplicate=False)
    state |= {name: buffer.detach().cpu() for name, buffer in buffers if name in persistent}
    shown: Any = model
    shown.state_dict = lambda *_, **__: state
    model.unshard()
    try:
        yield
    finally:
        del shown.state_dict
        lay_apart(model)


@contextmanager
def adapter_aside(model: PeftModel) -> Iterator[None]:
    """Let a model compute as if no adapter lay on it, which begins to be trained behind this.

    PEFT freezes what it puts aside, and lets all of it train again, even what a method had frozen. FSDP2 decides at a
    model's first pass whose gradients it brings together. So what trains is left as it is, inside and afterwards.
    """
    trains = [(weight, weight.requires_grad) for weight in model.parameters()]
    try:
        with model.disable_adapter():
            _let_train(trains)
            yield
    finally:
        _let_train(trains)


def _let_train(weights: Iterable[tuple[Tensor, bool]]) -> None:
    for weight, trains in weights:
        weight.requires_grad_(trains)
