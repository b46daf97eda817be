"""Whether all that trains gets a gradient (peft#1142), and where in each tensor it is largest."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pegbox_methods.events import Check
from pegbox_worker.failure import SentinelFailed
from pegbox_worker.sentinel.words import named
from pegbox_worker.sharded import whole

NAME = "gradients"
MOVING_STEPS = 2


class NoGradient(SentinelFailed):
    """Nothing that should learn gets a gradient: the run would end with the adapter it began with."""


@dataclass(frozen=True)
class Place:
    """Where a tensor's gradient was largest when it first had one."""

    weight: nn.Parameter
    position: int
    """In the tensor, flattened."""
    before: Tensor
    """The number there then; a scalar on the weight's device."""


class Gradients:
    """Looks at each trained tensor until it has had a gradient that isn't all zero."""

    def __init__(self, model: nn.Module) -> None:
        self._waiting = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        self._trained = len(self._waiting)
        self._steps = 0

    def look(self) -> dict[str, Place]:
        """Look after a backward pass, before the optimizer moves anything. Returns: those that have one for the first
        time.

        Raises: NoGradient: in the first step, none has. Some may lack it by design: experts that no token went through,
        the vision tower of a model that reads text, a map behind one that begins at zero.
        """
        self._steps += 1
        found = _largest({name: weight for name, weight in self._waiting.items() if weight.grad is not None})
        for name in found:
            del self._waiting[name]
        if self._trained and len(self._waiting) == self._trained:
            raise NoGradient(
                "no weight of the adapter got a gradient in the first step: the run would end with what it began with"
            )
        return found

    def check(self, *, steps_with_rate: int) -> Check:
        """Name those that never had one. `steps_with_rate`: those that were taken with a rate above zero.

        One such step must lie before another: a map behind one that begins at zero, as LoRA's A, has no gradient until
        that one has moved.
        """
        if not self._trained:
            return Check(name=NAME, verdict="not-applicable", text="nothing trains")
        if self._waiting and steps_with_rate < MOVING_STEPS:
            text = f"only {steps_with_rate} steps were taken with a learning rate above zero: too few to tell"
            return Check(name=NAME, verdict="not-applicable", text=text)
        if self._waiting:
            text = (
                f"{len(self._waiting)} of {self._trained} trained tensors got no gradient in {self._steps} steps: "
                f"{named(list(self._waiting))}. They stay as they began: look whether the method's targets are parts "
                "of the model that these rows never use"
            )
            return Check(name=NAME, verdict="unsure", text=text)
        return Check(name=NAME, verdict="passed", text=f"all {self._trained} trained tensors get gradients")


def _largest(weights: dict[str, nn.Parameter]) -> dict[str, Place]:
    """Find the largest and the smallest number of each gradient without a copy of it, and wait for the device once."""
    flat = {name: _flat(weight.grad) for name, weight in weights.items() if weight.grad is not None}
    ends = {name: torch.stack((grad.argmax(), grad.argmin())) for name, grad in flat.items()}
    values = {name: flat[name][ends[name]] for name in ends}
    found = {}
    told = zip(ends, _together(list(ends.values())), _together(list(values.values())), strict=True)
    for name, (most, least), (high, low) in told:
        if high == 0 and low == 0:
            continue
        position = int(most if high != 0 else least)
        weight = weights[name]
        found[name] = Place(weight, position, whole(weight.detach()).reshape(-1)[position].clone())
    return found


def _flat(grad: Tensor) -> Tensor:
    return whole((grad.to_dense() if grad.is_sparse else grad).detach()).reshape(-1)


def _together(parts: list[Tensor]) -> list[list[float]]:
    """Read many small tensors of one shape; those of one device at one go."""
    if len({(part.device, part.dtype) for part in parts}) > 1:
        return [part.tolist() for part in parts]
    whole: list[list[float]] = torch.stack(parts).tolist() if parts else []
    return whole
