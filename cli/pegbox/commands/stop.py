"""pegbox stop RUN"""

from __future__ import annotations

import argparse
import threading

import msgspec

from pegbox.answer import answer_json, say
from pegbox_methods.events import CommandAnswer
from pegbox_runs.commands import send
from pegbox_runs.run_folder import RunFolder, find
from pegbox_runs.viewing import follow, state_of


def run(asked: argparse.Namespace) -> int:
    """Ask a run to stop, and wait for its answer."""
    folder = find(asked.run)
    state = state_of(folder)
    if state.over or state.status == "lost":
        if asked.json:
            answer_json({"run": folder.id, "status": state.status, "answer": None})
        say(f"{folder.id} isn't running: it is {state.status}.", json=asked.json)
        return 1
    answer = _answer(folder, asked.wait)
    if asked.json:
        answer_json({"run": folder.id, "status": state.status, "answer": answer and msgspec.to_builtins(answer)})
    if answer is None:
        now = state_of(folder).status
        waiting = f"{folder.id} has not answered within {asked.wait:g} s; it will read the command when it can."
        say(waiting if now == "running" else f"{folder.id} ended by itself first: it is {now}.", json=asked.json)
        return 1
    say(f"{folder.id}: {answer.text} ({answer.latency:.1f} s).", json=asked.json)
    return 0 if answer.taken else 1


def _answer(folder: RunFolder, seconds: float) -> CommandAnswer | None:
    command = send(folder.commands, "stop")
    left = threading.Event()
    timer = threading.Timer(seconds, left.set)
    timer.daemon = True
    timer.start()
    for advance in follow(folder, left):
        for event in advance.news:
            if isinstance(event, CommandAnswer) and event.id == command.id:
                return event
    return None
