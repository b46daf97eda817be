"""What lies in a capsule, and the record that says so."""

from __future__ import annotations

import msgspec

from pegbox_runs.artefacts.artefact import MadeFile

FORM = 1
MANIFEST = "capsule.json"
README = "README.txt"
RECIPE, CHANGES, ENVIRONMENT, FORECAST = "recipe.toml", "changes.jsonl", "environment.json", "forecast.json"
SUMMARY, EVENTS, JUDGED, CONSTRAINTS = "summary.json", "events.jsonl", "judged.json", "constraints.txt"
TEMPLATE = "chat_template.jinja"
"""The chat template, where the recipe names a file of its own."""
ADAPTER, EVALUATIONS, ROWS, HELD_OUT = "adapter/", "evaluations/", "rows/", "held-out"
ENDING = ".capsule.zip"


class PackedSource(msgspec.Struct, frozen=True, kw_only=True):
    """One of the recipe's sources of rows, packed with the capsule."""

    place: str
    """Folder of its files in the capsule."""
    one_file: str | None
    """Its name, where the recipe names one file; None: it names a folder, or a data set of the Hub."""


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """capsule.json."""

    form: int = FORM
    pegbox: str
    """Version that packed it."""
    run: str
    method: str
    base: str
    """The base model, as the recipe names it."""
    steps: int
    status: str
    """How the run ended, as summary.json has it."""
    sources: tuple[PackedSource, ...] = ()
    """The rows, the recipe's own first; empty: they weren't asked for."""
    held_out: PackedSource | None = None
    members: dict[str, MadeFile]
    """By name, this record left out."""
