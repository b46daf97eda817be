"""Comparisons whose workers only pretend, under the real director."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.arena.directing import start as directing
from pegbox_runs.arena.directing.carrying import Director
from pegbox_runs.arena.entries import Outcome
from pegbox_runs.arena.outcomes import read_outcomes
from pegbox_runs.arena.spec import read_comparison, write_comparison
from pegbox_runs.launch import WarmSupervisor
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_state import RunState
from pegbox_runs.supervision import adopting
from pegbox_runs.supervision.owner import Ownership, read_owner
from pegbox_runs.viewing import state_of
from tests.commands import events_of, wait_until
from tests.runs.arena import pretended_director
from tests.runs.arena.made_up_comparisons import made as made


def plan_of(folder: Path, **plan: Any) -> str:
    """Write what goes wrong; `_at` in a key is the dot of an entry's id."""
    path = folder / "plan.json"
    path.write_text(json.dumps(plan))
    return str(path)


def launched(plan: str, folder: ComparisonFolder) -> int:
    """Hand a comparison to a director in a process of its own. Returns: its id."""
    with WarmSupervisor(pretended_director.command(plan)) as director:
        director.take([folder])
        return director.pid


def pretend_everywhere(plan: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `adopt` and `start_director` start directors with pretended workers."""

    def command(*options: str) -> list[str]:
        return pretended_director.command(plan, *options)

    monkeypatch.setattr(adopting, "director_command", command)
    monkeypatch.setattr(directing, "director_command", command)


class InThisProcess:
    """A director in a thread of the tests' own process, so that its parts can be patched."""

    def __init__(self, plan: str, folder: ComparisonFolder, *, adopting: bool = False) -> None:
        self.terminated = threading.Event()
        self._ownership = Ownership.take(folder)
        self.director = Director(
            folder,
            lambda gpu: pretended_director.pretended(plan, gpu),
            pretended_director.RESTARTS,
            self.terminated.is_set,
            adopting=adopting,
        )
        self.well: bool | None = None
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def _work(self) -> None:
        self.well = self.director.work()

    def finish(self) -> bool:
        """Wait until it has ended. Returns: whether well."""
        self.thread.join(timeout=60)
        assert not self.thread.is_alive()
        self._ownership.release()
        assert self.well is not None
        return self.well


def carry(folder: ComparisonFolder, plan: str) -> bool:
    """Carry a comparison in this process. Returns: whether it ended well."""
    return InThisProcess(plan, folder).finish()


def told(folder: RunFolder, kind: type[Any]) -> list[Any]:
    """Give the events of a kind that a log holds."""
    return [event for event in events_of(folder) if isinstance(event, kind)]


def running(folder: ComparisonFolder, id_: str, steps: int = 2) -> RunFolder:
    """Wait until an entry has taken some steps."""
    place = folder.entry(id_)
    wait_until(lambda: place.events.exists() and len(state_of(place).loss) >= steps)
    return place


def add(folder: ComparisonFolder, name: str) -> None:
    """Let another contestant join."""
    known = read_comparison(folder)
    asked = msgspec.structs.replace(known.asked, contestants=(*known.asked.contestants, name))
    write_comparison(asked, {**known.recipes, name: next(iter(known.recipes.values()))}, folder)


def await_end(folder: ComparisonFolder) -> RunState:
    """Wait until a comparison is over or lost, and its director is gone."""
    wait_until(
        lambda: (
            ((state := state_of(folder)).over or state.status == "lost")
            and not ((owner := read_owner(folder)) is not None and owner.lives)
        )
    )
    return state_of(folder)


def outcomes_of(folder: ComparisonFolder) -> dict[str, Outcome]:
    """Read what became of the entries."""
    return read_outcomes(folder, read_comparison(folder))


def done_losses(folder: ComparisonFolder) -> dict[str, tuple[float, ...]]:
    """Give each done entry's losses."""
    return {id_: one.judged.after.held_out.nats for id_, one in outcomes_of(folder).items() if one.judged is not None}
