"""Watching a comparison from the command line: on its screen, as plain lines, or as lines of JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from pegbox.answer import answer_json, say
from pegbox.comparison_view import begun, ended, show_results
from pegbox.run_or_comparison import how_it_goes_on
from pegbox.terminal import can_draw
from pegbox_methods.events import AnyEvent, Failed, Finished, Started
from pegbox_methods.refusal import Refusal
from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.arena.outcomes import read_outcomes
from pegbox_runs.arena.results import Results, read_results
from pegbox_runs.arena.schedule import due, takes_out
from pegbox_runs.arena.spec import read_comparison
from pegbox_runs.arena.watching.entry_watching import EntryNow
from pegbox_runs.arena.watching.watch import Watched, follow_comparison
from pegbox_runs.event_log import BadLine, EventReader
from pegbox_runs.judging.judged import JUDGED
from pegbox_runs.run_state import RunState
from pegbox_runs.timeline import sentence
from pegbox_runs.viewing import is_deleted, state_of

LOST = "lost: nobody carries the comparison any more, and it told no end (a power cut?)"
DELETED = "deleted: the comparison's folder is gone"

TOLD = (
    *("state", "why", "diverged", "out_of_memory", "changed"),
    *("device_peak", "process_peak", "training_seconds", "wall_seconds"),
)
"""Of what became of an entry, in JSON; results.json has the rest."""

News = AnyEvent | BadLine | EntryNow


def show_comparison(
    folder: ComparisonFolder, *, json: bool, plain: bool, leave_at_end: bool = False, past: bool = True
) -> int:
    """Show a comparison until it ends or the viewer leaves, then what it has come to.

    `past`: lines and JSON also tell what has happened before. Returns: 1 if it failed, was lost or deleted, or ended
    without anything that can be compared, else 0.
    """
    try:
        if json:
            state = _as_json(folder, past=past)
        elif plain or not can_draw():
            state = _as_lines(folder, past=past)
        else:
            state = _as_screen(folder, leave_at_end=leave_at_end)
    except KeyboardInterrupt:
        say(f"\n{goes_on(folder)}", json=json)
        return 0
    return tell_end(folder, state, json=json)


def tell_end(folder: ComparisonFolder, state: RunState, *, json: bool) -> int:
    """Tell what a comparison has come to, and how it goes on. Returns: as `show_comparison`."""
    results = read_results(folder)
    for fault in _faults(folder, results):
        say(fault, json=json)
    if json:
        answer_json(_last_word(folder, state, results))
    else:
        for line in _end_lines(state, results, readable=results_fault(folder, results) is None):
            say(line)
        if results is not None:
            show_results(results, folder)
    carried = not (state.over or state.deleted or state.status == "lost")
    hint = goes_on(folder) if carried else _retry(folder, state) or how_it_goes_on(folder, state)
    if hint is not None:
        say(hint, json=json)
    if carried or state.status in {"stopped", "aborted"}:
        return 0
    return 0 if state.status == "finished" and has_verdict(results) else 1


def _retry(folder: ComparisonFolder, state: RunState) -> str | None:
    """Say how what failed is run again; None: nothing failed that could be, or the rest is to be run first."""
    if state.deleted or state.status not in {"finished", "failed"}:
        return None
    try:
        comparison = read_comparison(folder)
    except Refusal:
        return None  # which is told
    outcomes = read_outcomes(folder, comparison)
    if due(comparison, outcomes) or not any(map(takes_out, outcomes.values())):
        return None
    return f"`pegbox compare {folder.id} --retry` runs again what failed, once its cause is mended."


def _faults(folder: ComparisonFolder, results: Results | None) -> Iterator[str]:
    """Say which of a comparison's records can't be read."""
    if is_deleted(folder):
        return
    try:
        read_comparison(folder)
    except Refusal as refusal:
        yield refusal.sentence
    fault = results_fault(folder, results)
    if fault is not None:
        yield fault


def results_fault(folder: ComparisonFolder, results: Results | None) -> str | None:
    """Say that what was found can't be read, though it must be there; None: it can, or nothing is found yet."""
    if results is not None or is_deleted(folder):
        return None
    anew = f"`pegbox compare {folder.id} --report` makes it anew from the trainings."
    if folder.results.exists():
        return f"{folder.results}: can't be read, or is of another version of Pegbox. {anew}"
    if any(folder.entries.glob(f"*/{JUDGED}")) and state_of(folder).over:
        return f"{folder.results}: isn't there, though trainings are done. {anew}"
    return None


def has_verdict(results: Results | None) -> bool:
    """Tell whether something can be said of one contestant at least."""
    return results is not None and any(one.loss is not None for one in results.contestants)


def goes_on(folder: ComparisonFolder) -> str:
    """Say how to come back to a comparison that goes on."""
    return f"The comparison goes on. `pegbox compare {folder.id}` shows it, `pegbox stop {folder.id}` ends it."


def _last_word(folder: ComparisonFolder, state: RunState, results: Results | None) -> Any:
    if results is not None:
        return results
    fault = results_fault(folder, results)
    return {
        "comparison": folder.id, "complete": False, "status": state.status, "results": None, "results_fault": fault,
    }  # fmt: skip


def _end_lines(state: RunState, results: Results | None, *, readable: bool) -> Iterator[str]:
    if state.deleted:
        yield DELETED
    elif state.status == "lost":
        yield LOST
    elif isinstance(state.ended, Failed):
        yield sentence(state.ended) or ""
    elif isinstance(state.ended, Finished) and state.ended.reason != "completed":
        yield f"{state.ended.reason} after {state.ended.steps} training{'s' if state.ended.steps != 1 else ''}"
    elif state.over and readable and not has_verdict(results):
        yield "no contestant came to a loss, so there is nothing to compare"


def _as_screen(folder: ComparisonFolder, *, leave_at_end: bool) -> RunState:
    """Open the screen; its last words are told by `tell_end`."""
    from pegbox_tui.arena.app import watch_comparison
    from pegbox_tui.shell.look import Look

    return watch_comparison(folder, leave_at_end=leave_at_end, look=Look.here()).state


def _as_json(folder: ComparisonFolder, *, past: bool) -> RunState:
    state = RunState()
    for news, watched, _ in _news(folder, past=past):
        state = watched.state
        if news is not None:
            answer_json(_record(news))
    if state.deleted or state.status == "lost":
        answer_json({"event": "deleted" if state.deleted else "lost"})
    return state


def _record(news: News) -> Any:
    if isinstance(news, BadLine):
        return {"event": "bad-line", **msgspec.structs.asdict(news)}
    if not isinstance(news, EntryNow):
        return news
    entry = {"id": news.entry.id, **msgspec.to_builtins(news.entry)}
    return {"event": "entry", "entry": entry, "loss": news.loss, **{key: getattr(news.outcome, key) for key in TOLD}}


def _as_lines(folder: ComparisonFolder, *, past: bool) -> RunState:
    state = RunState()
    directors = 0 if past else 1
    for news, watched, place in _news(folder, past=past):
        state = watched.state
        line = _line(news, watched, folder, place)
        if isinstance(news, Started):
            directors += 1
            line = line if directors == 1 else f"comparison {watched.id} is carried on"
        if line:
            say(line)
    return state


def _line(news: News | None, watched: Watched, folder: ComparisonFolder, place: int) -> str | None:
    match news:
        case None | Finished() | Failed():
            return None  # the end is told by `tell_end`, with what came of it
        case Started():
            contestants = watched.comparison.asked.contestants if watched.comparison else ()
            return f"comparison {watched.id}" + (f": {', '.join(contestants)}" if contestants else "")
        case EntryNow(state="running"):
            return f"[{place}/{watched.entries}] {begun(news.entry, folder)}"
        case EntryNow(state="new"):
            return None
        case EntryNow():
            return f"[{place}/{watched.entries}] {ended(news)}"
    return sentence(news)


class _Places:
    """Numbers entries as they begin and end, from 1; one that goes on, or is tried again, is numbered anew."""

    def __init__(self) -> None:
        self._over: set[str] = set()
        self._running: set[str] = set()

    def of(self, now: EntryNow) -> int:
        """Give the place of one that has changed: among those that are over, or behind them."""
        id_ = now.entry.id
        self._over.discard(id_)
        self._running.discard(id_)
        if now.outcome.over:
            self._over.add(id_)
            return len(self._over)
        if now.state == "running":
            self._running.add(id_)
            return len(self._over) + len(self._running)
        return len(self._over) + len(self._running) + 1


def _news(folder: ComparisonFolder, *, past: bool) -> Iterator[tuple[News | None, Watched, int]]:
    """Give what is new, each with the moment in which it was seen, and once more the last moment with no news.

    The number is an entry's place; 0 where it is none.
    """
    reader = EventReader(folder.events)
    seen: dict[str, str] = {}
    places = _Places()
    told_past = past
    for watched in follow_comparison(folder):
        if watched.share < 1.0:
            continue
        events = [event for block in reader.new() for event in block]
        entries = [one for contestant in watched.contestants for one in (*contestant.trials, *contestant.finals)]
        changed = [one for one in entries if seen.get(one.entry.id) != one.state]
        changed.sort(key=lambda one: not one.outcome.over)  # what is over came first
        seen.update({one.entry.id: one.state for one in changed})
        numbered = [(one, places.of(one)) for one in changed]
        if told_past:
            first = [event for event in events if isinstance(event, Started)]
            last = [event for event in events if isinstance(event, Finished | Failed)]
            between = [event for event in events if event not in first and event not in last]
            for news in (*first, *between):
                yield news, watched, 0
            for one, place in numbered:
                yield one, watched, place
            for news in last:
                yield news, watched, 0
        told_past = True
        yield None, watched, 0
