"""pegbox watch RUN"""

from __future__ import annotations

import argparse
import sys

import msgspec

from pegbox.answer import answer_json, say
from pegbox.plain_view import lines
from pegbox_runs.event_log import BadLine
from pegbox_runs.run_folder import RunFolder, find
from pegbox_runs.run_state import RunState
from pegbox_runs.viewing import follow


def run(asked: argparse.Namespace) -> int:
    """Show a run that is there already."""
    return show(find(asked.run), json=asked.json, plain=asked.plain)


def show(folder: RunFolder, *, json: bool, plain: bool, leave_at_end: bool = False) -> int:
    """Show a run until it ends or the viewer leaves. Returns: 1 if it failed or was lost, else 0."""
    goes_on = f"The run goes on. `pegbox watch {folder.id}` shows it, `pegbox stop {folder.id}` ends it."
    try:
        if json:
            state = _as_json(folder)
        elif plain or not _is_terminal():
            state = _as_lines(folder)
        else:
            state = _as_screen(folder, leave_at_end=leave_at_end)
            if state.status == "running":
                say(goes_on)
    except KeyboardInterrupt:
        say(f"\n{goes_on}", json=json)
        return 0
    return 1 if state.status in {"failed", "lost"} else 0


def _is_terminal() -> bool:
    """Tell whether a person sits at both ends; a closed stream is None."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))


def _as_screen(folder: RunFolder, *, leave_at_end: bool) -> RunState:
    """Open the dashboard, and leave its last words on the terminal."""
    from pegbox_tui.app import watch

    state = watch(folder, leave_at_end=leave_at_end)
    for line in lines(state.ended, state) if state.ended else ():
        say(line)
    return state


def _as_json(folder: RunFolder) -> RunState:
    """Repeat the event log, one JSON line an event; a damaged line is told in its place."""
    state = RunState()
    for advance in follow(folder):
        state = advance.state
        for event in advance.news:
            if isinstance(event, BadLine):
                answer_json({"event": "bad-line", **msgspec.structs.asdict(event)})
            else:
                answer_json(event)
    if state.status == "lost":
        answer_json({"event": "lost"})
    return state


def _as_lines(folder: RunFolder) -> RunState:
    state = RunState()
    for advance in follow(folder):
        for event in advance.news:
            state = state.after(event)
            for line in lines(event, state):
                say(line)
        state = advance.state
    if state.status == "lost":
        say("lost: neither the run's supervisor nor its worker lives, and it told no end (a power cut?)")
    return state
