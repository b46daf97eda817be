"""Asking a run for something from the list: what is asked before, what is done, what it says."""

from __future__ import annotations

import threading
from typing import Literal, NamedTuple

from pegbox_methods.refusal import Refusal
from pegbox_runs.asking import ask
from pegbox_runs.listing import ListedRun
from pegbox_runs.printable import one_line
from pegbox_runs.run_folder import RunFolder
from pegbox_tui.runs_list.messages import RunAnswered

ANSWER_SECONDS = 60.0
"""How long a command is looked after: sent again where another was written over it."""
CONTINUED = {"stopped", "aborted", "failed", "lost"}

Wish = Literal["stop", "pause", "resume", "continue"]
"""All but the first come to what the run is ready for: one key is for them."""


class Errand(NamedTuple):
    """What is to be done once a person is sure."""

    what: Literal["stop", "pause", "resume", "continue"]
    question: str


def errand(run: ListedRun, wish: Wish) -> Errand | str:
    """Find what a wish comes to with this run, or say why it comes to nothing."""
    name = one_line(run.id, 100)
    if wish == "stop":
        if not run.carried:
            return f"It isn't running: it is {run.status}."
        return Errand("stop", f"Stop {name}? It finishes its step, saves its adapter, and ends.")
    if run.status == "paused":
        return Errand("resume", f"Let {name} go on?")
    if run.carried:
        return Errand(
            "pause", f"Pause {name}? It waits at the end of its step, and keeps its memory, until it is resumed."
        )
    if run.status in CONTINUED:
        return Errand("continue", f"Continue {name} from its last good checkpoint?")
    return f"It is {run.status}: there is nothing to pause or to continue."


def works(run: ListedRun, action: str) -> bool:
    """Tell whether an action does something with a run now."""
    if action == "delete":
        return not run.carried
    found = errand(run, "stop" if action == "stop" else "pause")
    return isinstance(found, Errand) and found.what == action


def run_errand(folder: RunFolder, what: Errand, left: threading.Event) -> RunAnswered | None:
    """Do it, and wait for what the run says. Returns: None: nobody waits for it any more."""
    if what.what == "continue":
        return _continue(folder)
    try:
        answer = ask(folder, what.what, ANSWER_SECONDS, left)
    except OSError as error:
        return RunAnswered(f"{folder.id}: the command can't be written: {error.strerror}.", "error")
    if answer is not None:
        return RunAnswered(f"{folder.id}: {answer.text}", "information" if answer.taken else "warning")
    if left.is_set():
        return None
    return RunAnswered(f"{folder.id}: no answer to {what.what} yet; the run reads it when it can.", "warning")


def _continue(folder: RunFolder) -> RunAnswered:
    from pegbox_runs.continuing import continue_run  # starts processes, which looking doesn't

    try:
        continue_run(folder)
    except Refusal as refusal:
        return RunAnswered(refusal.sentence, "warning")
    except OSError as error:
        return RunAnswered(f"{folder.id}: it can't be continued: {error.strerror or error}.", "error")
    return RunAnswered(f"{folder.id} goes on.")
