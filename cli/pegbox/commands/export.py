"""pegbox export"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pegbox.answer import answer_json, say
from pegbox.artefact_view import ShownProgress, show_artefact
from pegbox.export_view import show_commands, show_plan
from pegbox_runs.artefacts.place import named_place
from pegbox_runs.exporting.targets import ExportOptions, commands, default_place, exporting, refuse_strange
from pegbox_runs.jobs import JobFailed
from pegbox_runs.printable import printable
from pegbox_runs.tuned import TunedRun, tuned_run


def run(asked: argparse.Namespace) -> int:
    """Export, and prove it. Exit code 1: it failed, or isn't shown to be the same model though that was wanted; 2: it
    can't be done, which --dry-run finds too.
    """
    options = ExportOptions(
        dtype=asked.dtype,
        quant=asked.quant,
        rank=asked.rank,
        via=asked.via,
        name=asked.name,
        llama_cpp=asked.llama_cpp,
        prove=not asked.no_proof,
    )
    refuse_strange(asked.to, options)
    tuned = tuned_run(asked.run, base=asked.base)
    named = None if asked.output is None else named_place(asked.output)
    place = named or default_place(tuned, asked.to, options)
    return _planned(asked, tuned, place, options) if asked.dry_run else _exported(asked, tuned, place, options)


def _planned(asked: argparse.Namespace, tuned: TunedRun, place: Path, options: ExportOptions) -> int:
    plan = exporting(asked.to).plan(tuned, place, options)
    if asked.json:
        answer_json(plan)
    else:
        show_plan(plan)
    return 0 if plan.cannot is None else 2  # as the export itself would be refused


def _exported(asked: argparse.Namespace, tuned: TunedRun, place: Path, options: ExportOptions) -> int:
    try:
        with ShownProgress() as told:
            artefact = exporting(asked.to).export(tuned, place, options, told)
    except JobFailed as failed:
        if asked.json:
            answer_json({"error": printable(failed.sentence)})
        print(f"pegbox: {printable(failed.sentence)}", file=sys.stderr)
        if failed.last_words:
            say(failed.last_words, json=True)
        return 1
    typed = commands(asked.to, tuned, place, options)
    if asked.json:
        answer_json({"folder": str(place), "proven": artefact.proven, "artefact": artefact, "commands": typed})
    else:
        show_artefact(artefact, place)
        show_commands(typed)
    return 0 if artefact.answers(proof_wanted=not asked.no_proof) else 1
