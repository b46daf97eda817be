"""pegbox watch RUN"""

from __future__ import annotations

import argparse
from typing import NamedTuple

import msgspec

from pegbox.answer import answer_json, say
from pegbox.plain_view import lines
from pegbox.run_or_comparison import find_run_or_comparison
from pegbox.terminal import can_draw
from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.event_log import BadLine
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_state import RunState
from pegbox_runs.timeline import how_to_go_on
from pegbox_runs.viewing import follow

LOST = "lost: neither the run's supervisor nor its worker lives, and it told no end (a power cut?)"

DELETED = "deleted: the run's folder is gone"


def run(asked: argparse.Namespace) -> int:
    """Show a run or a comparison that is there already."""
    folder = find_run_or_comparison(asked.run)
    if isinstance(folder, ComparisonFolder):
        from pegbox.comparison_watch import show_comparison

        return show_comparison(folder, json=asked.json, plain=asked.plain)
    return show(folder, json=asked.json, plain=asked.plain)


def show(folder: RunFolder, *, json: bool, plain: bool, leave_at_end: bool = False, after: int = 0) -> int:
    """Show a run until it ends or the viewer leaves. Returns: 1 if it failed, was lost or was deleted, else 0.

    `after`: lines and JSON leave out what the log numbers up to that.
    """
    return seen(folder, json=json, plain=plain, leave_at_end=leave_at_end, after=after).code


class Seen(NamedTuple):
    """What came of watching."""

    code: int
    """1 if the run failed, was lost or was deleted."""
    left: bool
    """Whether the viewer left a run that goes on."""


def seen(folder: RunFolder, *, json: bool, plain: bool, leave_at_end: bool = False, after: int = 0) -> Seen:
    """Show a run as `show` does."""
    goes_on = f"The run goes on. `pegbox watch {folder.id}` shows it, `pegbox stop {folder.id}` ends it."
    try:
        if json:
            state = _as_json(folder, after)
        elif plain or not can_draw():
            state = _as_lines(folder, after)
        else:
            state = _as_screen(folder, leave_at_end=leave_at_end)
            if is_carried(state):
                say(goes_on)
    except KeyboardInterrupt:
        say(f"\n{goes_on}", json=json)
        return Seen(0, left=True)
    hint = how_to_go_on(folder.id, state)
    if hint is not None:
        say(hint, json=json)
    failed = state.deleted or state.status in {"failed", "lost"}
    return Seen(1 if failed else 0, left=is_carried(state))


def is_carried(state: RunState) -> bool:
    """Tell whether a run goes on, for all that was seen of it."""
    return not (state.over or state.deleted or state.status == "lost")


def _as_screen(folder: RunFolder, *, leave_at_end: bool) -> RunState:
    """Open the dashboard, and leave its last words on the terminal."""
    from pegbox_tui.app import watch
    from pegbox_tui.shell.look import Look

    state = watch(folder, leave_at_end=leave_at_end, look=Look.here())
    for line in lines(state.ended, state) if state.ended else ():
        say(line)
    _say_loss(state)
    return state


def _say_loss(state: RunState) -> None:
    if state.deleted:
        say(DELETED)
    elif state.status == "lost":
        say(LOST)


def _as_json(folder: RunFolder, after: int) -> RunState:
    """Repeat the event log, one JSON line an event; a damaged line is told in its place."""
    state = RunState()
    for advance in follow(folder):
        state = advance.state
        for event in advance.news:
            if isinstance(event, BadLine):
                answer_json({"event": "bad-line", **msgspec.structs.asdict(event)})
            elif event.seq > after:
                answer_json(event)
    if state.deleted or state.status == "lost":
        answer_json({"event": "deleted" if state.deleted else "lost"})
    return state


def _as_lines(folder: RunFolder, after: int) -> RunState:
    state = RunState()
    for advance in follow(folder):
        for event in advance.news:
            state = state.after(event)
            for line in lines(event, state) if isinstance(event, BadLine) or event.seq > after else ():
                say(line)
        state = advance.state
    _say_loss(state)
    return state
