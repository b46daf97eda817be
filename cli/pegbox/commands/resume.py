"""pegbox resume RUN"""

from __future__ import annotations

import argparse

from pegbox.answer import answer_json, say
from pegbox.command_answer import carried, tell_answer
from pegbox.commands.watch import show
from pegbox_methods.refusal import Refusal
from pegbox_runs.continuing import continue_run
from pegbox_runs.run_folder import find
from pegbox_runs.supervision.owner import read_owner
from pegbox_runs.viewing import state_of


def run(asked: argparse.Namespace) -> int:
    """Let a paused run go on; continue one that has ended, and watch it unless told not to."""
    folder = find(asked.run)
    state = state_of(folder)
    changed = asked.epochs is not None or asked.max_steps is not None or bool(asked.set)
    if carried(state):
        owner = read_owner(folder)
        elsewhere = owner is not None and owner.elsewhere
        if changed and not elsewhere:
            raise Refusal(
                f"{folder.id} is {state.status}, and its settings can't be changed on the way. "
                f"`pegbox stop {folder.id}` ends it; then continue it with others."
            )
        if not changed:
            return tell_answer(folder, state, "resume", seconds=asked.wait, json=asked.json)
    continue_run(folder, epochs=asked.epochs, max_steps=asked.max_steps, sets=asked.set)
    if not asked.detach:
        return show(folder, json=asked.json, plain=asked.plain, leave_at_end=True, after=state.last_seq)
    if asked.json:
        answer_json({"run": folder.id, "folder": str(folder.path)})
    say(f"{folder.id} goes on. `pegbox watch {folder.id}` shows it.", json=asked.json)
    return 0
