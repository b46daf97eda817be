"""What a run does before its first step, and for how long already: loading takes minutes, and the screen says so."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from pegbox_runs.figures import count, duration
from pegbox_runs.printable import one_line
from pegbox_tui.dashboard.view import View

WHAT = {
    "starting": "the worker starts: Python and torch are loaded",
    "loading": "the model and its tokenizer are loaded",
    "preparing": "the rows are tokenized, and the method is put on the model",
    "training": "the first step is on its way; it is slower than the others",
    "evaluating": "the held-out rows are looked at before any training, to know where it began",
    "judging": "the base model is looked at row by row, so that the run can be compared",
    "saving": "what was trained is saved",
}


def starting_lines(view: View) -> list[Text]:
    """Say what is going on, since when, and what is known already. Of a run whose first step isn't done."""
    return list(_said(view))


def _said(view: View) -> Iterator[Text]:
    state = view.state
    if state.status == "new":
        yield Text("waiting for the run's first word; a supervisor takes it within seconds")
        return
    if state.status == "queued" and state.queued:
        before = state.queued.place - 1
        yield Text(f"it waits behind {before} other run{'' if before == 1 else 's'}" if before else "it is the next")
        yield _since(view, state.queued.time)
        return
    if state.over or state.status in {"lost", "paused"}:
        yield Text("it ended without a step" if state.over else f"{state.status} before its first step")
        return
    newest = state.phase is not None and (state.started is None or state.phase.seq > state.started.seq)
    phase = state.phase if newest else None
    name = phase.phase if phase else "starting"
    yield Text(f"{name}: {WHAT.get(name, '')}", "bold")
    if phase and phase.detail:
        yield Text(one_line(phase.detail, 300))
    began = phase or state.started
    if began:
        yield _since(view, began.time)
    if state.prepared is not None:
        ready = state.prepared
        yield Text("")
        yield Text(
            f"{count(ready.trainable_weights)} of {count(ready.model_weights)} weights are trained, "
            f"on {one_line(ready.device, 20)} in {one_line(ready.precision, 20)}"
        )
        yield Text(
            f"{ready.steps:,} steps over {count(ready.rows_trained)} rows; {count(ready.tokens_trained)} of "
            f"{count(ready.tokens)} tokens are learned; {count(ready.rows_evaluated)} rows held out"
        )


def _since(view: View, moment: float) -> Text:
    """Clocks of two machines differ: what would have begun in the future began now."""
    return Text(f"for {duration(max(view.now - moment, 0.0))} now", "dim")
