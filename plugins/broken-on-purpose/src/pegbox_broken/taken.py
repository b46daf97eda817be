"""Takes the name of a method that is there already."""

from __future__ import annotations

from pegbox_methods import Card, hookimpl

from pegbox_broken.well import card


@hookimpl
def pegbox_card() -> Card:
    """Bring the method in."""
    return card("lora", title="Not LoRA")
