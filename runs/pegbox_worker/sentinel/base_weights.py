"""Whether what is frozen stays what it was: numbers out of every frozen tensor, kept and looked at again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from pegbox_methods.events import Check
from pegbox_worker.sentinel.words import named
from pegbox_worker.sharded import own_part

WHOLE = 4096
"""Tensors up to so many numbers are kept whole: norms, biases, small maps."""
SAMPLED = 512
"""Numbers kept of a larger one, evenly spread: 14 KiB of a layer's seven maps in fp32."""
NAME = "base-unchanged"


class BaseWeights:
    """Samples of all that doesn't train, as it was when this was made. The samples stay on the weights' device."""

    def __init__(self, model: nn.Module) -> None:
        self._weights = dict(_frozen(model))
        self._before = {name: _sample(weight).clone() for name, weight in self._weights.items()}

    def check(self) -> Check:
        """Look again."""
        if not self._weights:
            return Check(name=NAME, verdict="not-applicable", text="every weight of the model trains")
        changed = [name for name, differs in zip(self._weights, self._differing(), strict=True) if differs]
        if changed:
            text = (
                f"{len(changed)} of {len(self._weights)} frozen tensors aren't what they were before the first step: "
                f"{named(changed)}. The adapter would fit no model that anybody has. Something writes into the base "
                "model: a plugin's callback, or a version of a library that doesn't fit"
            )
            return Check(name=NAME, verdict="failed", text=text)
        text = f"{len(self._weights)} frozen tensors are what they were, as far as their sampled numbers tell"
        return Check(name=NAME, verdict="passed", text=text)

    def _differing(self) -> list[bool]:
        """Compare all; those of one device are waited for once."""
        found = [(_sample(weight) != self._before[name]).any() for name, weight in self._weights.items()]
        if len({part.device for part in found}) > 1:
            return [bool(part) for part in found]
        differing: list[bool] = torch.stack(found).tolist()
        return differing


def _frozen(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Name what doesn't train; of a matrix packed into 4 bits, its scales too."""
    for name, weight in model.named_parameters():
        if weight.requires_grad or weight.device.type == "meta" or not weight.numel():
            continue
        yield name, weight
        scales: Any = getattr(getattr(weight, "quant_state", None), "absmax", None)
        if isinstance(scales, Tensor) and scales.numel():
            yield f"{name}.absmax", scales


def _sample(weight: Tensor) -> Tensor:
    """Take evenly spread numbers of a tensor, as bytes: NaN equals NaN then."""
    plain = own_part(weight.detach())
    if not plain.is_contiguous():  # flattening would copy all of it
        rows = max(1, plain.shape[0] * plain.shape[-1] // WHOLE)
        plain = plain[::rows].contiguous()
    numbers = plain.view(-1)
    if len(numbers) > WHOLE:
        numbers = numbers[:: -(-len(numbers) // SAMPLED)].contiguous()
    return numbers.view(torch.uint8)
