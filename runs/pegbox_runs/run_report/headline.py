"""A run in one sentence: how it ended, and what its held-out rows say."""

from __future__ import annotations

from pegbox_methods.events import Failed
from pegbox_runs.reporting import digits
from pegbox_runs.run_report.facts import RunFacts
from pegbox_runs.run_state import RunState, Status

STATUSES: dict[Status, str] = {
    "new": "not begun",
    "queued": "waiting",
    "running": "running",
    "paused": "paused",
    "restarting": "starting again",
    "finished": "finished",
    "stopped": "stopped before its last step",
    "aborted": "aborted",
    "failed": "failed",
    "lost": "lost: nobody carries it any more",
}


def is_over(state: RunState) -> bool:
    """Tell whether the report can still change by itself."""
    return state.over or state.status == "lost"


def headline(facts: RunFacts) -> str:
    """Say it. An evaluation of the held-out rows, with ranges, has the word before the run's own looks."""
    state = facts.state
    if isinstance(state.ended, Failed):
        return f"Failed after {_steps(state)}: {state.ended.what}"
    evaluated = facts.telling.held_out
    if evaluated is not None and is_over(state):
        return evaluated.verdict
    return f"{_beginning(state)}{_looks(state)}"


def _beginning(state: RunState) -> str:
    planned = state.prepared.steps if state.prepared else None
    if not is_over(state):
        where = f" at step {state.steps_done:,} of {planned:,}" if planned and state.steps_done else ""
        return f"{STATUSES[state.status].capitalize()}{where}. "
    if state.status in {"finished", "stopped"}:
        return ""
    return f"{STATUSES[state.status].capitalize()}, after {_steps(state)}. "


def _looks(state: RunState) -> str:
    before, best = state.untrained_evaluation, state.best_evaluation
    if before is None and best is None:
        return f"Trained for {_steps(state)}; no held-out rows were looked at."
    if best is None:
        loss = None if before is None else before.loss
        return f"The held-out rows were looked at only before the training: loss {digits.loss(loss)}."
    kept = f"{digits.loss(best.loss)}, its best, after {best.step:,} step{'' if best.step == 1 else 's'}"
    if before is None:
        return f"Loss on the held-out rows: {kept}."
    fell = "fell" if best.loss < before.loss else "rose" if best.loss > before.loss else "stayed"
    return f"The loss on the held-out rows {fell} from {digits.loss(before.loss)} to {kept}."


def _steps(state: RunState) -> str:
    return f"{state.steps_done:,} step{'' if state.steps_done == 1 else 's'}"
