"""The arena's keys, and what is asked before those that can't be undone."""

from __future__ import annotations

from textual.binding import Binding, BindingType

from pegbox_runs.arena.watching.watch import Watched

PAGES = (("board", "Board"), ("curves", "Curves"), ("plane", "Costs"), ("card", "Contestant"), ("verdict", "Verdict"))
"""The pane that has the keys on each page, and what the page is called."""

KEYS: list[BindingType] = [
    Binding("q", "leave", "Leave"),
    Binding("escape", "back", "Back", show=False),
    Binding("enter", "open", "Open", key_display="↵", tooltip="the dashboard of its training"),
    Binding("s", "sort", "Sort"),
    Binding("x", "cost", "Costs"),
    Binding("left", "seed(-1)", "The seed before, or all", show=False),
    Binding("right", "seed(1)", "The next seed, or all", show=False),
    Binding("z", "zoom", "The later part of the curves", show=False),
    Binding("k", "choose(-1)", "The contestant above", show=False),
    Binding("j", "choose(1)", "The contestant below", show=False),
    Binding("exclamation_mark", "stop", "Stop", key_display="!"),
    Binding("c", "continue", "Continue"),
    Binding("exclamation_mark,c", "not_here", show=False),
    Binding("tab", "next_pane(1)", "The next pane", show=False),
    Binding("shift+tab", "next_pane(-1)", "The pane before", show=False),
    *(Binding(str(number), f"page({number - 1})", name, show=False) for number, (_, name) in enumerate(PAGES, 1)),
]

CHOOSING: list[BindingType] = [
    Binding("up", "screen.choose(-1)", show=False),
    Binding("down", "screen.choose(1)", show=False),
    Binding("pageup", "screen.choose(-10)", show=False),
    Binding("pagedown", "screen.choose(10)", show=False),
    Binding("home", "screen.choose(-1000)", show=False),
    Binding("end", "screen.choose(1000)", show=False),
]
"""Of panes in which nothing scrolls by itself."""

STOP = (
    "Stop the comparison? What is being trained finishes its step and keeps its checkpoint, so that it can go on there "
    "later. What is done stays done."
)
CONTINUE = (
    "Continue the comparison? It takes up what was interrupted, and then all that is left. What failed isn't tried."
)


def can_stop(watched: Watched) -> bool:
    """Tell whether somebody hears the comparison's commands."""
    return not watched.over and watched.state.status != "new"


def can_continue(watched: Watched) -> bool:
    """Tell whether it ended with something left to run."""
    complete = watched.results is not None and watched.results.complete
    return watched.over and not watched.state.deleted and not (complete and watched.state.status == "finished")


def why_not(watched: Watched) -> str:
    """Say why a key that asks the comparison for something does nothing."""
    if watched.state.deleted:
        return "This comparison was deleted: its folder is gone."
    if not watched.over:
        return "The comparison goes on; ! stops it."
    more = " c continues it." if can_continue(watched) else " It is complete."
    return f"The comparison isn't running, so nobody would hear that.{more}"
