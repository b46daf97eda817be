"""Comes in well, but its card names a torch half that isn't there."""

from __future__ import annotations

from pegbox_methods import Card, hookimpl

from pegbox_broken.well import card


@hookimpl
def pegbox_card() -> Card:
    """Bring the method in."""
    return card("broken-half", torch_half="pegbox_broken.half:nothing")
