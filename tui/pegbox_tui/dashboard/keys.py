"""The dashboard's keys, and what is asked before those that can't be undone."""

from __future__ import annotations

from textual.binding import Binding, BindingType

from pegbox_runs.run_state import RunState
from pegbox_runs.timeline import can_go_on, goes_on_from

KEYS: list[BindingType] = [
    Binding("q", "leave", "Leave"),
    Binding("p", "pause", "Pause/resume"),
    Binding("p", "continue", "Continue the run", show=False),
    Binding("P", "release", "Pause and release memory", show=False),
    Binding("c", "checkpoint", "Checkpoint"),
    Binding("s", "stop", "Stop"),
    Binding("a", "abort", "Abort"),
    Binding("p,P,c,s,a", "not_here", show=False),
    Binding("1", "page(0)", "Overview", show=False),
    Binding("2", "page(1)", "Answers", show=False),
    Binding("3", "page(2)", "Memory", show=False),
    Binding("4", "page(3)", "Ranks", show=False),
    Binding("5", "page(4)", "Advice", show=False),
    Binding("6", "page(5)", "Log", show=False),
    Binding("g", "chart('next')", "Chart: next curve", show=False),
    Binding("G", "chart('before')", "Chart: curve before", show=False),
    Binding("l", "chart('log')", "Chart: logarithmic scale", show=False),
    Binding("w", "chart('lines')", "Chart: raw, smoothed or both", show=False),
    Binding("left_square_bracket", "chart('less-smooth')", "Chart: smooth less", show=False, key_display="["),
    Binding("right_square_bracket", "chart('smoother')", "Chart: smooth more", show=False, key_display="]"),
    Binding("plus,equals_sign", "chart('closer')", "Chart: zoom in", show=False, key_display="+"),
    Binding("minus", "chart('wider')", "Chart: zoom out", show=False, key_display="-"),
    Binding("0", "chart('whole')", "Chart: all steps", show=False),
    Binding("left", "chart('left')", "Chart: cursor left", show=False),
    Binding("right", "chart('right')", "Chart: cursor right", show=False),
    Binding("escape", "chart('no-cursor')", "Chart: no cursor", show=False),
    Binding("escape", "back", "Back to the list", show=False),
    Binding("shift+left", "chart('earlier')", "Chart: move to earlier steps", show=False),
    Binding("shift+right", "chart('later')", "Chart: move to later steps", show=False),
    Binding("ctrl+left", "chart('far-earlier')", "Chart: a window earlier", show=False),
    Binding("ctrl+right", "chart('far-later')", "Chart: a window later", show=False),
]

STOP = "Stop the run? It finishes its step, saves its adapter, and ends."
ABORT = "Abort the run? It ends at once; what it did since its last checkpoint is lost."
RELEASE = (
    "Pause and release the memory? A checkpoint is written and the worker ends. "
    "Going on takes as long as loading the model again."
)

ASKING: dict[str, tuple[str, str]] = {
    "pause": ("Pause or resume", "the run waits with its memory kept, or goes on (p)"),
    "release": ("Pause and release memory", "the worker ends; going on loads the model again (P)"),
    "checkpoint": ("Checkpoint now", "after the step that is going on (c)"),
    "stop": ("Stop the run", "it saves its adapter and ends (s)"),
    "abort": ("Abort the run", "it ends at once (a)"),
    "continue": ("Continue the run", "from its last good checkpoint (p)"),
}
"""Actions that want something of the run, as the palette names them. Which work depends on what the run is at."""


def is_carried(state: RunState) -> bool:
    """Tell whether somebody hears the run's commands, as far as the dashboard knows."""
    return not (state.over or state.deleted or state.status in {"lost", "new"})


def working(state: RunState) -> frozenset[str]:
    """Give those of the actions that do something now."""
    if is_carried(state):
        return frozenset(ASKING) - {"continue", *(["release"] if state.status == "paused" else [])}
    return frozenset({"continue"} if can_go_on(state) else ())


def why_not(state: RunState) -> str:
    """Say why a key that asks the run for something does nothing."""
    if state.deleted:
        return "This run was deleted: its folder is gone."
    if is_carried(state):
        return "The run is paused already; p lets it go on."
    more = " p continues it." if can_go_on(state) else ""
    return f"The run isn't running, so nobody would hear that.{more}"


def continue_question(state: RunState) -> str:
    """Ask before a run that is over is continued."""
    return f"Continue the run? It goes on {goes_on_from(state)}."
