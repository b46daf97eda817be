"""Asking a comparison for something: what is done, and what is said to that."""

from __future__ import annotations

import threading

from pegbox_methods.refusal import Refusal
from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.asking import ask

ANSWER_SECONDS = 60.0
"""How long a command is looked after: sent again where another was written over it."""


def stopped(folder: ComparisonFolder, left: threading.Event) -> str | None:
    """Ask it to stop, and wait. Returns: what came of it, for people; None: nobody waits for it any more."""
    try:
        answer = ask(folder, "stop", ANSWER_SECONDS, left)
    except OSError as error:
        return f"stop: the command could not be written: {error.strerror}"
    if answer is not None:
        return f"stop{'' if answer.taken else ' refused'}: {answer.text}"
    return None if left.is_set() else "stop: no answer yet; the comparison reads it when it can"


def continued(folder: ComparisonFolder) -> str:
    """Start a director on it. Returns: what came of it, for people. Takes seconds."""
    from pegbox_runs.arena.directing.start import continue_director  # starts processes, which looking doesn't

    try:
        continue_director(folder)
    except Refusal as refusal:
        return refusal.sentence
    except OSError as error:
        return f"continue: it can't be done: {error.strerror or error}"
    return "continue: the comparison goes on"
