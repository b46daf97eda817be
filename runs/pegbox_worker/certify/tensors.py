"""Comparing models: their tensors bit for bit, their answers by how far apart they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from pegbox_runs.rows.masking import IGNORED

EQUAL = 1e-4
"""Largest difference of two logits, relative to the largest logit, that rounding in float32 explains."""

Tensors = dict[str, Tensor]


def tensors_of(model: nn.Module) -> Tensors:
    """Name every parameter, buffer and packing statistic of a model; what is used in two places comes once."""
    return dict(_with_packing((*model.named_parameters(), *model.named_buffers())))


class BaseWeights:
    """A base model's own parameters, found again wherever a method has put them.

    Wrapping keeps the modules that hold them, or at least the very objects; their values may be replaced.
    """

    def __init__(self, base: nn.Module) -> None:
        self._held = {
            name: (base.get_submodule(name.rpartition(".")[0]), name.rpartition(".")[2], weight)
            for name, weight in base.named_parameters()
        }
        self._before = copied(dict(_with_packing(base.named_parameters())))

    def __len__(self) -> int:
        return len(self._held)

    def changed(self, model: nn.Module) -> list[str]:
        """Name those that are gone from the model with its method, or of which a bit is another."""
        modules = {id(part) for part in model.modules()}
        weights = {id(weight) for weight in model.parameters()}
        now: Tensors = {}
        for name, (holder, attribute, weight) in self._held.items():
            held = getattr(holder, attribute, None) if id(holder) in modules else None
            if isinstance(held, Tensor):
                now[name] = held
            elif id(weight) in weights:
                now[name] = weight
        return differing(self._before, dict(_with_packing(now.items())))


def copied(tensors: Mapping[str, Tensor]) -> Tensors:
    """Keep the values as they are now."""
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def differing(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> list[str]:
    """Name the tensors of `before` that are gone, or of which a bit is another."""
    return [name for name, tensor in before.items() if name not in after or not _same_bits(tensor, after[name])]


def logits_of(model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    """Give the logits of a batch's tokens, without padding and without what a method puts before a row.

    Returns: (tokens of all rows, vocabulary), in float32.
    """
    return _all_logits(model, batch)[batch["attention_mask"].bool()]


def loss_of(model: nn.Module, batch: Mapping[str, Tensor]) -> float:
    """Give the mean loss of a batch's labelled tokens, in nats."""
    logits, labels = _all_logits(model, batch)[:, :-1], batch["labels"][:, 1:]
    return float(cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED))


def distance(found: Tensor, expected: Tensor) -> float:
    """Give the largest difference of two sets of logits, relative to the largest one expected; NaN counts as far."""
    if found.shape != expected.shape:
        return float("inf")
    gap = (found - expected).abs().max() / expected.abs().max()
    return float(torch.nan_to_num(gap, nan=float("inf")))


def _all_logits(model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    training = model.training
    model.eval()
    with torch.no_grad():
        answer: Any = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False)
    model.train(training)
    logits: Tensor = answer.logits
    return logits[:, -batch["input_ids"].shape[1] :].float()


def _same_bits(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    return torch.equal(*(tensor.detach().reshape(-1).view(torch.uint8) for tensor in (one, other)))


def _with_packing(tensors: Iterable[tuple[str, Tensor]]) -> Iterator[tuple[str, Tensor]]:
    """Go on from a packed weight to the scales that bitsandbytes keeps outside the module's buffers."""
    for name, tensor in tensors:
        yield name, tensor
        packing = getattr(tensor, "quant_state", None)
        for depth in ("", "state2."):
            for part in ("absmax", "code", "offset"):
                held = getattr(packing, part, None)
                if isinstance(held, Tensor):
                    yield f"{name}.{depth}{part}", held
            packing = getattr(packing, "state2", None)
