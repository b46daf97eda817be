"""What the simulator says where it can't answer."""

from __future__ import annotations

from pegbox_methods.refusal import Refusal


class CannotSimulate(Refusal):
    """A model, method or library that doesn't trace without numbers; the analytic forecast is there instead."""
