"""pegbox demo"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

import msgspec

from pegbox.answer import answer_json, say
from pegbox.commands.watch import show
from pegbox_methods.events import Failed, Sample
from pegbox_methods.recipe_file import recipe_from_table
from pegbox_runs.figures import duration
from pegbox_runs.models import BUNDLED
from pegbox_runs.printable import one_line
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_state import RunState
from pegbox_runs.starting import start_runs
from pegbox_runs.viewing import follow, state_of

RECIPE: dict[str, Any] = {
    "model": {"name": "bundled"},
    "rows": {"file": str(BUNDLED / "rows.jsonl")},
    "training": {"epochs": 3, "micro_batch": 8, "accumulation": 1, "learning_rate": 2e-3, "length": 512},
    "evaluation": {"samples": 2},
    "output": {"note": "pegbox demo"},
}


def run(asked: argparse.Namespace) -> int:
    """Train, show it live, and say what came of it."""
    recipe = recipe_from_table(RECIPE, file="the demo's recipe", folder=Path.cwd())
    folder = start_runs([(recipe, "the demo's recipe")])[0]
    code = show(folder, json=False, plain=asked.plain, leave_at_end=True) if not asked.json else _wait(folder)
    state = state_of(folder)
    if asked.json:
        answer_json(_record(folder, state))
    elif state.status == "finished":
        say(_report(folder, state))
    return code


def _wait(folder: RunFolder) -> int:
    """Follow the run without a word: the answer is one record at its end."""
    state = RunState()
    for advance in follow(folder):
        state = advance.state
    return 0 if state.status in {"finished", "stopped"} else 1


def _fall(state: RunState) -> tuple[float, float, float] | None:
    """Give (loss before, best loss after, fall as a share), or None if the run was never evaluated."""
    before, best = state.untrained_evaluation, state.best_evaluation
    if before is None or best is None:
        return None
    return before.loss, best.loss, 1 - best.loss / before.loss


def _pairs(state: RunState) -> list[tuple[Sample, Sample]]:
    """Put the first and the last answer to each question together."""
    last = {sample.index: sample for sample in state.samples}
    return [(sample, last[sample.index]) for sample in state.samples if sample.step == 0]


def _record(folder: RunFolder, state: RunState) -> dict[str, Any]:
    fall = _fall(state)
    return {
        "run": folder.id,
        "status": state.status,
        "failure": msgspec.to_builtins(state.ended) if isinstance(state.ended, Failed) else None,
        "folder": str(folder.path),
        "adapter": str(folder.adapter),
        "loss_before": fall and fall[0],
        "loss_after": fall and fall[1],
        "loss_fall": fall and fall[2],
        "seconds": state.last_time - state.first_time,
        "samples": [msgspec.to_builtins(sample) for sample in state.samples],
    }


def _report(folder: RunFolder, state: RunState) -> str:
    fall = _fall(state)
    rows = state.prepared.rows_evaluated if state.prepared else 0
    said = []
    if fall:
        said.append(
            f"\nOn {rows} rows it was not trained on, the evaluation loss fell from {fall[0]:.3f} to {fall[1]:.3f} "
            f"({100 * fall[2]:.0f} % less), in {duration(state.last_time - state.first_time)}."
        )
    if state.samples:
        said.append("\nSome of those rows, with the answer before the training, after it, and the row's own:")
    width = shutil.get_terminal_size().columns - len("  before: ")
    for before, after in _pairs(state):
        said += [
            f"\n{one_line(before.question, width)}",
            f"  before: {one_line(before.answer, width)}",
            f"  after:  {one_line(after.answer, width)}",
            f"  row:    {one_line(after.expected, width)}",
        ]
    said += [
        f"\nThe adapter lies in {folder.adapter}.",
        f"Look at the run again with `pegbox watch {folder.id}`; train on your own rows with `pegbox train RECIPE`.",
    ]
    return "\n".join(said)
