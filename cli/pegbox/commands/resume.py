"""pegbox resume RUN"""

from __future__ import annotations

import argparse

from pegbox.answer import answer_json, say
from pegbox.command_answer import carried, tell_answer
from pegbox.commands.watch import show
from pegbox.run_or_comparison import find_run_or_comparison
from pegbox_methods.refusal import Refusal
from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.continuing import continue_run
from pegbox_runs.run_state import RunState
from pegbox_runs.supervision.owner import read_owner
from pegbox_runs.viewing import state_of


def run(asked: argparse.Namespace) -> int:
    """Let a paused run or comparison go on; continue one that has ended, and watch it unless told not to."""
    folder = find_run_or_comparison(asked.run)
    state = state_of(folder)
    changed = asked.epochs is not None or asked.max_steps is not None or bool(asked.set)
    if isinstance(folder, ComparisonFolder):
        return _resume_comparison(folder, state, asked, changed=changed)
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


def _resume_comparison(folder: ComparisonFolder, state: RunState, asked: argparse.Namespace, *, changed: bool) -> int:
    """Let a paused comparison go on; start a director for one that nobody carries."""
    if changed:
        raise Refusal(
            f"{folder.id} is a comparison, whose trainings must stay alike: leave --epochs, --max-steps and --set out. "
            "`pegbox compare RECIPE` starts another."
        )
    if carried(state):
        return tell_answer(folder, state, "resume", seconds=asked.wait, json=asked.json)
    from pegbox.comparison_watch import goes_on, show_comparison, tell_end
    from pegbox_runs.arena.directing.start import continue_director
    from pegbox_runs.arena.outcomes import read_outcomes
    from pegbox_runs.arena.results import read_results
    from pegbox_runs.arena.schedule import is_over
    from pegbox_runs.arena.spec import read_comparison

    comparison = read_comparison(folder)
    outcomes = read_outcomes(folder, comparison)
    all_failed = state.status == "failed" and outcomes and all(one.state == "failed" for one in outcomes.values())
    if (state.status == "finished" or all_failed) and is_over(comparison, outcomes):
        if read_results(folder) is None:
            from pegbox_runs.arena.directing.records import records_anew  # brings numpy

            if records_anew(folder) is not None:
                say(f"{folder.results} was made anew from the trainings.", json=asked.json)
                return tell_end(folder, state, json=asked.json)
        raise Refusal(
            f"{folder.id} is complete: nothing is left to run. `pegbox compare {folder.id}` with --add METHODS adds "
            "methods, with --retry it runs again what failed."
        )
    if remark := continue_director(folder):
        say(remark, json=asked.json)
    if not asked.detach:
        return show_comparison(folder, json=asked.json, plain=asked.plain, leave_at_end=True, past=False)
    if asked.json:
        answer_json({"comparison": folder.id, "folder": str(folder.path)})
    say(goes_on(folder), json=asked.json)
    return 0
