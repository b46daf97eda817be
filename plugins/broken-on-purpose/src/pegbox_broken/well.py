"""A card with nothing wrong, for the others to spoil."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pegbox_methods import Card, Footprint, Needs, Reason


def footprint(_shape: Any, _settings: Mapping[str, Any]) -> Footprint:
    """Count nothing."""
    return Footprint(trainable_weights=0, step_time_ratio=None, step_time_source="nobody has measured it")


def card(name: str, **fields: Any) -> Card:
    """Make a card; `fields` overrule its own."""
    usual = {
        "title": "Broken on purpose",
        "summary": "Does one thing wrong.",
        "source": "pegbox-broken-on-purpose",
        "settings": (),
        "learning_rate": 1e-3,
        "learning_rate_source": "made up",
        "needs": Needs(),
        "footprint": footprint,
        "recommended": (Reason(when="the fence is tried", why="that is what it is for", source="its README"),),
        "discouraged": (Reason(when="a model is tuned", why="it does nothing", source="its README"),),
        "torch_half": "pegbox_broken.half:half",
    }
    return Card(name=name, **{**usual, **fields})
