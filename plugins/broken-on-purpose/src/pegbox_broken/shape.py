"""Its card has fields of the wrong kind, which Python lets pass."""

from __future__ import annotations

from pegbox_methods import Card, hookimpl

from pegbox_broken.well import card


@hookimpl
def pegbox_card() -> Card:
    """Bring a card that a list of methods would stumble over."""
    return card("broken-shape", settings=["rank"], learning_rate="high", recommended=None)
