"""BOFT's torch half: the butterfly that PEFT has for CUDA alone, on every device and in every saved adapter.

PEFT mixes blocks with a kernel that it compiles when a model is wrapped. Without a CUDA compiler it tries again for
each map, and then takes a single factor, which is OFT with scaled outputs, whatever was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from peft import BOFTConfig, PeftModel
from peft.tuners.boft import layer as peft_layer
from torch import Tensor, nn

from pegbox_methods.recipe import Recipe
from pegbox_methods.torch_half import Attached
from pegbox_methods.zoo.oft.blocks import refuse_uneven
from pegbox_methods.zoo.shared.half_torch import PeftHalf, target_modules
from pegbox_methods.zoo.shared.map_sizes_torch import map_sizes

ADAPTER = "default"
ROTATION = f".boft_R.{ADAPTER}"


class BlockDiagonal:
    """What PEFT's kernel does, in torch's own operations: (factors, blocks, size, size) to a square for each factor
    and back. Its verbs are the kernel's, which give lists of one."""

    def forward(self, blocks: Tensor) -> list[Tensor]:
        """Put blocks on the diagonal of a square."""
        factors, count, size, _ = blocks.shape
        squares = blocks.new_zeros(factors, count, size, count, size)
        squares.diagonal(dim1=1, dim2=3).copy_(blocks.permute(0, 2, 3, 1))
        return [squares.view(factors, count * size, count * size)]

    def backward(self, gradient: Tensor, blocks: Tensor) -> list[Tensor]:
        """Take the blocks of the gradient out of the square."""
        factors, count, size, _ = blocks.shape
        squares = gradient.reshape(factors, count, size, count, size)
        return [squares.diagonal(dim1=1, dim2=3).permute(0, 3, 1, 2).contiguous()]


@dataclass(frozen=True)
class BoftHalf(PeftHalf):
    """PEFT's BOFT without its compiler, and with adapters that need none."""

    def attach(self, model: nn.Module, recipe: Recipe) -> Attached:
        """Wrap the model.

        Raises: Refusal: a map's inputs don't divide into such blocks; a target's name is not in the model.
        """
        peft_layer._FBD_CUDA = BlockDiagonal()
        attached = super().attach(model, recipe)
        _share_permutations(attached.model)
        return attached

    def save(self, attached: Attached, folder: Path) -> None:
        """Write each map's rotation as one factor of larger blocks, which PEFT loads with and without its kernel.

        Factors with blocks of b, 2b, 4b inputs and so on are, multiplied, a rotation of blocks as large as the last.
        """
        model = cast(PeftModel, attached.model)
        config = model.peft_config[ADAPTER]
        size, factors = config.boft_block_size, config.boft_n_butterfly_factor
        weights = {
            name: _as_one_factor(model.get_submodule(name.removesuffix(ROTATION)))
            if name.endswith(ROTATION)
            else weight
            for name, weight in model.state_dict().items()
        }
        config.boft_block_size, config.boft_n_butterfly_factor = size << (factors - 1), 1
        try:
            model.save_pretrained(str(folder), state_dict=weights, save_embedding_layers=False)
        finally:
            config.boft_block_size, config.boft_n_butterfly_factor = size, factors

    def load(self, model: nn.Module, folder: Path) -> nn.Module:
        """Put the saved adapter on a base model."""
        peft_layer._FBD_CUDA = BlockDiagonal()
        loaded = super().load(model, folder)
        _share_permutations(loaded)
        return loaded


def boft_config(model: nn.Module, recipe: Recipe) -> BOFTConfig:
    """Translate the settings into PEFT's words.

    Raises: Refusal: a map's inputs don't divide into such blocks.
    """
    settings = recipe.method.settings
    size, factors, targets = settings["block_size"], settings["n_butterfly_factor"], settings["targets"]
    widths = {name: d_in for name, (_, d_in) in map_sizes(model, targets).items()}
    refuse_uneven(widths, size, together=1 << (factors - 1))
    return BOFTConfig(
        task_type="CAUSAL_LM",
        boft_block_size=size,
        boft_n_butterfly_factor=factors,
        boft_dropout=settings["dropout"],
        target_modules=target_modules(model, targets),
    )


def _share_permutations(model: nn.Module) -> None:
    """Let maps of equal width hold one permutation, on their own device: it is a square of that width, which PEFT
    makes for each map and would move there in every forward pass."""
    shared: dict[tuple[Any, ...], Tensor] = {}
    for part in model.modules():
        if isinstance(part, peft_layer.BOFTLayer):
            device = part.get_base_layer().weight.device
            made = cast(Any, part).boft_P
            cast(Any, part).boft_P = shared.setdefault((made.shape, device), made.to(device))


def _as_one_factor(part: Any) -> Tensor:
    """Give the weights, (1, blocks, size, size), of which PEFT makes the same rotation in one factor: for each block
    of the rotation the skew-symmetric matrix that Cayley's transform takes to it."""
    weight = part.boft_R[ADAPTER].detach().double()
    factors, count, size, _ = weight.shape
    together = 1 << (factors - 1)
    wide = size * together
    blocks = part.cayley_batch(weight.flatten(0, 1)).view(factors, count // together, together, size, size)
    one = torch.eye(wide, dtype=weight.dtype, device=weight.device)
    rotation = one
    for squares, permutation in zip((BlockDiagonal().forward(each)[0] for each in blocks), part.boft_P, strict=True):
        order = permutation[:wide].argmax(dim=1)  # groups are permuted alike, and each within itself
        rotation = squares[:, order][:, :, order] @ rotation
    return torch.linalg.solve(one + rotation, one - rotation)[None].to(part.boft_R[ADAPTER].dtype)


half = BoftHalf(boft_config)
