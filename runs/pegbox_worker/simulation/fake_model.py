"""The real model classes, with weights that have shape, format and place, but no numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from pegbox_hardware.forecast.setup import TrainingSetup
from pegbox_hardware.forecast.simulated import SimulationRequest, Stack
from pegbox_worker.simulation.adapters import DTYPES, attach
from pegbox_worker.simulation.quantized import WEIGHT_FIELDS, quantize, replace_scales
from pegbox_worker.simulation.unsupported import CannotSimulate

DEVICE = torch.device("cpu")
"""Where the tensors claim to lie. torch without CUDA aborts on fake CUDA tensors."""


def build(request: SimulationRequest, config: Any, mode: FakeTensorMode) -> Any:
    """Build the model as it trains, on no device, and give each weight a place afterwards.

    Building inside the fake mode fails in the initialisation of weights.

    Raises: CannotSimulate: the adapter or the model can't be built without numbers.
    """
    setup = request.setup
    try:
        with torch.device("meta"):
            model = _base(config, setup)
            model = _prepared(model, setup, request.stack)
            model = attach(model, setup, request.peft_config)
    except CannotSimulate:
        raise
    except Exception as error:
        raise CannotSimulate(
            f"{config.model_type} with {method_of(request)} can't be built without numbers: {_said(error)}"
        ) from error
    if setup.checkpointing:
        kwargs = {"use_reentrant": request.stack.reentrant_checkpointing}
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=kwargs)
        if setup.method != "full" or request.peft_config is not None:
            model.enable_input_require_grads()
    model.train()
    return place(model, mode)


def config_of(request: SimulationRequest) -> Any:
    """Turn config.json into transformers' config.

    Raises: CannotSimulate: transformers doesn't know the model type, or the config is wrong.
    """
    from transformers import AutoConfig

    fields = {key: value for key, value in request.config.items() if key not in ("auto_map", "quantization_config")}
    kind = fields.pop("model_type", None)
    if not isinstance(kind, str):
        raise CannotSimulate("config.json names no model_type; a Llama's says 'llama'.")
    fields.pop("dtype", None)
    fields.pop("torch_dtype", None)
    try:
        return AutoConfig.for_model(kind, **fields)
    except Exception as error:
        raise CannotSimulate(f"transformers can't read this config of a {kind!r}: {_said(error)}") from error


def place(model: nn.Module, mode: FakeTensorMode) -> nn.Module:
    """Turn every weight and buffer into a tensor that claims to lie on the device; shared ones stay shared."""
    placed: dict[int, Any] = {}

    def converted(tensor: Tensor) -> Any:
        if id(tensor) not in placed:
            placed[id(tensor)] = _fake(tensor, mode, converted)
        return placed[id(tensor)]

    for module in model.modules():
        for tensors in (module._parameters, module._buffers):
            for name, tensor in tensors.items():
                if tensor is not None:
                    tensors[name] = converted(tensor)
    return model


def _fake(tensor: Tensor, mode: FakeTensorMode, converted: Callable[[Tensor], Any]) -> Any:
    bare = tensor.detach()
    made: Any = FakeTensor(mode, bare, DEVICE) if tensor.device.type == "meta" else mode.from_tensor(bare)
    if not isinstance(tensor, nn.Parameter):
        return made
    made = nn.Parameter(made, requires_grad=tensor.requires_grad)
    if hasattr(tensor, "quant_state"):
        replace_scales(tensor, converted)
        for name in WEIGHT_FIELDS:
            setattr(made, name, getattr(tensor, name))
    return made


def _base(config: Any, setup: TrainingSetup) -> Any:
    from transformers import AutoModelForCausalLM

    # Without a word transformers takes SDPA where the model supports it, as it does when the run loads it.
    wanted = {"attn_implementation": "eager"} if setup.attention == "eager" else {}
    model = AutoModelForCausalLM.from_config(config, dtype=DTYPES[setup.dtype], **wanted)
    if quantization(setup) != "none":
        quantize(model, quantization(setup), DTYPES[setup.dtype])
    return model


def quantization(setup: TrainingSetup) -> Any:
    """Give the set-up's quantization; QLoRA and QDoRA are quantized by their name."""
    if setup.quantization == "none" and setup.method in ("qlora", "qdora"):
        return "nf4-double"
    return setup.quantization


def _prepared(model: Any, setup: TrainingSetup, stack: Stack) -> Any:
    """Do what is done before the adapter comes: the loss's head, the casts of a quantized base."""
    from peft import prepare_model_for_kbit_training

    if setup.loss == "fused":
        from trl.trainer.utils import add_fused_lm_head

        # The fields that SFTTrainer asks for, its metrics among them.
        add_fused_lm_head(model, outputs=("log_probs", "entropy", "is_top1"))
    if quantization(setup) == "none":
        return model
    if setup.kbit_casts:
        return prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    for name, weight in model.named_parameters():
        weight.requires_grad = False
        if stack.fp32_norms and "norm" in name:
            weight.data = weight.data.float()
    return model


def method_of(request: SimulationRequest) -> str:
    """Name the method a request means."""
    if request.peft_config is None:
        return request.setup.method
    return str(request.peft_config.get("peft_type", "this adapter"))


def _said(error: Exception) -> str:
    """Give the first line of an error, with its kind."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
