"""CUDA's autocast on tensors that claim to lie on a CPU, whose own autocast leaves other operations alone."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

IN_FP32 = (
    "exp",
    "expm1",
    "log",
    "log10",
    "log1p",
    "log2",
    "reciprocal",
    "rsqrt",
    "pow.Tensor_Scalar",
    "pow.Tensor_Tensor",
    "pow.Scalar",
    "softplus",
    "layer_norm",
    "native_layer_norm",
    "group_norm",
    "cosine_similarity",
    "nll_loss",
    "kl_div",
    "mse_loss",
    "logsumexp",
)
"""Operations whose inputs CUDA's autocast casts to fp32. Source: AT_FORALL_FP32 in aten/src/ATen/autocast_mode.h."""
GIVES_FP32 = ("prod", "prod.dim_int", "softmax.int", "log_softmax.int", "cumsum", "sum", "sum.dim_IntList")
"""Operations told to give fp32, where no format is asked for. Source: AT_FORALL_FP32_SET_OPT_DTYPE there."""
WIDENED = (torch.bfloat16, torch.float16)


@contextmanager
def cuda_autocast_list() -> Iterator[None]:
    """Make CPU autocast treat these operations as CUDA's does, for as long as a step is traced."""
    library = torch.library.Library("aten", "IMPL")
    asked = torch.is_autocast_enabled
    # PEFT's 4-bit layers ask for CUDA's switch, by naming no device; here that is the CPU's.
    torch.is_autocast_enabled = lambda device_type="cpu": asked(device_type)
    try:
        with warnings.catch_warnings(action="ignore"):  # torch tells of every rule that is replaced
            for name in IN_FP32:
                library.impl(name, _with_wide_inputs(_operation(name)), "AutocastCPU", allow_override=True)
            for name in GIVES_FP32:
                library.impl(name, _with_wide_result(_operation(name)), "AutocastCPU", allow_override=True)
        yield
    finally:
        torch.is_autocast_enabled = asked
        library._destroy()


def _operation(name: str) -> Any:
    packet, _, overload = name.partition(".")
    return getattr(getattr(torch.ops.aten, packet), overload or "default")


def _with_wide_inputs(operation: Any) -> Callable[..., Any]:
    def cast(*arguments: Any, **named: Any) -> Any:
        with _past_autocast():
            return operation(*tree_map(_wide, arguments), **tree_map(_wide, named))

    return cast


def _with_wide_result(operation: Any) -> Callable[..., Any]:
    place = [argument.name for argument in operation._schema.arguments].index("dtype")

    def ask(*arguments: Any, **named: Any) -> Any:
        given = named.get("dtype") if len(arguments) <= place else arguments[place]
        with _past_autocast():
            if given is None and arguments[0].dtype in WIDENED:
                return operation(*arguments[:place], **{**named, "dtype": torch.float32})
            return operation(*arguments, **named)

    return ask


def _wide(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.dtype in WIDENED else value


def _past_autocast() -> Any:
    keys = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastCPU)
    return torch._C._ExcludeDispatchKeyGuard(keys)
