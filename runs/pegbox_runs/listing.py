"""All runs with what each has come to, looked at again and again for the price of what is new."""

from __future__ import annotations

import contextlib
import os
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from pegbox_methods.events import UNDECODABLE, Failed, event_decoder
from pegbox_runs.line_tail import LineTail
from pegbox_runs.run_folder import RunFolder, runs_root
from pegbox_runs.run_state import RunState, Status, fold
from pegbox_runs.summary import Summary, summarise
from pegbox_runs.viewing import mark_lost

ListedStatus = Status | Literal["reading", "damaged"]
"""`reading`: its log is long, and hasn't been read to its end yet."""

STEP = b'{"event":"step"'
PORTION_CHUNKS = 16
"""Of a log in one look: 8 MiB. The others' turn comes after each."""
FIRST_BATCHES = (30, 300)
"""Runs after which a first look gives what it has: a screenful, and some more."""
FIRST_LINE_BYTES = 4096


class ListedRun(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the list. Seconds and nats; names as the recipe and the log hold them."""

    folder: RunFolder
    status: ListedStatus
    method: str | None = None
    model: str | None = None
    rows: str | None = None
    note: str = ""
    processes: int = 1
    engine: str | None = None
    """What binds several processes: `ddp` or `fsdp2`; None: one worker carries the run, as usual."""
    steps: int = 0
    steps_planned: int | None = None
    untrained_loss: float | None = None
    best_loss: float | None = None
    best_step: int | None = None
    started: float | None = None
    """When its first worker was: seconds since 1970 in UTC."""
    seconds: float = 0.0
    """From the first event to the last."""
    trouble: str = ""
    """Why it failed, or what is wrong with its folder."""

    @property
    def id(self) -> str:
        """The run's id."""
        return self.folder.id

    @property
    def carried(self) -> bool:
        """Whether somebody hears what is asked of it."""
        return self.status in {"new", "queued", "running", "paused", "restarting"}


class _Mark(NamedTuple):
    """What changes where a run's files do: time and size of each; None: it isn't there."""

    recipe: tuple[int, int] | None
    events: tuple[int, int] | None
    summary: tuple[int, int] | None


class _Known(NamedTuple):
    """What is kept of a run between two looks."""

    mark: _Mark
    said: ListedRun
    """What its recipe says."""
    run: ListedRun
    settled: bool = True
    """Whether only its files can change what it is."""
    outline: Outline | None = None


class Look(NamedTuple):
    """What a look gave so far."""

    runs: tuple[ListedRun, ...]
    """Newest first."""
    whole: bool


class Listing:
    """Reads each finished run once, and of the others only what was added. For one thread."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}

    def look(self) -> Iterator[Look]:
        """Give all runs, newest first, once; a first look gives the newest before it knows the others.

        A run whose log is long is `reading` for some looks.

        Raises: OSError: the folder of runs is there and can't be read.
        """
        names = _names()
        first = not self._known
        runs: list[ListedRun] = []
        known: dict[str, _Known] = {}
        for name in names:
            try:
                known[name] = self._look_at(RunFolder(runs_root() / name), self._known.get(name))
            except FileNotFoundError:
                continue  # removed meanwhile
            runs.append(known[name].run)
            if first and len(runs) in FIRST_BATCHES:
                yield Look(tuple(runs), whole=False)
        self._known = known
        yield Look(tuple(runs), whole=True)

    @property
    def reading(self) -> bool:
        """Whether a log hasn't been read to its end yet."""
        return any(known.run.status == "reading" for known in self._known.values())

    def read_on(self) -> Look:
        """Read the next portion of each log that hasn't been read to its end; look at nothing else."""
        for name, known in self._known.items():
            if known.run.status == "reading":
                with contextlib.suppress(FileNotFoundError):  # removed meanwhile, as the next look will see
                    self._known[name] = self._look_at(known.run.folder, known)
        return Look(tuple(known.run for known in self._known.values()), whole=True)

    def _look_at(self, folder: RunFolder, known: _Known | None) -> _Known:
        mark = _Mark(*(_changed(file) for file in (folder.recipe, folder.events, folder.summary)))
        if known is not None and known.settled and known.mark == mark:
            return known
        said = known.said if known is not None and known.mark.recipe == mark.recipe else _by_recipe(folder, mark)
        if mark.recipe is None or mark.events is None:
            what = "recipe.toml" if mark.recipe is None else "events.jsonl"
            damaged = f"no run of Pegbox, or a damaged one: there is no {what} in it"
            return _Known(mark, said, _replace(said, status="damaged", trouble=damaged))
        ended = _summary(folder, mark)
        if ended is not None:
            return _Known(mark, said, _by_summary(said, ended, _first_time(folder)))
        outline = known.outline if known is not None and known.outline is not None else Outline(folder)
        try:
            whole = outline.read(PORTION_CHUNKS)
        except OSError as error:
            trouble = f"its events.jsonl can't be read: {error.strerror}"
            return _Known(mark, said, _replace(said, status="damaged", trouble=trouble), settled=False)
        if whole and mark.events[1] and not outline.state.last_seq:
            trouble = "no line of its events.jsonl tells an event of a run"
            return _Known(mark, said, _replace(said, status="damaged", trouble=trouble), settled=False, outline=outline)
        state = mark_lost(outline.state, folder) if whole else outline.state
        run = _by_summary(said, summarise(said.id, state), state.first_time or None)
        return _Known(
            mark,
            said,
            run if whole else _replace(run, status="reading"),
            settled=whole and state.over,
            outline=outline,
        )


class Outline:
    """A run's log without the steps that another follows: nearly all of a long one, and no list tells of them."""

    def __init__(self, folder: RunFolder) -> None:
        self._tail = LineTail(folder.events)
        self._decoder = event_decoder()
        self.state = RunState()
        """As `follow` gives it, but for what is summed or drawn over steps."""

    def read(self, chunks: int | None = None) -> bool:
        """Take in what is new, of so many half MiB at most. Returns: whether that was all. Raises: OSError."""
        for number, chunk in enumerate(self._tail.new_chunks(), start=1):
            self._take(chunk)
            if number == chunks:
                return False
        return True

    def _take(self, chunk: bytes) -> None:
        lines = chunk.split(b"\n")  # the last is empty
        kept = [line for line, after in pairwise(lines) if not (line.startswith(STEP) and after.startswith(STEP))]
        try:
            self.state = fold(self._decoder.decode_lines(b"\n".join(kept)), self.state)
        except UNDECODABLE:
            for line in kept:
                with contextlib.suppress(*UNDECODABLE):  # whoever opens the run is told
                    self.state = self.state.after(self._decoder.decode(line))


def _names() -> list[str]:
    """Give the names of what may be runs, newest first."""
    try:
        with os.scandir(runs_root()) as entries:
            names = [entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir()]
    except FileNotFoundError:
        return []
    return sorted(names, reverse=True)


def _changed(file: Path) -> tuple[int, int] | None:
    """Give a file's time and size. Raises: OSError: its folder can't be looked into."""
    try:
        found = file.stat()
    except FileNotFoundError:
        file.parent.stat()
        return None
    except OSError:
        return (0, 0)  # opening it tells the reason
    return (found.st_mtime_ns, found.st_size)


def _by_recipe(folder: RunFolder, mark: _Mark) -> ListedRun:
    """Take from the recipe what the log doesn't tell, or not yet; of a broken one, what is wrong with it."""
    run = ListedRun(folder=folder, status="reading")
    if mark.recipe is None:
        return run
    try:
        table = tomllib.loads(folder.recipe.read_bytes().decode("utf-8"))
    except OSError as error:
        return _replace(run, trouble=f"its recipe.toml can't be read: {error.strerror}")
    except ValueError as error:  # TOML's and Unicode's faults are such
        return _replace(run, trouble=f"its recipe.toml is damaged: {error}")
    except RecursionError:
        return _replace(run, trouble="its recipe.toml is damaged: its values nest too deep")
    return _replace(
        run,
        method=_text(table, "method", "name"),
        model=_text(table, "model", "name"),
        rows=_text(table, "rows", "file"),
        note=_text(table, "output", "note") or "",
    )


def _text(table: dict[str, Any], part: str, key: str) -> str | None:
    inner = table.get(part)
    value = inner.get(key) if isinstance(inner, dict) else None
    return value if isinstance(value, str) else None


def _summary(folder: RunFolder, mark: _Mark) -> Summary | None:
    """Read how a run ended; None: it hasn't, or the log went on behind that."""
    if mark.summary is None or (mark.events is not None and mark.events[0] > mark.summary[0]):
        return None
    try:
        return msgspec.json.decode(folder.summary.read_bytes(), type=Summary)
    except (OSError, *UNDECODABLE):
        return None


def _by_summary(said: ListedRun, summary: Summary, started: float | None) -> ListedRun:
    failed = summary.failure if isinstance(summary.failure, Failed) else None
    return _replace(
        said,
        status=summary.status,
        method=summary.method or said.method,
        model=summary.model or said.model,
        processes=summary.processes,
        engine=summary.engine,
        steps=summary.steps,
        steps_planned=summary.steps_planned,
        untrained_loss=summary.untrained_loss,
        best_loss=summary.best_loss,
        best_step=summary.best_step,
        started=started,
        seconds=summary.seconds,
        trouble=f"failed while {failed.where}: {failed.what}" if failed else said.trouble,
    )


class _Timed(msgspec.Struct):
    time: float


def _first_time(folder: RunFolder) -> float | None:
    """Read when the first event was."""
    try:
        with folder.events.open("rb") as file:
            return msgspec.json.decode(file.readline(FIRST_LINE_BYTES), type=_Timed).time
    except (OSError, *UNDECODABLE):
        return None


def _replace(run: ListedRun, **changes: object) -> ListedRun:
    return msgspec.structs.replace(run, **changes)
