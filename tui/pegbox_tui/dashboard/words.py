"""What the dashboard says above its panels, as text without markup: names may hold anything."""

from __future__ import annotations

from rich.cells import cell_len

from pegbox_runs.figures import duration
from pegbox_runs.printable import one_line
from pegbox_runs.run_state import RunState
from pegbox_runs.together import carried_by
from pegbox_tui.dashboard.view import View
from pegbox_tui.shell.clock import clock
from pegbox_tui.shell.progress_bar import BAR_CELLS, bar

SHORT_BAR_CELLS = 6
WITHOUT_EPOCHS, WITHOUT_REMARK, SHORTEST = 2, 3, 4
WIDE, WIDE_SECONDS = 1.5, 60.0
"""A time left is told as a range where its ends lie further apart: at first, and where the pace has changed."""
SILENT_SECONDS = 20.0
"""After which it is said that a run tells nothing, if its steps are short."""
SILENT_STEPS = 5.0
"""The same in steps, where they are long."""


def headline(view: View, width: int | None = None) -> str:
    """Name what the run is doing, by which worker and processes, and which run it is.

    Where all of it has no room, processes are only counted.
    """
    whole = _headline(view)
    return whole if width is None or cell_len(whole) <= width else _headline(view, brief=True)


def _headline(view: View, *, brief: bool = False) -> str:
    state = view.state
    said = [doing(state)]
    silent = silence(view)
    if silent is not None:
        said.append(f"no news for {duration(silent)}")
    if state.started:
        if state.started.attempt > 1:
            said.append(f"worker {state.started.attempt}")
        model = state.started.model.rstrip("/").rpartition("/")[2]
        said.append(one_line(f"{state.started.method} on {model}", 32))
    together = carried_by(state, brief=brief)
    if together is not None:
        said.append(together)
    said.append(one_line(view.run, 60))
    if view.recipe is not None and view.recipe.output.note:
        said.append(one_line(view.recipe.output.note, 200))
    return " · ".join(said)


def doing(state: RunState) -> str:
    """Say in a word or two what the run is at."""
    if state.deleted:
        return "deleted"
    if state.status == "running":
        newest = state.phase is not None and (state.started is None or state.phase.seq > state.started.seq)
        return state.phase.phase if state.phase and newest else "starting"
    if state.status == "paused" and state.paused:
        return f"paused, memory {state.paused.memory}"
    if state.status == "queued" and state.queued:
        return f"queued, place {state.queued.place}"
    return state.status


def silence(view: View) -> float | None:
    """Give for how long a training run has told nothing, where that is longer than its steps explain."""
    state = view.state
    if doing(state) != "training" or state.step is None or not state.last_time:
        return None
    passed = view.now - state.last_time
    return passed if passed > max(SILENT_SECONDS, SILENT_STEPS * state.step.step_seconds) else None


def progress(view: View, width: int | None = None) -> str:
    """Tell how much is done and how long the rest will take, in as many words as there is room for."""
    said = _progress(view)
    for level in range(1, SHORTEST + 1):
        if width is None or cell_len(said) <= width:
            break
        said = _progress(view, level)
    return said


def _progress(view: View, short: int = 0) -> str:
    """Tell it; from 1 on a shorter bar, then without epochs, without what isn't counted in, at last without a range."""
    state = view.state
    if state.prepared is None:
        return "the number of steps isn't known yet" if not state.over else "it ended before its first step"
    steps, done = state.prepared.steps, state.steps_done
    cells = SHORT_BAR_CELLS if short else BAR_CELLS
    said = [f"{bar(done / max(steps, 1), cells)} {100 * done // max(steps, 1)} %", f"step {done:,}/{steps:,}"]
    if state.epochs is not None and short < WITHOUT_EPOCHS:
        epochs_done, whole = state.epochs
        said.append(f"epoch {epochs_done:.2f}/{whole:g}")
    left = state.time_left
    if state.status == "running" and left is not None:
        without = " without evaluations" if _lacks_evaluations(state) and short < WITHOUT_REMARK else ""
        low, high = duration(left.low), duration(left.high)
        unsure = left.high > max(WIDE * left.low, left.low + WIDE_SECONDS) and short < SHORTEST
        seconds, about = (f"{low} to {high}", "about ") if unsure else (duration(left.likely), "")
        said.append(f"{seconds} left{without}, until {about}{clock(view.now + left.likely, view.now)}")
    elif state.first_time and (state.over or state.status == "lost"):
        said.append(f"{duration(state.last_time - state.first_time)} in all")
    return " · ".join(said)


def _lacks_evaluations(state: RunState) -> bool:
    """Tell whether evaluations are to come whose time, or number, the run hasn't told yet."""
    prepared = state.prepared
    return prepared is not None and prepared.rows_evaluated > 0 and not (state.evaluations and prepared.every)


def reading(share: float) -> str:
    """Tell how much of the log is read."""
    return f"{bar(share)} reading the log, {100 * share:.0f} %"
