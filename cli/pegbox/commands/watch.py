"""pegbox watch RUN"""

from __future__ import annotations

import argparse
import sys
from typing import NamedTuple

import msgspec

from pegbox.answer import answer_json, say
from pegbox.plain_view import lines
from pegbox_runs.event_log import BadLine
from pegbox_runs.run_folder import RunFolder, find
from pegbox_runs.run_state import RunState
from pegbox_runs.timeline import how_to_go_on
from pegbox_runs.viewing import follow

LOST = "lost: neither the run's supervisor nor its worker lives, and it told no end (a power cut?)"


def run(asked: argparse.Namespace) -> int:
    """Show a run that is there already."""
    return show(find(asked.run), json=asked.json, plain=asked.plain)


def show(folder: RunFolder, *, json: bool, plain: bool, leave_at_end: bool = False, after: int = 0) -> int:
    """Show a run until it ends or the viewer leaves. Returns: 1 if it failed or was lost, else 0.

    `after`: lines and JSON leave out what the log numbers up to that.
    """
    return seen(folder, json=json, plain=plain, leave_at_end=leave_at_end, after=after).code


class Seen(NamedTuple):
    """What came of watching."""

    code: int
    """1 if the run failed or was lost."""
    left: bool
    """Whether the viewer left a run that goes on."""


def seen(folder: RunFolder, *, json: bool, plain: bool, leave_at_end: bool = False, after: int = 0) -> Seen:
    """Show a run as `show` does."""
    goes_on = f"The run goes on. `pegbox watch {folder.id}` shows it, `pegbox stop {folder.id}` ends it."
    try:
        if json:
            state = _as_json(folder, after)
        elif plain or not _is_terminal():
            state = _as_lines(folder, after)
        else:
            state = _as_screen(folder, leave_at_end=leave_at_end)
            if not state.over and state.status != "lost":
                say(goes_on)
    except KeyboardInterrupt:
        say(f"\n{goes_on}", json=json)
        return Seen(0, left=True)
    hint = how_to_go_on(folder.id, state)
    if hint is not None:
        say(hint, json=json)
    failed = state.status in {"failed", "lost"}
    return Seen(1 if failed else 0, left=not (failed or state.over))


def _is_terminal() -> bool:
    """Tell whether a person sits at both ends; a closed stream is None."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))


def _as_screen(folder: RunFolder, *, leave_at_end: bool) -> RunState:
    """Open the dashboard, and leave its last words on the terminal."""
    from pegbox_tui.app import watch

    state = watch(folder, leave_at_end=leave_at_end)
    for line in lines(state.ended, state) if state.ended else ():
        say(line)
    if state.status == "lost":
        say(LOST)
    return state


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
    if state.status == "lost":
        answer_json({"event": "lost"})
    return state


def _as_lines(folder: RunFolder, after: int) -> RunState:
    state = RunState()
    for advance in follow(folder):
        for event in advance.news:
            state = state.after(event)
            for line in lines(event, state) if isinstance(event, BadLine) or event.seq > after else ():
                say(line)
        state = advance.state
    if state.status == "lost":
        say(LOST)
    return state
