"""pegbox merge"""

from __future__ import annotations

import argparse
import sys

from pegbox.answer import answer_json
from pegbox.artefact_view import ShownProgress, show_artefact
from pegbox_runs.artefacts.merging import merge_run, merged_place
from pegbox_runs.artefacts.place import named_place
from pegbox_runs.jobs import JobFailed
from pegbox_runs.printable import printable
from pegbox_runs.tuned import tuned_run


def run(asked: argparse.Namespace) -> int:
    """Merge, and prove it. Exit code 1: it failed, or isn't shown to be the same model though that was wanted."""
    tuned = tuned_run(asked.run, base=asked.base)
    place = merged_place(tuned) if asked.output is None else named_place(asked.output)
    try:
        with ShownProgress() as told:
            artefact = merge_run(tuned, place, dtype=asked.dtype, prove=not asked.no_proof, told=told)
    except JobFailed as failed:
        if asked.json:
            answer_json({"error": failed.sentence})
        print(f"pegbox: {printable(failed.explained)}", file=sys.stderr)
        return 1
    if asked.json:
        answer_json({"folder": str(place), "proven": artefact.proven, "artefact": artefact})
    else:
        show_artefact(artefact, place)
    return 0 if artefact.answers(proof_wanted=not asked.no_proof) else 1
