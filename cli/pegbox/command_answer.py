"""Asking a run or a comparison for something by a command of the command line, and telling what it says."""

from __future__ import annotations

import argparse

import msgspec

from pegbox.answer import answer_json, say
from pegbox.run_or_comparison import find_run_or_comparison, how_it_goes_on, kind_of
from pegbox_methods.events import CommandAnswer
from pegbox_runs.asking import ask
from pegbox_runs.commands import CommandName
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_state import RunState
from pegbox_runs.supervision.owner import owned_already, read_owner
from pegbox_runs.viewing import state_of


def ask_run(asked: argparse.Namespace, name: CommandName) -> int:
    """Ask a run or a comparison that is carried, and wait for its answer. Returns: 0 if it will be done, 1 if not."""
    folder = find_run_or_comparison(asked.run)
    state = state_of(folder)
    if not carried(state):
        _tell(folder, state, None, json=asked.json)
        say(f"{folder.id} isn't running: it is {state.status}.", json=asked.json)
        return 1
    return tell_answer(folder, state, name, seconds=asked.wait, json=asked.json)


def tell_answer(folder: RunFolder, state: RunState, name: CommandName, *, seconds: float, json: bool) -> int:
    """Ask, wait and tell. `state` is what the run was in before."""
    try:
        answer = ask(folder, name, seconds)
    except OSError as error:
        say(
            f"{folder.commands}: the command can't be written: {error.strerror}. Make room, or the file writable, and "
            f"try again; the signal TERM to its supervisor{_pid(folder)} stops it too.",
            json=json,
        )
        return 1
    _tell(folder, state, answer, json=json)
    if answer is None:
        now = state_of(folder)
        waiting = f"{folder.id} has not answered within {seconds:g} s; it will read the command when it can."
        ended = f"{folder.id} ended by itself first: it is {now.status}. {how_it_goes_on(folder, now) or ''}".rstrip()
        say(waiting if carried(now) else ended, json=json)
        owner = read_owner(folder)
        if owner is not None and owner.elsewhere:
            say(owned_already(folder, owner).sentence, json=json)
        return 1
    said = answer.text if answer.taken else f"no: {answer.text}"
    say(f"{folder.id}: {said} ({answer.latency:.1f} s).", json=json)
    return 0 if answer.taken else 1


def _pid(folder: RunFolder) -> str:
    owner = read_owner(folder)
    return f" (process {owner.pid})" if owner is not None and not owner.elsewhere else ""


def carried(state: RunState) -> bool:
    """Tell whether somebody hears the run's commands."""
    return not state.over and state.status != "lost"


def _tell(folder: RunFolder, state: RunState, answer: CommandAnswer | None, *, json: bool) -> None:
    if json:
        told = answer and msgspec.to_builtins(answer)
        answer_json({kind_of(folder): folder.id, "status": state.status, "answer": told})
