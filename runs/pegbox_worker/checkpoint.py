"""What a checkpoint holds of a method: the weights that train, as they are, and what the method remembers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pegbox_methods.torch_half import Stateful
from pegbox_worker.sharded import is_sharded, lay_apart, parted_as

TRAINED = "trained.safetensors"
"""Every trained weight by its name in the model. PEFT's own file may leave some out: ranks that AdaLoRA took."""
STATE = "method.safetensors"
"""What `Attached.state` gave."""


class LacksWeights(Exception):
    """A checkpoint doesn't fit the model: other weights train now than did then."""


def trained_weights(model: nn.Module) -> dict[str, nn.Parameter]:
    """Name what trains; a weight that is used in two places counts once."""
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def save_method(model: nn.Module, state: Stateful | None, folder: Path) -> None:
    """Write a method's part of a checkpoint into its folder. A sharded model is `shown_whole` meanwhile."""
    weights: Mapping[str, Tensor] = trained_weights(model)
    if is_sharded(model):
        shown = model.state_dict()
        weights = {name: shown[name] for name in weights}
    save_file(_plain(weights), folder / TRAINED)
    if state is not None:
        save_file(_plain(state.state_dict()), folder / STATE)


def load_weights(model: nn.Module, folder: Path) -> None:
    """Give a model the trained weights of a checkpoint.

    Raises: LacksWeights; OSError: there is no such file.
    """
    fill_weights(model, load_file(folder / TRAINED), folder.name)


def fill_weights(model: nn.Module, found: Mapping[str, Tensor], place: str) -> None:
    """Give a model trained weights. `place`: where they come from, for people.

    Raises: LacksWeights.
    """
    lay_apart(model)
    trained = trained_weights(model)
    both = trained.keys() & found.keys()
    other = (trained.keys() ^ found.keys()) | {name for name in both if trained[name].shape != found[name].shape}
    if other:
        raise LacksWeights(f"{place} holds other weights than train now: {', '.join(sorted(other)[:3])}")
    for name, weight in trained.items():
        weight.data.copy_(parted_as(found[name], weight))


def load_state(state: Stateful, folder: Path) -> None:
    """Let a method remember what it knew at a checkpoint.

    Raises: OSError: there is no such file.
    """
    state.load_state_dict(load_file(folder / STATE))


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copy tensors, since safetensors refuses those that share their memory."""
    return {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
