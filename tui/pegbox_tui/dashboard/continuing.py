"""Continuing a run that is over from its dashboard."""

from __future__ import annotations

from pegbox_methods.refusal import Refusal
from pegbox_runs.run_folder import RunFolder


def continued(folder: RunFolder) -> str:
    """Start a supervisor on the run. Returns: what came of it, for people; it may hold anything. Takes seconds."""
    from pegbox_runs.continuing import continue_run  # starts processes, which looking doesn't

    try:
        continue_run(folder)
    except Refusal as refusal:
        return refusal.sentence
    except OSError as error:
        return f"continue: it can't be done: {error.strerror or error}"
    return "continue: the run goes on"
