"""A budget of seconds, spent: how long the trainings that count are, and with how many seeds it ends."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from pegbox_methods.events import Notice
from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.arena.directing.pacing import pace, seconds_left, seconds_needed, seeds_that_fit
from pegbox_runs.arena.entries import Entry
from pegbox_runs.arena.schedule import Outcomes
from pegbox_runs.arena.spec import Comparison, write_paced


class Purse:
    """Decides by the pace so far, and keeps what it decided."""

    def __init__(self, folder: ComparisonFolder, tell: Callable[[Notice], None]) -> None:
        self._folder = folder
        self._tell = tell
        self._rounds: set[int] = set()
        """Seeds that were let in: their rounds have begun, or begin just now."""

    def set_pace(self, comparison: Comparison, outcomes: Outcomes) -> None:
        """Decide how many steps each training that counts takes, once all tries are over. Raises: OSError."""
        places = comparison.asked.places
        paced = pace(comparison, outcomes, places)
        needed = seconds_needed(comparison, outcomes, places, paced.steps)
        left = seconds_left(comparison, outcomes, places)
        write_paced(paced, self._folder)
        if needed > left:
            text = (
                f"the budget is likely to be passed: {max(left, 0.0):.0f} s of it are left, and with {paced.steps} "
                f"steps, the least that say anything, all trainings together take about {needed:.0f} s"
            )
            self._tell(Notice(text=text, about="budget"))

    def cut(self, entry: Entry, comparison: Comparison, outcomes: Outcomes) -> bool:
        """Leave out the seeds that the budget doesn't pay for, where `entry` would be the first with one of them.

        Returns: whether there are such, and `entry` among them. Raises: OSError.
        """
        if entry.rung is not None or entry.seed in self._rounds:
            return False
        paced, places = comparison.paced, comparison.asked.places
        seeds = seeds_that_fit(comparison, outcomes, places, entry)
        if seeds is None or paced is None:
            self._rounds.add(entry.seed)
            return False
        write_paced(msgspec.structs.replace(paced, seeds=seeds), self._folder)
        text = (
            f"what is left of the budget isn't enough to train every contestant with one more seed, so it ends with "
            f"{seeds} of the {len(comparison.asked.seeds)} seeds"
        )
        self._tell(Notice(text=text, about="budget"))
        return True
