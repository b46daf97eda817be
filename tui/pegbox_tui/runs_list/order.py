"""Which runs are shown, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple, get_args

from pegbox_runs.listing import ListedRun
from pegbox_tui.runs_list.states import PLACES

SortName = Literal["newest", "state", "loss", "method", "model"]
SORTS: tuple[SortName, ...] = get_args(SortName)
IN_WORDS: dict[SortName, str] = {
    "newest": "newest first",
    "state": "by state",
    "loss": "lowest evaluation loss first",
    "method": "by method",
    "model": "by model",
}
SORTED_COLUMN: dict[SortName, str] = {
    "newest": "started",
    "state": "state",
    "loss": "loss",
    "method": "method",
    "model": "model",
}
KEYS: dict[SortName, Callable[[ListedRun], Any]] = {
    "newest": lambda _: 0,
    "state": lambda run: PLACES[run.status],
    "loss": lambda run: (run.best_loss is None, run.best_loss or 0.0),
    "method": lambda run: (run.method is None, (run.method or "").casefold()),
    "model": lambda run: (run.model is None, (run.model or "").rstrip("/").rpartition("/")[2].casefold()),
}


class View(NamedTuple):
    """How a person looks at the list; kept while a run of it is open."""

    sort: SortName = "newest"
    words: str = ""
    """All of them must be found in a run."""
    only_running: bool = False
    chosen: str | None = None
    """Id of the run under the cursor."""


def shown(runs: Iterable[ListedRun], view: View) -> list[ListedRun]:
    """Pick and sort. `runs` come newest first, and stay so among equals."""
    words = view.words.casefold().split()
    picked = [run for run in runs if (run.carried or not view.only_running) and (not words or _has(run, words))]
    return sorted(picked, key=KEYS[view.sort])


def _has(run: ListedRun, words: list[str]) -> bool:
    told = (run.id, run.status, run.method, run.model, run.rows, run.note)
    text = "\n".join(part for part in told if part).casefold()
    return all(word in text for word in words)
