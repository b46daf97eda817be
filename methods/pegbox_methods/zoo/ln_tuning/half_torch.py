"""LN tuning's torch half: finds the norms of any model, and keeps those it trains in float32."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from peft import LNTuningConfig, PeftModel, load_peft_weights, set_peft_model_state_dict
from peft.tuners.ln_tuning.layer import LNTuningLayer
from torch import Tensor, nn

from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal
from pegbox_methods.torch_half import Attached
from pegbox_methods.zoo.shared.half_torch import PeftHalf

ADAPTER = "default"
SHORT = frozenset({torch.bfloat16, torch.float16})


@dataclass(frozen=True)
class LnTuningHalf(PeftHalf):
    """PEFT's LN tuning, whose copies of the norms are computed in float32 where the model isn't."""

    def attach(self, model: nn.Module, recipe: Recipe) -> Attached:
        """Wrap the model.

        PEFT leaves the copies in the model's own format, in which a small step is rounded away: next to 1, bfloat16
        tells numbers 0.008 apart.
        Raises: Refusal: the model has no norm with weights.
        """
        with _unwarned():
            attached = super().attach(model, recipe)
        _keep_float32(attached.model)
        return attached

    def load(self, model: nn.Module, folder: Path) -> nn.Module:
        """Put the saved norms on a base model, in the format that they were trained in."""
        with _unwarned():
            loaded = super().load(model, folder)
        if _keep_float32(loaded):  # PEFT has rounded them to the model's own format
            set_peft_model_state_dict(cast(PeftModel, loaded), load_peft_weights(str(folder), device="cpu"))
        return loaded


@contextmanager
def _unwarned() -> Iterator[None]:
    """Keep PEFT from warning of every norm that it has no number of inputs; nothing of LN tuning asks for it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Unsupported layer type")
        yield


def norm_names(model: nn.Module) -> tuple[str, ...]:
    """List the full names of the language part's norms that have weights.

    PEFT has a table of names by model type, which lacks most types and, of Qwen's, all norms but one.
    """
    written = {id(part) for part in cast(Any, model).get_decoder().modules()}
    return tuple(name for name, part in model.named_modules() if id(part) in written and _is_norm(part))


def _is_norm(part: nn.Module) -> bool:
    weights = list(part.parameters(recurse=False))  # some norms hold one for each head
    return "norm" in type(part).__name__.lower() and bool(weights) and all(weight.dim() == 1 for weight in weights)


def _keep_float32(model: nn.Module) -> bool:
    """Compute the copies of 16-bit norms in float32. Returns: whether there are any."""
    layers = [layer for layer in model.modules() if isinstance(layer, LNTuningLayer)]
    short = [layer for layer in layers if next(layer.base_layer.parameters()).dtype in SHORT]
    for layer in short:
        _widen(layer)
    return bool(short)


def _widen(layer: LNTuningLayer) -> None:
    """Hold a norm's copy in float32; what it gives is in the model's format again, as the next map wants it."""
    copy, own = layer.ln_tuning_layers[ADAPTER], next(layer.base_layer.parameters()).dtype

    def widened(part: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (inputs[0].to(next(part.parameters()).dtype), *inputs[1:])

    def narrowed(_part: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return output.to(own)

    copy.float()
    copy.register_forward_pre_hook(widened)
    copy.register_forward_hook(narrowed)


def ln_tuning_config(model: nn.Module, _recipe: Recipe) -> LNTuningConfig:
    """Name the norms.

    Raises: Refusal: there are none.
    """
    names = norm_names(model)
    if not names:
        raise Refusal('the model has no norm with weights, which are all that "ln-tuning" trains. Take "lora".')
    return LNTuningConfig(task_type="CAUSAL_LM", target_modules=list(names))


half = LnTuningHalf(ln_tuning_config)
