"""Whatever is killed, each entry is done once, and comes to what it would have come to. Workers pretend, mostly."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from pegbox_methods.events import CommandAnswer, Finished, Started
from pegbox_methods.refusal import Refusal
from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.arena.directing import lanes
from pegbox_runs.arena.directing.start import start_director
from pegbox_runs.arena.schedule import all_entries_count
from pegbox_runs.arena.spec import read_comparison
from pegbox_runs.commands import send
from pegbox_runs.process_mark import process_mark
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.supervision.adopting import adopt
from pegbox_runs.supervision.owner import read_owner
from pegbox_runs.viewing import follow, state_of
from tests.commands import events_of, wait_until
from tests.runs.arena.directed import (
    InThisProcess,
    await_end,
    done_losses,
    launched,
    made,
    outcomes_of,
    plan_of,
    pretend_everywhere,
)
from tests.runs.supervised import end_now


def ends(place: RunFolder) -> int:
    """Count how often an entry was completed."""
    return sum(isinstance(event, Finished) and event.reason == "completed" for event in events_of(place))


def whole(folder: ComparisonFolder) -> bool:
    """Whether every entry is done, and none was twice."""
    outcomes = outcomes_of(folder)
    all_done = len(outcomes) == all_entries_count(read_comparison(folder))
    return all_done and all(ends(folder.entry(id_)) == 1 for id_ in outcomes)


def undisturbed(
    plan: str, names: Sequence[str] = ("lora", "dora"), seeds: Sequence[int] = (1,)
) -> dict[str, tuple[float, ...]]:
    """Give what the same comparison comes to where nothing is killed."""
    folder = made(*names, seeds=seeds, search=False, id_="20260101-000000-compare-same")
    launched(plan, folder)
    assert await_end(folder).status == "finished"
    return done_losses(folder)


def running(folder: ComparisonFolder, id_: str, steps: int = 2) -> int:
    """Wait until an entry has taken some steps. Returns: its worker's id."""
    place = folder.entry(id_)
    wait_until(lambda: place.events.exists() and len(state_of(place).loss) >= steps)
    told = state_of(place).started
    assert told is not None
    return told.worker_pid


def test_a_killed_worker_is_replaced_and_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    expected = undisturbed(plan_of(tmp_path))
    folder = made(search=False)
    launched(plan_of(tmp_path, **{"lora.seed-1": {"1": [4, "kill", 9], "2": [7, "kill", 9]}}), folder)
    assert await_end(folder).status == "finished"
    assert whole(folder)
    assert done_losses(folder) == expected
    assert sum(isinstance(event, Started) for event in events_of(folder.entry("lora.seed-1"))) == 3


def test_an_orphaned_worker_gets_the_comparison_another_director_that_carries_all_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(tmp_path, step_seconds=0.1)
    pretend_everywhere(plan, monkeypatch)
    folder = made(search=False)
    first = launched(plan, folder)
    worker = running(folder, "lora.seed-1")
    end_now(first)
    assert process_mark(worker) is not None
    assert state_of(folder).status == "lost"
    entry = folder.entry("lora.seed-1")
    assert adopt(entry)  # as its guard does
    wait_until(lambda: (owner := read_owner(entry)) is not None and owner.lives)
    assert not adopt(entry)
    assert await_end(folder).status == "finished"
    assert whole(folder)
    assert sum(isinstance(event, Started) for event in events_of(entry)) == 1  # the same worker did all of it
    assert sum(isinstance(event, Started) for event in events_of(folder)) == 2


@pytest.mark.parametrize("entry", ["lora.seed-1", "dora.seed-1"])
def test_a_shared_worker_whose_director_died_just_before_an_entrys_end_gets_another(tmp_path: Path, entry: str) -> None:
    folder = made(search=False)
    first = launched(plan_of(tmp_path, step_seconds=0.05, shares=True), folder)
    running(folder, entry, steps=9)
    os.kill(first, signal.SIGKILL)  # the worker needs less than a second from here, and its guard looks once in one
    wait_until(lambda: state_of(folder).over)
    assert await_end(folder).status == "finished"
    assert whole(folder)
    assert sum(isinstance(event, Started) for event in events_of(folder)) == 2


def test_nobody_is_started_behind_an_entry_of_a_comparison_that_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(tmp_path, shares=True)
    pretend_everywhere(plan, monkeypatch)
    folder = made(search=False)
    launched(plan, folder)
    assert await_end(folder).status == "finished"
    assert not adopt(folder.entry("dora.seed-1"))
    end = folder.events.read_bytes().splitlines(keepends=True)[-1]
    folder.events.write_bytes(folder.events.read_bytes().removesuffix(end))
    assert adopt(folder.entry("dora.seed-1"))
    wait_until(lambda: state_of(folder).over)
    assert await_end(folder).status == "finished"


def test_an_orphan_that_ends_before_anybody_comes_is_counted_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(tmp_path, step_seconds=0.05)
    pretend_everywhere(plan, monkeypatch)
    folder = made(search=False)
    first = launched(plan, folder)
    running(folder, "lora.seed-1")
    end_now(first)
    wait_until(lambda: state_of(folder.entry("lora.seed-1")).over)
    start_director(folder)
    assert await_end(folder).status == "finished"
    assert whole(folder)


def test_an_orphan_that_ends_just_as_another_director_comes_is_not_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made("lora", search=False)
    assert InThisProcess(plan_of(tmp_path), folder).finish()
    log = folder.entry("lora.seed-1").events
    end = log.read_bytes().splitlines(keepends=True)[-1]
    log.write_bytes(log.read_bytes().removesuffix(end))
    real = lanes.entry_folder

    def ends_now(*arguments: Any, **named: Any) -> RunFolder:
        place = real(*arguments, **named)
        with log.open("ab") as file:
            file.write(end)
        return place

    monkeypatch.setattr(lanes, "entry_folder", ends_now)
    assert InThisProcess(plan_of(tmp_path), folder).finish()
    assert whole(folder)


@pytest.mark.parametrize("orphan", ["lives", "was killed too"])
def test_a_killed_director_is_replaced_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, orphan: str) -> None:
    expected = undisturbed(plan_of(tmp_path))
    plan = plan_of(tmp_path, step_seconds=0.05)
    pretend_everywhere(plan, monkeypatch)
    folder = made(search=False)
    first = launched(plan, folder)
    worker = running(folder, "dora.seed-1")
    end_now(first)
    if orphan != "lives":
        end_now(worker)
    start_director(folder)
    assert await_end(folder).status == "finished"
    assert whole(folder)
    assert done_losses(folder) == expected
    assert sum(isinstance(event, Started) for event in events_of(folder.entry("lora.seed-1"))) == 1
    assert sum(isinstance(event, Started) for event in events_of(folder.entry("dora.seed-1"))) == (
        1 if orphan == "lives" else 2
    )


def test_a_pause_outlives_the_director_and_a_person_who_goes_on_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(tmp_path, step_seconds=0.15)
    pretend_everywhere(plan, monkeypatch)
    folder = made(search=False)
    first = launched(plan, folder)
    running(folder, "lora.seed-1", steps=1)
    send(folder.commands, "pause")
    wait_until(lambda: state_of(folder).status == "paused")
    end_now(first)
    assert adopt(folder.entry("lora.seed-1"))
    wait_until(lambda: any(told.attempt == 2 for told in events_of(folder) if isinstance(told, Started)))
    wait_until(lambda: state_of(folder).status == "paused")
    wait_until(lambda: state_of(folder.entry("lora.seed-1")).over)  # the pretended trainer can't pause
    wait_until(lambda: read_owner(folder.entry("lora.seed-1")) is None)  # the second director has seen its end
    time.sleep(1.5)
    assert not folder.entry("dora.seed-1").path.exists()
    second = state_of(folder).started
    assert second is not None
    assert second.attempt == 2
    end_now(second.supervisor_pid)
    start_director(folder)
    assert await_end(folder).status == "finished"
    assert whole(folder)


def test_a_stop_that_came_as_the_director_died_is_heeded_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(tmp_path, step_seconds=0.1)
    pretend_everywhere(plan, monkeypatch)
    folder = made(search=False)
    first = launched(plan, folder)
    running(folder, "lora.seed-1")
    end_now(first)
    send(folder.commands, "stop")
    assert adopt(folder.entry("lora.seed-1"))
    wait_until(lambda: state_of(folder).over)
    assert await_end(folder).status == "stopped"
    assert [event.taken for event in events_of(folder) if isinstance(event, CommandAnswer)] == [True]


@pytest.mark.parametrize("boundary", ["supervisor-start", "worker-start", "worker-ended"])
@pytest.mark.parametrize("nth", [1, 2])
def test_a_director_killed_at_any_boundary_of_an_entry_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, boundary: str, nth: int
) -> None:
    plan = plan_of(tmp_path)
    pretend_everywhere(plan, monkeypatch)
    folder = made(search=False)
    with monkeypatch.context() as patched:
        patched.setenv("PEGBOX_FAULTS", json.dumps([{"at": boundary, "do": "kill", "nth": nth}]))
        director = launched(plan, folder)
        wait_until(lambda: process_mark(director) is None)
    start_director(folder)
    assert await_end(folder).status == "finished"
    assert whole(folder)


@pytest.mark.parametrize("tail", [1, 30, 400])
def test_a_log_whose_tail_is_gone_costs_that_entry_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tail: int
) -> None:
    expected = undisturbed(plan_of(tmp_path), names=("lora", "dora", "third"))
    plan = plan_of(tmp_path, step_seconds=0.05)
    pretend_everywhere(plan, monkeypatch)
    folder = made("lora", "dora", "third", search=False)
    first = launched(plan, folder)
    worker = running(folder, "third.seed-1")
    end_now(first)
    end_now(worker)
    for id_ in ("third.seed-1", "dora.seed-1"):
        log = folder.entry(id_).events
        log.write_bytes(log.read_bytes()[:-tail])
    folder.events.write_bytes(folder.events.read_bytes()[:-tail])
    assert outcomes_of(folder)["dora.seed-1"].state == "stopped"
    start_director(folder)
    assert await_end(folder).status == "finished"
    assert done_losses(folder) == expected
    begins = [sum(isinstance(one, Started) for one in events_of(folder.entry(id_))) for id_ in sorted(expected)]
    assert begins == [2, 1, 2]


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 4))])
def test_whatever_is_killed_at_whatever_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    expected = undisturbed(plan_of(tmp_path), seeds=(1, 2))
    plan = plan_of(tmp_path, step_seconds=0.02)
    pretend_everywhere(plan, monkeypatch)
    chance = random.Random(seed)  # noqa: S311  # nothing is kept secret
    folder = made(search=False, seeds=(1, 2))
    start_director(folder)
    for _ in range(6):
        time.sleep(chance.uniform(0.05, 0.4))
        kill(folder, chance.choice(["worker", "director", "both"]))
        if not is_carried(folder):
            with contextlib.suppress(Refusal):
                start_director(folder)
    assert await_end(folder).status == "finished"
    assert whole(folder)
    assert done_losses(folder) == expected


def is_carried(folder: ComparisonFolder) -> bool:
    owner = read_owner(folder)
    return owner is not None and owner.lives


def kill(folder: ComparisonFolder, victims: str) -> None:
    """Kill a comparison's director, or whatever worker it has, or both at once."""
    owner = read_owner(folder)
    owners = [read_owner(RunFolder(place)) for place in folder.entries.glob("[!.]*")]
    workers = [one.worker_pid for one in owners if one is not None and one.worker_lives]
    directors = [owner.pid] if owner is not None and owner.lives else []
    for pid in (*(workers if victims != "director" else ()), *(directors if victims != "worker" else ())):
        with contextlib.suppress(psutil.NoSuchProcess):
            end_now(pid)


def test_who_watches_a_comparison_sees_it_through_another_directors_hands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(tmp_path, step_seconds=0.05)
    pretend_everywhere(plan, monkeypatch)
    folder = made(search=False)
    first = launched(plan, folder)
    running(folder, "lora.seed-1")
    end_now(first)
    assert [advance.state.status for advance in follow(folder)][-1] == "lost"
    start_director(folder)
    assert [advance.state.status for advance in follow(folder)][-1] == "finished"
    assert folder.summary.exists()
