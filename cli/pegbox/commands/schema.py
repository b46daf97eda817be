"""pegbox schema recipe|event|summary"""

from __future__ import annotations

import argparse

import msgspec

from pegbox_methods.events import event_schema
from pegbox_methods.recipe_file import recipe_schema
from pegbox_runs.summary import summary_schema


def run(asked: argparse.Namespace) -> int:
    """Print a schema; indented for people, in one line for programs."""
    schemas = {"recipe": recipe_schema, "event": event_schema, "summary": summary_schema}
    encoded = msgspec.json.encode(schemas[asked.record]())
    print((encoded if asked.json else msgspec.json.format(encoded, indent=2)).decode())
    return 0
