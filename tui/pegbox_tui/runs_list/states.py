"""The states of a run: a sign and a color beside the word, and what each means."""

from __future__ import annotations

from typing import NamedTuple

from pegbox_runs.listing import ListedStatus


class State(NamedTuple):
    """How a state is told. The word is the status itself."""

    sign: str
    color: str
    """A name of ANSI's: the terminal's theme decides what it looks like. Empty: as other text."""
    meaning: str


STATES: dict[ListedStatus, State] = {
    "running": State("●", "cyan", "A worker trains it now, wherever it was started from. Closing terminals is safe."),
    "restarting": State(
        "→", "cyan", "Its worker died, and the supervisor starts another one, from the last good checkpoint."
    ),
    "paused": State(
        "○", "yellow", "It waits at the end of a step until somebody resumes it. It may hold its memory meanwhile."
    ),
    "queued": State("…", "cyan", "Its supervisor carries another run first; this one's turn comes by itself."),
    "new": State("·", "", "Its folder is made, and a supervisor is about to take it: some seconds at most."),
    "reading": State("…", "", "Its log is long and is still being read; the figures are of the part read so far."),
    "lost": State(
        "?",
        "red",
        "It told no end, and neither its supervisor nor its worker lives: a power cut, or both were killed. It can be "
        "continued from its last checkpoint.",
    ),
    "failed": State("✗", "red", "It couldn't go on by itself. Below the list stands why."),
    "damaged": State("!", "red", "Its folder lacks what a run has, or can't be read. Below the list stands what."),
    "stopped": State(
        "━", "yellow", "Somebody stopped it before its last step. Its adapter was saved; it can be continued."
    ),
    "aborted": State(
        "×", "yellow", "Somebody ended it at once. What it did since its last checkpoint is lost; it can be continued."
    ),
    "finished": State("✓", "green", "It took all its steps. The adapter holds the best weights that were evaluated."),
}
"""In the order of a list that is sorted by state: what goes on first, then what went wrong."""

PLACES = {status: place for place, status in enumerate(STATES)}
