"""The libraries' code paths on a GPU, taken on tensors without numbers: what would look at values, or at the device."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

from pegbox_hardware.forecast.setup import TrainingSetup
from pegbox_worker.simulation.cuda_attention import scaled_dot_product_attention
from pegbox_worker.simulation.cuda_autocast import cuda_autocast_list


@contextmanager
def gpu_paths(setup: TrainingSetup) -> Iterator[None]:
    """Patch transformers, TRL and torch for as long as a step is traced."""
    with ExitStack() as patches:
        patches.enter_context(cuda_autocast_list())
        for target, name, stand_in in (
            *_masks(setup),
            *_fused_head(),
            *_four_bit_as_is(),
            (torch.nn.functional, "dropout", _dropout),
            (Tensor, "__getitem__", _select),
            (torch.nn.functional, "scaled_dot_product_attention", scaled_dot_product_attention),
        ):
            patches.enter_context(patch.object(target, name, stand_in))
        for target, name, stand_in in _missing_triton():
            patches.enter_context(patch.object(target, name, stand_in, create=True))
        yield


def _masks(setup: TrainingSetup) -> list[tuple[Any, str, Any]]:
    """Decide by the set-up whether the mask (rows, 1, length, length) is made, not by the values of the padding."""
    from transformers import masking_utils

    def no_mask(
        _padding: Any, q_length: int, kv_length: int, _q: Any, _kv: Any, local_attention_size: int | None = None
    ) -> bool:
        if setup.attention == "flash":
            return True
        if local_attention_size is not None and kv_length >= local_attention_size:
            return False
        return not setup.padding and (q_length == 1 or q_length == kv_length)

    return [
        (masking_utils, "_ignore_causal_mask_sdpa", no_mask),
        (masking_utils, "find_packed_sequence_indices", lambda *_: None),
    ]


def _fused_head() -> list[tuple[Any, str, Any]]:
    """Take the path of TRL's fused head on Triton: kernels work in place on the tile of logits."""
    import trl.kernels.chunked_logprob as kernels
    import trl.trainer.utils as head

    return [
        (kernels, "_use_triton", _yes),
        (head, "_use_triton", _yes),
        (kernels, "_forward_kernel", _Kernel()),
        (kernels, "_backward_kernel", _Kernel()),
        (kernels, "_addmm_fp32", lambda *_: None),  # accumulates into `total`
    ]


def _four_bit_as_is() -> list[tuple[Any, str, Any]]:
    """Let PEFT unpack 4-bit weights (for DoRA) that are of no class of bitsandbytes."""
    names = "dequantize_module_weight"
    holders = [
        module for name, module in list(sys.modules.items()) if name.startswith("peft.") and hasattr(module, names)
    ]
    return [(holder, names, _unpacked(getattr(holder, names))) for holder in holders]


def _unpacked(of_others: Callable[[nn.Module], Tensor]) -> Callable[[nn.Module], Tensor]:
    def unpacked(module: nn.Module) -> Tensor:
        state: Any = getattr(module, "quant_state", None)  # PEFT copies the module, which keeps it
        if state is None:
            return of_others(module)
        from bitsandbytes.functional import dequantize_4bit

        return dequantize_4bit(module.weight.data, state)

    return unpacked


def _missing_triton() -> list[tuple[Any, str, Any]]:
    """Give TRL's kernels the one function of Triton that they call outside a kernel, where Triton isn't installed."""
    import trl.kernels.chunked_logprob as kernels

    return [(kernels, "triton", SimpleNamespace(cdiv=lambda a, b: -(-a // b)))]


def _select(tensor: Tensor, index: Any) -> Tensor:
    """Select by a boolean mask as if all its places were true: every position has a label, the worst case.

    `x[mask]` on a GPU finds the places first (int64, one for each dimension of the mask) and copies the selected rows.
    """
    if not (isinstance(index, Tensor) and index.dtype == torch.bool):
        return torch._C.TensorBase.__getitem__(tensor, index)
    places = (torch.empty(index.numel(), dtype=torch.int64, device=tensor.device) for _ in range(index.dim()))
    return torch._C.TensorBase.__getitem__(tensor, tuple(places))


def _yes(_device: torch.device) -> bool:
    return True


class _Kernel:
    """A Triton kernel that makes no tensors, whatever its grid."""

    def __getitem__(self, _grid: object) -> Callable[..., None]:
        return lambda *_arguments, **_named: None


def _dropout(values: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:  # noqa: ARG001
    """Keep a mask of bytes, as on a GPU; a CPU would keep one of the values' own width."""
    return torch.native_dropout(values, p, True)[0] if training and p > 0 else values
