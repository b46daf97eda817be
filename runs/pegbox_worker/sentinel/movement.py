"""Whether steps move what they should: each tensor at the place where its first gradient was largest."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from pegbox_methods.events import Check
from pegbox_worker.sentinel.gradients import Place
from pegbox_worker.sentinel.words import named
from pegbox_worker.sharded import whole

NAME = "weights-move"


class Movement:
    """Follows each trained tensor from its first gradient until it has moved."""

    def __init__(self) -> None:
        self._waiting: dict[str, Place] = {}
        self._followed = 0

    def follow(self, places: Mapping[str, Place]) -> None:
        """Begin to follow tensors, before the step that their gradient is for."""
        self._waiting.update(places)
        self._followed += len(places)

    def look(self) -> None:
        """Look after a step which of them have moved."""
        if not self._waiting:
            return
        places = self._waiting.values()
        differs = [whole(place.weight.detach()).reshape(-1)[place.position] != place.before for place in places]
        if len({part.device for part in differs}) > 1:
            moved = [bool(part) for part in differs]
        else:
            moved = torch.stack(differs).tolist()
        self._waiting = {
            name: place for (name, place), has in zip(self._waiting.items(), moved, strict=True) if not has
        }

    def check(self, *, steps: int, steps_with_rate: int) -> Check:
        """Say which never moved. `steps_with_rate`: those that were taken with a rate above zero."""
        if not self._followed:
            return Check(name=NAME, verdict="not-applicable", text="nothing had a gradient to move by")
        if not steps_with_rate:
            text = "the learning rate was zero in every step so far, as the warm-up wants it"
            return Check(name=NAME, verdict="not-applicable", text=text)
        if len(self._waiting) == self._followed:
            text = (
                f"no trained weight moved in {steps} steps, {steps_with_rate} of them with a learning rate above zero: "
                "the optimizer holds other weights than the model, or none of its steps is carried out"
            )
            return Check(name=NAME, verdict="failed", text=text)
        if self._waiting:
            text = (
                f"{len(self._waiting)} of {self._followed} trained tensors have gradients and didn't move in {steps} "
                f"steps: {named(list(self._waiting))}. Either the optimizer doesn't hold them, or its steps are too "
                "small for their number format: raise training.learning_rate, or keep them in float32"
            )
            return Check(name=NAME, verdict="unsure", text=text)
        return Check(name=NAME, verdict="passed", text=f"all {self._followed} trained tensors with a gradient move")
