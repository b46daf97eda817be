"""The curves of a run's steps, by name."""

from __future__ import annotations

import msgspec

from pegbox_runs.curve import Curve, Curves


class StepCurves(msgspec.Struct, frozen=True, kw_only=True):
    """What is drawn over the steps: the part of a run's state that grows with each of them."""

    curves: Curves = msgspec.field(default_factory=lambda: Curves(5))
    """Loss, learning rate, tokens a second, memory and seconds, of each step; the properties give each of them."""
    norms: Curves = msgspec.field(default_factory=Curves)
    """Apart from the others: a step may have none."""

    @property
    def loss(self) -> Curve:
        """Training loss of each step."""
        return self.curves[0]

    @property
    def learning_rates(self) -> Curve:
        """Learning rate of each step."""
        return self.curves[1]

    @property
    def speeds(self) -> Curve:
        """Tokens a second of each step."""
        return self.curves[2]

    @property
    def memory(self) -> Curve:
        """Bytes at each step's end: of the device, or of the process where there is no device."""
        return self.curves[3]

    @property
    def step_seconds(self) -> Curve:
        """Seconds of each step."""
        return self.curves[4]

    @property
    def gradient_norms(self) -> Curve:
        """Norm of the gradient of the steps where it was finite."""
        return self.norms[0]
