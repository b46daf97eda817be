"""The evaluations, the best one marked, and the checkpoint that can be gone back to."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from pegbox_methods.events import Evaluation
from pegbox_runs.figures import duration
from pegbox_runs.printable import one_line
from pegbox_runs.run_state import RunState

SHOWN = 200
"""The newest of them, beside the first: more than a person reads."""


def evaluation_lines(state: RunState) -> list[Text]:
    """List them, the newest first and the untrained model's last."""
    return list(_said(state))


def _said(state: RunState) -> Iterator[Text]:
    saved = state.checkpoint
    if saved is not None:
        yield Text(f"checkpoint of step {saved.step:,}: {one_line(saved.folder, 60)}")
    if not state.evaluations:
        none = state.prepared is not None and not state.prepared.rows_evaluated
        yield Text("no rows are held out, so nothing is evaluated" if none else "no evaluation yet", "dim")
        return
    yield Text(f"{'step':>9}  {'loss':<8} {'change':<8}", "dim")
    kept = (*state.evaluations[:1], *state.evaluations[1:][-SHOWN:])
    for number in range(len(kept) - 1, -1, -1):
        yield _line(kept[number], kept[number - 1] if number else None, state.best_evaluation)


def _line(evaluation: Evaluation, before: Evaluation | None, best: Evaluation | None) -> Text:
    change = "" if before is None else f"{evaluation.loss - before.loss:+.4f}"
    words = "best" if evaluation is best else "untrained" if evaluation.step == 0 else ""
    line = Text(f"{evaluation.step:>9,}  {evaluation.loss:<8.4f} {change:<8} ", no_wrap=True)
    line.append(f"{words:<9}", "bold green" if words == "best" else "")
    return line.append(f" {duration(evaluation.seconds)}", "dim")
