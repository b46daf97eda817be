"""A model without its base weights: the adapter lies on it as always, and each map's own are filled in for a moment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from peft import PeftModel, PromptLearningConfig
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import AuxiliaryTrainingWrapper
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM

from pegbox_methods.torch_half import load_torch_half
from pegbox_runs.artefacts.weight_files import StoredTensor
from pegbox_runs.tuned import TunedRun
from pegbox_worker.merge.weight_bytes import read_weight


class NotByMaps(Exception):
    """This adapter can't be merged map by map; the text says why, as a clause."""


class Hollow(nn.Parameter):
    """Stands for a base weight: of its shape, all zeros, and a single number in memory.

    Writing into it fails in torch, as its numbers share their place; putting another in its place fails here. So a
    method that changes the base where it is loaded is found out, and isn't merged without that change.
    """

    def __new__(cls, shape: torch.Size) -> Hollow:
        made = torch.Tensor._make_subclass(cls, torch.zeros(()).expand(shape), False)  # as Parameter itself does
        return cast(Hollow, made)

    def __deepcopy__(self, _memo: object) -> nn.Parameter:
        """Give a weight of its own: a method that trains a copy of a part writes into that."""
        return nn.Parameter(self.detach().clone(), requires_grad=False)

    @property
    def data(self) -> Tensor:
        """Give it as a plain tensor."""
        return self.detach()

    @data.setter
    def data(self, _value: Tensor) -> None:
        """Refuse another one. Raises: NotByMaps."""
        raise NotByMaps("the method changes the base model's own weights where it is loaded")


class HollowModel:
    """A run's adapter on a base without weights. Parts are merged once each, in any order.

    Raises: NotByMaps: the files name weights otherwise than the model; the method isn't PEFT's, or changes the base.
    """

    def __init__(self, run: TunedRun, stored: Mapping[str, StoredTensor]) -> None:
        self._stored = stored
        base = _hollow_base(run)
        try:
            tuned = load_torch_half(run.card).load(base, run.adapter)
        except Exception as error:
            raise NotByMaps(f"its adapter can't be put on a base without weights ({type(error).__name__})") from error
        if not isinstance(tuned, PeftModel) or isinstance(tuned.active_peft_config, PromptLearningConfig):
            raise NotByMaps("it isn't one of PEFT's changes of weights")
        self._base: nn.Module = tuned.get_base_model().eval()
        self.parts = {name: _own(part) for name, part in _adapted(self._base).items()}
        """By the adapted part's name in the model, the names and shapes of its weights."""
        self._refuse_unknown()
        self.part_of = {f"{part}.{name}": part for part, weights in self.parts.items() for name in weights}
        """By a weight's name in the files, the adapted part that it belongs to."""

    @property
    def adapter_bytes(self) -> int:
        """What the adapter takes in memory."""
        weights = [*self._base.parameters(), *self._base.buffers()]
        return sum(one.numel() * one.element_size() for one in weights if not isinstance(one, Hollow))

    def merge(self, part: str) -> dict[str, Tensor]:
        """Merge one adapted part by PEFT's own code, in float32, and let go of it. Returns: its weights, by full name.

        Raises: ValueError: the result isn't finite, or no part like the base model's. OSError.
        """
        wrapper: Any = self._base.get_submodule(part)
        layer = _innermost(wrapper)
        for name in self.parts[part]:
            owner, _, last = name.rpartition(".")
            weight = nn.Parameter(read_weight(self._stored[f"{part}.{name}"]), requires_grad=False)
            setattr(layer.get_submodule(owner), last, weight)
        with torch.no_grad():
            if hasattr(wrapper, "unload_and_optionally_merge_module"):
                merged = wrapper.unload_and_optionally_merge_module(merge=True, safe_merge=True, adapter_names=None)
            else:
                wrapper.merge(safe_merge=True)
                merged = wrapper.get_base_layer()
        found = {f"{part}.{name}": weight.detach() for name, weight in merged.named_parameters()}
        if {name: weight.shape for name, weight in merged.named_parameters()} != self.parts[part]:
            raise ValueError(f"{part} is made otherwise after merging than before")
        parent, _, last = part.rpartition(".")
        setattr(self._base.get_submodule(parent), last, nn.Identity())
        return found

    def _refuse_unknown(self) -> None:
        """Raises: NotByMaps."""
        for part, weights in self.parts.items():
            for name, shape in weights.items():
                stored = self._stored.get(f"{part}.{name}")
                if stored is None or stored.shape != tuple(shape) or not stored.is_weight:
                    raise NotByMaps(f"the base model's files hold no {part}.{name} as the model has it")
        others = {name for name, one in self._base.named_parameters() if isinstance(one, Hollow)}
        if not self.parts or not others:
            raise NotByMaps("it adapts no part of the model that could be told")


def _hollow_base(run: TunedRun) -> nn.Module:
    """Build the base model with Hollow weights; tied ones stay tied."""
    config = AutoConfig.from_pretrained(run.model.folder, trust_remote_code=False, local_files_only=True)
    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(config, trust_remote_code=False, dtype=torch.float32)
    made: dict[int, Hollow] = {}
    for part in model.modules():
        for name, weight in part.named_parameters(recurse=False):
            part._parameters[name] = made.setdefault(id(weight), Hollow(weight.shape))
        for name, buffer in part.named_buffers(recurse=False):
            part._buffers[name] = torch.zeros((), dtype=buffer.dtype).expand(buffer.shape)
    model.name_or_path = model.config._name_or_path = run.model.reference
    return cast(nn.Module, model)


def _adapted(base: nn.Module) -> dict[str, nn.Module]:
    """Find the parts that PEFT has put something on, each as a whole, by name."""
    found: dict[str, nn.Module] = {}
    for name, part in base.named_modules():
        inside = any(name.startswith(f"{outer}.") for outer in found)
        if not inside and isinstance(part, BaseTunerLayer | AuxiliaryTrainingWrapper):
            found[name] = part
    return found


def _innermost(part: Any) -> nn.Module:
    """Give the base model's own part below what PEFT put on it."""
    layer = part.get_base_layer() if hasattr(part, "get_base_layer") else part.original_module
    return cast(nn.Module, layer)


def _own(part: nn.Module) -> dict[str, torch.Size]:
    return {name: weight.shape for name, weight in _innermost(part).named_parameters()}
