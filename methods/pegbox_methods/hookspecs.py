"""The hooks through which a method comes in. Specifications, and nothing else."""

from __future__ import annotations

import pluggy

from pegbox_methods.card import Card

PROJECT = "pegbox"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def pegbox_card() -> Card:
    """Return the card of the method that this plugin brings.

    The plugin's entry point in group `pegbox` carries the same name as the card.
    """
    raise NotImplementedError
