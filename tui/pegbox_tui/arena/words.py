"""What the arena says above its panes, as text without markup: names may hold anything."""

from __future__ import annotations

from collections.abc import Iterator

from pegbox_runs.arena.watching.watch import EntryNow, Watched
from pegbox_runs.figures import duration
from pegbox_runs.printable import one_line
from pegbox_tui.arena.columns import STEPPING
from pegbox_tui.arena.figures import rate
from pegbox_tui.shell.clock import clock
from pegbox_tui.shell.progress_bar import bar

SHORT_BAR_CELLS = 6
NARROW = 100


def headline(watched: Watched) -> str:
    """Name what the comparison is doing, of what, on what, and by which plan."""
    said = [doing(watched)]
    comparison = watched.comparison
    if comparison is None:
        return " · ".join([*said, one_line(watched.fault, 300) or "reading", one_line(watched.id, 60)])
    asked = comparison.asked
    recipe = comparison.recipes[asked.contestants[0]]
    said.append(f"{len(asked.contestants)} ways on {_last_part(recipe.model.name)}")
    said.append(_last_part(recipe.rows.file or "mixed rows"))
    said.append(f"{len(comparison.seeds)} seed{'' if len(comparison.seeds) == 1 else 's'}")
    said.append("pace isn't known yet" if comparison.steps is None else f"{comparison.steps:,} steps")
    said.append("rates searched" if asked.search else "rates as given")
    if asked.budget_seconds is not None:
        said.append(f"budget {duration(asked.budget_seconds)}")
    elif asked.budget_steps is not None:
        said.append(f"budget {asked.budget_steps:,} steps")
    said.append(one_line(watched.id, 60))
    return " · ".join(said)


def doing(watched: Watched) -> str:
    """Say in a word or two what the comparison is at."""
    state = watched.state
    if state.deleted:
        return "deleted"
    if state.status == "running":
        return "running"
    if state.status == "paused" and any(one.state == "running" and one.doing != "paused" for one in _entries(watched)):
        return "pausing"
    return {"new": "starting", "finished": "finished"}.get(state.status, state.status)


def progress(watched: Watched, width: int, now: float) -> str:
    """Tell how many entries are done, which run, and how long the rest will take."""
    if watched.comparison is None:
        return "what was asked for can't be read" if watched.fault else "reading"
    if watched.share < 1.0:
        return f"{bar(watched.share)} reading the entries, {100 * watched.share:.0f} %"
    cells = SHORT_BAR_CELLS if width < NARROW else 14
    share = watched.done / max(1, watched.entries)
    said = [f"{bar(share, cells)} {watched.done}/{watched.entries} entries"]
    left = watched.left
    if left is not None:
        span = duration(left.likely) if width < NARROW else f"{duration(left.low)} to {duration(left.high)}"
        # Until an entry has ended nobody knows how long judging takes, and when all is over.
        known = any(one.state == "done" for one in _entries(watched))
        said.append(f"{span} left, until {clock(now + left.likely, now)}" if known else f"{span} and judging left")
    for one in watched.contestants:
        running = one.running
        if running is not None:
            entry = running.entry
            what = f"seed {entry.seed}" if entry.rung is None else f"try {rate(entry.rate)}"
            at = f"{running.steps_done:,}/{entry.steps:,}"
            if running.doing not in STEPPING:
                at = running.doing  # its steps stand still meanwhile
            elif width >= NARROW:
                at = f"{running.doing} {at}"
            said.append(f"{one.name} {what}, {at}")
    state = watched.state
    if watched.over and state.first_time:
        said.append(f"{duration(state.last_time - state.first_time)} since its start")
    return " · ".join(said)


def _entries(watched: Watched) -> Iterator[EntryNow]:
    for one in watched.contestants:
        yield from (*one.finals, *one.trials)


def _last_part(name: str) -> str:
    return one_line(name.rstrip("/").rpartition("/")[2] or "/", 40)
