"""Its entry point and its card have different names."""

from __future__ import annotations

from pegbox_methods import Card, hookimpl

from pegbox_broken.well import card


@hookimpl
def pegbox_card() -> Card:
    """Bring the method in under another name."""
    return card("another-name")
