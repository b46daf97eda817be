"""Raises when it is asked for its card."""

from __future__ import annotations

from pegbox_methods import Card, hookimpl


@hookimpl
def pegbox_card() -> Card:
    """Raise."""
    raise ZeroDivisionError("on purpose")
