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


def show(folder: RunFolder, *, json: bool, plain: bool) -> int:
    """Show a run until it ends or the viewer leaves. Returns: 1 if it failed or was lost, else 0."""
    try:
        if json:
            state = _as_json(folder)
        elif plain or not (sys.stdin.isatty() and sys.stdout.isatty()):
            state = _as_lines(folder)
        else:
            from pegbox_tui.app import watch

            state = watch(folder)
    except KeyboardInterrupt:
        say(f"\nThe run goes on. `pegbox watch {folder.id}` shows it, `pegbox stop {folder.id}` ends it.", json=json)
        return 0
    return 1 if state.status in {"failed", "lost"} else 0


def _as_json(folder: RunFolder) -> RunState:
    """Repeat the event log, one JSON line an event; a damaged line is told in its place."""
    state = RunState()
    for news, state in follow(folder):
        for event in news:
            if isinstance(event, BadLine):
                answer_json({"event": "bad-line", **msgspec.structs.asdict(event)})
            else:
                answer_json(event)
    return state


def _as_lines(folder: RunFolder) -> RunState:
    state = RunState()
    for news, now in follow(folder):
        for event in news:
            state = state.after(event)
            for line in lines(event, state):
                say(line)
        state = now
    if state.status == "lost":
        say("lost: neither the run's supervisor nor its worker lives, and it told no end (a power cut?)")
    return state
