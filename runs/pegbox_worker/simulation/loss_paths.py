"""The loss of a micro-batch, by the path the set-up names."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from pegbox_hardware.forecast.setup import TrainingSetup
from pegbox_hardware.forecast.simulated import Stack
from pegbox_worker.labelled_loss import LabelledLoss
from pegbox_worker.simulation.adapters import DTYPES

IGNORED = -100


def loss_of(model: Any, batch: dict[str, Tensor], setup: TrainingSetup, stack: Stack) -> tuple[Tensor, Any]:
    """Give the loss, and what the loop holds beside it until the backward pass is done."""
    if setup.loss == "fused":
        return _fused(model, batch), None
    if setup.loss == "chunked":
        return LabelledLoss(_causal(model), DTYPES[setup.dtype]).sum(batch) / batch["labels"].numel(), None
    return _full(model, batch, setup, stack)


def _causal(model: Any) -> Any:
    """Give transformers' own model, with the adapter's layers inside it."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def _fused(model: Any, batch: dict[str, Tensor]) -> Tensor:
    """TRL's head, and the sums that SFTTrainer takes from it."""
    outputs = model(**batch, use_cache=False, fused_lm_head=True)
    loss = -outputs.log_probs
    outputs.entropy.detach().sum(), outputs.is_top1.sum()
    return loss.sum() / outputs.label_mask.sum()


def _full(model: Any, batch: dict[str, Tensor], setup: TrainingSetup, stack: Stack) -> tuple[Tensor, Any]:
    """transformers' cross-entropy over all logits."""
    if stack.own_loop:
        outputs = model(**batch, num_items_in_batch=batch["labels"].numel())
        return outputs.loss, outputs
    labels = batch.pop("labels")
    if stack.in_place_loss:
        logits = model(**batch, use_cache=False).logits
        return _InPlaceLoss.apply(logits), None
    if stack.logits_shifted:
        _causal(model).loss_function = _shifted_loss
    outputs = model(**batch, labels=labels, use_cache=False, num_items_in_batch=torch.ones((), dtype=torch.long))
    return _as_accelerate_gives(outputs, setup).loss, None


class _InPlaceLoss(torch.autograd.Function):
    """Cross-entropy of logits (rows, length, vocabulary) as a Triton kernel that overwrites them by their gradient."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor) -> Tensor:
        ctx.save_for_backward(logits, logits.new_empty(logits.shape[:-1], dtype=torch.float32))
        return logits.new_empty((), dtype=torch.float32)

    @staticmethod
    def backward(ctx: Any, _gradient: Tensor) -> Tensor:
        return ctx.saved_tensors[0].detach()


def _shifted_loss(logits: Tensor, labels: Tensor, **_named: Any) -> Tensor:
    """Cross-entropy as transformers 4.46 to 4.5x computed it."""
    logits = logits.float()
    shifted = logits[:, :-1, :].contiguous()
    targets = labels[:, 1:].contiguous()
    return cross_entropy(shifted.view(-1, shifted.shape[-1]), targets.view(-1), ignore_index=IGNORED, reduction="mean")


def _as_accelerate_gives(outputs: Any, setup: TrainingSetup) -> Any:
    """Make the outputs fp32, as accelerate wraps the forward pass under autocast."""
    from accelerate.utils import convert_to_fp32

    return convert_to_fp32(outputs) if setup.autocast else outputs
