"""Makes a card without its footprint."""

from __future__ import annotations

from pegbox_methods import Card, hookimpl


@hookimpl
def pegbox_card() -> Card:
    """Raise the TypeError that a missing field raises."""
    return Card(name="broken-lacks", title="Broken", summary="Lacks its footprint.")  # type: ignore[call-arg]
