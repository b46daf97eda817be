"""Cross-entropy of the labelled positions only: what a CPU saves grows with the share of unlabelled ones.

The gradient with respect to the hidden states is computed in the forward pass, chunk by chunk, while the
logits are there; they are never kept. The idea is Liger's (arXiv:2410.10989), here in plain torch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from pegbox_runs.rows.masking import IGNORED

CHUNK_ROWS = 512
"""Positions scored at once: bounds the logits to 512 x vocabulary numbers of 4 bytes."""
AGREEMENT = 1e-3
"""Largest relative difference to the model's own loss that rounding explains in float32."""


class _FrozenHeadLoss(torch.autograd.Function):
    """Sum of cross-entropies of hidden (n, d) against head (v, d) and targets (n,); the head is a constant."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, head: Tensor, targets: Tensor) -> Tensor:
        gradient = torch.empty_like(hidden) if hidden.requires_grad else None
        total = hidden.new_zeros((), dtype=torch.float32)
        for begin in range(0, len(targets), CHUNK_ROWS):
            rows = slice(begin, begin + CHUNK_ROWS)
            logits = (hidden[rows] @ head.t()).float()
            target = targets[rows, None]
            normaliser = torch.logsumexp(logits, -1, keepdim=True)
            total += (normaliser - logits.gather(1, target)).sum()
            if gradient is not None:
                probabilities = logits.sub_(normaliser).exp_()
                probabilities.scatter_add_(1, target, torch.full_like(target, -1, dtype=probabilities.dtype))
                gradient[rows] = probabilities.to(head.dtype) @ head
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * outer[0].to(gradient.dtype), None, None


LABELLED_SUM = "pegbox_labelled_sum"
"""Keyword by which a model's own forward is asked for our loss."""


class LabelledLoss:
    """The loss of one causal language model that skips positions without a label.

    `causal` is transformers' own model, with an adapter's layers inside it if there are any.
    """

    def __init__(self, causal: nn.Module, compute: torch.dtype) -> None:
        self.causal = causal
        self._backbone: nn.Module = causal.base_model
        self._head: Tensor = causal.get_output_embeddings().weight
        self._compute = compute
        self._cast: Tensor | None = None

    def sum(self, inputs: dict[str, Tensor]) -> Tensor:
        """Add the cross-entropies of a batch up, in nats.

        `inputs`: input_ids, attention_mask, labels, each (rows, positions). The caller opens autocast.
        """
        hidden, targets, _ = self._labelled(inputs)
        if self._head.requires_grad:
            logits = (hidden @ self._head.to(self._compute).t()).float()
            return cross_entropy(logits, targets, reduction="sum")
        return _FrozenHeadLoss.apply(hidden, self._frozen_head(), targets)

    def of_rows(self, inputs: dict[str, Tensor]) -> Tensor:
        """Add the cross-entropies of each row up, in nats. The caller opens autocast, and wants no gradient.

        `inputs`: as for `sum`. Returns: (rows,) in float64, on the CPU.
        """
        hidden, targets, counts = self._labelled(inputs)
        head = self._head.to(self._compute) if self._head.requires_grad else self._frozen_head()
        losses = torch.zeros(len(targets), dtype=torch.float64)
        for begin in range(0, len(targets), CHUNK_ROWS):
            part = slice(begin, begin + CHUNK_ROWS)
            logits = (hidden[part] @ head.t()).float()
            losses[part] = cross_entropy(logits, targets[part], reduction="none").cpu()
        return torch.stack([row.sum() for row in losses.split(counts)])

    def _labelled(self, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor, list[int]]:
        """Give what the head sees at the positions with a label, those labels, and how many of them each row has."""
        arguments = {key: value for key, value in inputs.items() if key != "labels"}
        hidden = self._backbone(**arguments, use_cache=False).last_hidden_state[:, :-1]
        targets = inputs["labels"][:, 1:]
        kept = targets != IGNORED
        return hidden[kept].to(self._compute), targets[kept], kept.sum(1).tolist()

    def _frozen_head(self) -> Tensor:
        """Give the head in the computation's format, cast once."""
        if self._cast is None:
            self._cast = self._head.detach().to(self._compute)
        return self._cast


def let_through(loss: LabelledLoss) -> None:
    """Let its model's forward give the loss where it is asked by LABELLED_SUM, as TRL does with its fused head.

    What wraps a model for several processes brings gradients together only of what went through its forward.
    """
    causal: Any = loss.causal
    plain = causal.forward

    def forward(*arguments: Any, **named: Any) -> Any:
        if not named.pop(LABELLED_SUM, False):
            return plain(*arguments, **named)
        return loss.sum({name: value for name, value in named.items() if value is not None})

    causal.forward = forward


def labelled_loss_of(model: nn.Module, input_ids: Tensor, labels: Tensor, compute: torch.dtype) -> LabelledLoss | None:
    """Make the loss of a model as it will train, with its method attached.

    It is compared with the model's own on one row (1, positions).
    Returns: None where it would not be the model's own loss: a head that is adapted, scaled, capped or biased,
    tokens put before the row, or a model without the usual parts.
    """
    if getattr(getattr(model, "active_peft_config", None), "is_prompt_learning", False):
        return None  # a prefix stands outside the backbone, and one row's loss may be the same by chance
    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    try:
        plain_head = type(causal.get_output_embeddings()) is nn.Linear
        agreed = plain_head and _agrees(model, LabelledLoss(causal, torch.float32), input_ids, labels)
    except (AttributeError, TypeError):
        return None
    return LabelledLoss(causal, compute) if agreed else None


def _agrees(model: nn.Module, loss: LabelledLoss, input_ids: Tensor, labels: Tensor) -> bool:
    mask = torch.ones_like(input_ids)
    training = model.training
    model.eval()
    with torch.no_grad():
        logits = model(input_ids=input_ids, attention_mask=mask, use_cache=False).logits
        if logits.shape[:2] == labels.shape:
            targets = labels[:, 1:].flatten()
            scores = logits[:, :-1].float().flatten(0, 1)
            own = cross_entropy(scores, targets, reduction="sum", ignore_index=IGNORED)
            ours = loss.sum({"input_ids": input_ids, "attention_mask": mask, "labels": labels})
            agreed = bool((ours - own).abs() <= AGREEMENT * own.abs().clamp(min=1.0))
        else:
            agreed = False
    model.train(training)
    return agreed
