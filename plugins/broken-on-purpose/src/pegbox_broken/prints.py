"""Comes in well, but writes to standard output, where the answer to --json goes."""

from __future__ import annotations

from pegbox_methods import Card, hookimpl

from pegbox_broken.well import card

print("{ this is no JSON")


@hookimpl
def pegbox_card() -> Card:
    """Bring the method in."""
    print("nor is this }")
    return card("broken-prints")
