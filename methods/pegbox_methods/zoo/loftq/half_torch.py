"""LoftQ's torch half: A and B begin as the part of the rounding error that a low rank can hold.

PEFT's own code for it moves every weight to "cuda", whatever the machine has, and counts neither `alpha` nor the rank
in: with alpha at twice the rank the correction would be twice the error (peft/utils/loftq_utils.py, 0.21).
"""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from peft.utils.integrations import dequantize_bnb_weight
from safetensors import safe_open
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal
from pegbox_methods.torch_half import Attached
from pegbox_methods.zoo.qlora.half_torch import QuantizedHalf
from pegbox_methods.zoo.shared.half_torch import is_quantized, lora_config
from pegbox_methods.zoo.shared.map_sizes_torch import map_sizes
from pegbox_methods.zoo.shared.rank_limit import refuse_rank_above

ADAPTER = "default"
SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"


@dataclass(frozen=True)
class LoftqHalf(QuantizedHalf):
    """QLoRA that begins nearer to the full-precision model; its adapter belongs to the packed base."""

    def attach(self, model: nn.Module, recipe: Recipe) -> Attached:
        """Wrap the packed model and read each map's own weights from the model's files, one map at a time.

        Raises: Refusal: the model isn't packed; its files don't name a map's weights as it does; a map has fewer
        directions than the rank; a target isn't in the model.
        """
        settings = recipe.method.settings
        sizes = map_sizes(model, settings["targets"])
        refuse_rank_above({name: min(size) for name, size in sizes.items()}, settings["rank"])
        originals = Originals(cast(Any, model).name_or_path, recipe.model.revision)
        attached = super().attach(model, recipe)
        for path, part in _adapted(attached.model):
            _begin(part, originals.weight(path))
        return attached

    def load(self, model: nn.Module, folder: Path) -> nn.Module:
        """Put the saved adapter on a base model. One in full precision is rounded first where the adapter goes.

        The adapter makes good what rounding took away: without the rounding it would be added twice.
        Raises: Refusal: bitsandbytes, which rounds, can't be loaded.
        """
        tuned = super().load(model, folder)
        if not is_quantized(model):
            for _, part in _adapted(tuned):
                weight = part.get_base_layer().weight
                # GPT-2 keeps its weights transposed, and packing turns them round first.
                weight.data = rounded(weight.data.T).T if part.fan_in_fan_out else rounded(weight.data)
        return tuned


class Originals:
    """The weights of a model as its files hold them."""

    def __init__(self, reference: str, revision: str | None) -> None:
        self._folder = _folder(reference, revision)
        index = self._folder / INDEX
        self._files: dict[str, str] = (
            json.loads(index.read_text(encoding="utf-8"))["weight_map"] if index.is_file() else {}
        )

    def weight(self, path: str) -> Tensor:
        """Read the weights of one map, named as in the model.

        Raises: Refusal: the files have no such name, as of a model that transformers rearranges when it loads it.
        """
        name = f"{path}.weight"
        file = self._folder / self._files.get(name, SINGLE)
        if file.is_file():
            with safe_open(file, framework="pt") as weights:
                if name in weights.keys():  # noqa: SIM118  # it is no dict
                    return cast(Tensor, weights.get_tensor(name))
        raise Refusal(
            f"{self._folder} holds no weights by the name of {name}, and LoftQ begins with what packing took away from "
            'them. Take the method "qlora".'
        )


def _folder(reference: str, revision: str | None) -> Path:
    """Give the folder of a model; a Hub's was fetched before it was loaded.

    Raises: Refusal: it isn't there.
    """
    if Path(reference).is_dir():
        return Path(reference)
    try:
        return Path(snapshot_download(reference, revision=revision, local_files_only=True))
    except (HFValidationError, LocalEntryNotFoundError) as error:
        raise Refusal(
            f"the files of {reference} aren't on this machine any more, and LoftQ begins with what packing took away "
            'from the weights in them. Fetch the model again, or take the method "qlora".'
        ) from error


def _adapted(model: nn.Module) -> list[tuple[str, Any]]:
    """List the adapted maps by their names in the base model."""
    base = cast(PeftModel, model).get_base_model()
    return [(name, part) for name, part in base.named_modules() if isinstance(part, LoraLayer)]


def _begin(part: Any, original: Tensor) -> None:
    """Set A and B to the best low-rank picture of the rounding error, shared evenly between them.

    One round of the paper's alternation: further ones would round what is left anew, and the base would no longer be
    the one that everybody gets who packs this model.
    Source: Li et al. 2023, algorithm 1, arXiv:2310.08659.
    """
    base = part.get_base_layer()
    packed = dequantize_bnb_weight(base.weight).float()
    rank, a, b = part.r[ADAPTER], part.lora_A[ADAPTER].weight, part.lora_B[ADAPTER].weight
    transposed = getattr(base, "source_cls", None) is Conv1D
    error = (original.T if transposed else original).to(packed) - packed
    # The values of a rounding error fall off slowly. Sought among twice as many, 64 directions hold 99 % of what they
    # could; sought by themselves, 94 %.
    left, values, right = torch.svd_lowrank(error, q=min(2 * rank, *error.shape), niter=4)
    roots = (values[:rank] / part.scaling[ADAPTER]).sqrt()
    a.data.copy_(roots[:, None] * right.T[:rank])
    b.data.copy_(left[:, :rank] * roots)


def rounded(weight: Tensor) -> Tensor:
    """Round weights as packing them does: NF4, its scales rounded too.

    Raises: Refusal: bitsandbytes can't be loaded.
    """
    try:
        functional = importlib.import_module("bitsandbytes.functional")
    except Exception as error:
        raise Refusal(
            f"bitsandbytes can't be loaded ({error}), and an adapter of LoftQ fits a base model only as that rounds "
            "it. Mend it with: pip install --force-reinstall 'bitsandbytes>=0.50'"
        ) from error
    packed, state = functional.quantize_4bit(weight.contiguous(), compress_statistics=True, quant_type="nf4")
    return cast(Tensor, functional.dequantize_4bit(packed, state).to(weight.dtype))


half = LoftqHalf(lora_config)
