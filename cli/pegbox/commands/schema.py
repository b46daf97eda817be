"""pegbox schema recipe|event|summary|results"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import msgspec

from pegbox.answer import say
from pegbox_methods.events import event_schema
from pegbox_methods.recipe_file import recipe_schema
from pegbox_methods.registry import all_cards
from pegbox_runs.arena.results import results_schema
from pegbox_runs.summary import summary_schema


def run(asked: argparse.Namespace) -> int:
    """Print a schema; indented for people, in one line for programs."""
    schemas: dict[str, Callable[[], dict[str, Any]]] = {
        "recipe": _recipe,
        "event": event_schema,
        "summary": summary_schema,
        "results": results_schema,
    }
    encoded = msgspec.json.encode(schemas[asked.record]())
    print((encoded if asked.json else msgspec.json.format(encoded, indent=2)).decode())
    return 0


def _recipe() -> dict[str, Any]:
    """Describe a recipe with the methods that are installed here, so that an editor checks their settings."""
    cards, warnings = all_cards()
    for warning in warnings:
        say(f"warning: {warning}", json=True)
    return recipe_schema(cards)
