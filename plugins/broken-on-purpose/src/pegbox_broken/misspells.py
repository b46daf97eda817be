"""Misspells the hook."""

from __future__ import annotations

from pegbox_methods import Card, hookimpl

from pegbox_broken.well import card


@hookimpl
def pegbox_crad() -> Card:
    """Answer a question that nobody asks."""
    return card("broken-misspells")
