"""README.txt of a capsule: what it is, for whoever finds it without Pegbox."""

from __future__ import annotations

from pegbox_methods.recipe_file import portable
from pegbox_runs.changes import current_recipe
from pegbox_runs.tuned import TunedRun

LINES = """\
This is a capsule of Pegbox: what repeats one fine-tuning run, and what came of it.

run     {run}
method  {method}
base    {base}

    pegbox verify THIS-FILE --only-check    what differs on this machine
    pegbox verify THIS-FILE                 train it again, and say whether the same came of it

capsule.json      every file in here, with its size and SHA-256
recipe.toml       the whole of the run; changes.jsonl: what was changed on its way
constraints.txt   exact versions: pip install -c constraints.txt pegbox
environment.json  machine, versions, and fingerprints of the base model's weights and of the rows
events.jsonl      every step's loss, every evaluation
adapter/          the result
{rows}
"""
WITH = """\
rows/             THE ROWS THEMSELVES, since they were asked for. events.jsonl quotes some too.
                  Whoever has this file can read them."""
WITHOUT = """\
The rows aren't in here, only their SHA-256; events that may quote rows were left out. An adapter can still give
away what it learned: treat it as you treat the rows."""


def readme(run: TunedRun, *, with_rows: bool) -> str:
    """Write the text."""
    base = portable(current_recipe(run.folder).model.name)
    return LINES.format(run=run.id, method=run.recipe.method.name, base=base, rows=WITH if with_rows else WITHOUT)
