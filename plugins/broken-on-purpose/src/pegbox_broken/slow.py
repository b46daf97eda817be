"""Comes in well, but takes a second."""

from __future__ import annotations

import time

from pegbox_methods import Card, hookimpl

from pegbox_broken.well import card

time.sleep(1)


@hookimpl
def pegbox_card() -> Card:
    """Bring the method in."""
    return card("broken-slow")
