"""README.txt of a capsule: what it is, for whoever finds it without Pegbox."""

from __future__ import annotations

from collections.abc import Collection

from pegbox_methods.recipe_file import portable
from pegbox_runs.capsule import contents as names
from pegbox_runs.changes import current_recipe
from pegbox_runs.tuned import TunedRun

LINES = """\
This is a capsule of Pegbox: what repeats one fine-tuning run, and what came of it.

run     {run}
method  {method}
base    {base}

    pegbox verify THIS-FILE --only-check    what differs on this machine
    pegbox verify THIS-FILE                 train it again, and say whether the same came of it

{members}
{rows}
"""
ABOUT = {
    names.MANIFEST: "every file in here, with its size and SHA-256",
    names.RECIPE: "the whole of the run",
    names.CHANGES: "what was changed on its way",
    names.CONSTRAINTS: "exact versions: pip install -c constraints.txt pegbox",
    names.ENVIRONMENT: "machine, versions, fingerprints of the base's weights and the rows",
    names.TEMPLATE: "the chat template that the recipe names",
    names.FORECAST: "what was forecast of memory and time",
    names.EVENTS: "every step's loss, every evaluation",
    names.SUMMARY: "how it ended",
    names.JUDGED: "held-out rows and questions, judged at its end: figures alone",
    names.ADAPTER: "the result",
    names.EVALUATIONS: "what `pegbox evaluate` found, with answers to held-out rows",
    names.ROWS: "THE ROWS THEMSELVES",
}
"""Name, or folder with a slash behind it -> what it is."""
WITH = """\
The rows are in here, since they were asked for, and events.jsonl quotes some too. Whoever has this file can read
them."""
WITHOUT = """\
The rows aren't in here, only their SHA-256; events that may quote rows were left out. An adapter can still give
away what it learned: treat it as you treat the rows."""


def readme(run: TunedRun, members: Collection[str], *, with_rows: bool) -> str:
    """Write the text, with a line for each member, or each folder of them, that is in the capsule beside it."""
    base = portable(current_recipe(run.folder).model.name)
    there = {name: about for name, about in ABOUT.items() if name == names.MANIFEST or _has(members, name)}
    return LINES.format(
        run=run.id,
        method=run.recipe.method.name,
        base=base,
        members="\n".join(f"{name:21}{about}" for name, about in there.items()),
        rows=WITH if with_rows else WITHOUT,
    )


def _has(members: Collection[str], name: str) -> bool:
    return any(one.startswith(name) if name.endswith("/") else one == name for one in members)
