"""pegbox capsule RUN"""

from __future__ import annotations

import argparse

import msgspec

from pegbox.answer import answer_json, say
from pegbox.capsule_view import show_packing
from pegbox_methods.home import user_path
from pegbox_methods.recipe_file import portable
from pegbox_runs.artefacts.making import made_file
from pegbox_runs.capsule.packing import plan_capsule, write_capsule
from pegbox_runs.tuned import tuned_run


def run(asked: argparse.Namespace) -> int:
    """Say what goes into the capsule, and write it."""
    place = user_path(asked.output).absolute() if asked.output else None
    packing = plan_capsule(tuned_run(asked.run, base=asked.base), place, with_rows=asked.with_rows)
    show_packing(packing, with_rows=asked.with_rows, json=asked.json)
    new = write_capsule(packing)
    made = made_file(packing.place)
    if asked.json:
        contents = msgspec.to_builtins(packing.contents)
        answer_json(
            {
                "capsule": str(packing.place),
                "bytes": made.bytes,
                "sha256": made.sha256,
                "new": new,
                "contents": contents,
            }
        )
    verb = "wrote" if new else "the same lies there already:"
    say(f"{verb} {portable(str(packing.place))}", json=asked.json)
    say(f"SHA-256 {made.sha256}", json=asked.json)
    say("`pegbox verify FILE` trains it again anywhere, and says whether the same comes of it.", json=asked.json)
    return 0
