"""A director heeds what is asked of its comparison, and passes it on. Its workers only pretend."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from pegbox_methods.events import CommandAnswer, Failed, Finished, Paused, Started
from pegbox_runs.arena.directing import carrying
from pegbox_runs.commands import send
from pegbox_runs.process_mark import process_mark
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.viewing import state_of
from tests.commands import events_of, wait_until
from tests.runs.arena.directed import (
    InThisProcess,
    add,
    carry,
    done_losses,
    made,
    plan_of,
    running,
    told,
)

SLOW_STEPS = 0.05

pytestmark = pytest.mark.usefixtures("kept")


@pytest.mark.parametrize("by", ["command", "signal"])
def test_a_stop_saves_what_runs_and_the_rest_goes_on_from_there_later(tmp_path: Path, by: str, kept: list[Any]) -> None:
    undisturbed = made(search=False, id_="20260101-000000-compare-same")
    carry(undisturbed, plan_of(tmp_path))
    folder = made(search=False)
    carried = InThisProcess(plan_of(tmp_path, step_seconds=SLOW_STEPS), folder)
    place = running(folder, "lora.seed-1")
    if by == "command":
        send(folder.commands, "stop")
    else:
        carried.terminated.set()
    assert carried.finish()
    assert state_of(folder).status == "stopped"
    assert state_of(place).status == "stopped"
    saved = state_of(place).steps_done
    assert 2 <= saved < 12
    assert not folder.entry("dora.seed-1").path.exists()
    assert [event.taken for event in told(folder, CommandAnswer)] == ([True] if by == "command" else [])
    assert kept[-1] == (0, False, True)
    assert carry(folder, plan_of(tmp_path))
    assert [event.attempt for event in told(folder, Started)] == [1, 2]
    assert state_of(folder).status == "finished"
    assert [event.step for event in events_of(place) if type(event).__name__ == "Resumed"] == [saved]
    assert done_losses(folder) == done_losses(undisturbed)


def test_an_abort_ends_what_runs_at_once(tmp_path: Path, kept: list[Any]) -> None:
    folder = made(search=False)
    carried = InThisProcess(plan_of(tmp_path, step_seconds=SLOW_STEPS), folder)
    place = running(folder, "lora.seed-1")
    send(folder.commands, "stop")
    send(folder.commands, "abort")
    assert carried.finish()
    assert state_of(folder).status == "aborted"
    assert state_of(place).status in {"aborted", "stopped"}
    assert len(told(folder, CommandAnswer)) == 2
    assert not kept[-1][2]


def test_a_worker_that_heeds_nothing_is_killed_by_an_abort(tmp_path: Path) -> None:
    folder = made(search=False)
    plan = plan_of(tmp_path, step_seconds=SLOW_STEPS, **{"lora.seed-1": {"1": [1, "deaf", None]}})
    carried = InThisProcess(plan.replace("0.05", "9"), folder)
    running(folder, "lora.seed-1", steps=1)
    send(folder.commands, "abort")
    assert carried.finish()
    assert state_of(folder).status == "aborted"


def test_a_pause_reaches_what_runs_and_nothing_else_begins_until_resume(tmp_path: Path) -> None:
    folder = made("lora", "dora", search=False)
    plan = plan_of(tmp_path, step_seconds=SLOW_STEPS)
    carried = InThisProcess(plan, folder)
    place = running(folder, "lora.seed-1")
    for command in ("pause", "pause", "checkpoint", "nonsense"):
        send(folder.commands, command)
    wait_until(lambda: len(told(folder, CommandAnswer)) == 4)
    assert state_of(folder).status == "paused"
    said = next(event.text for event in told(folder, CommandAnswer) if event.command == "pause")
    assert "pauses at the next step's end" in said
    assert "what is loaded or judged meanwhile goes on" in said
    wait_until(lambda: "pause" in [event.command for event in told(place, CommandAnswer)])
    assert [event.taken for event in told(folder, CommandAnswer)] == [True, True, True, False]
    wait_until(lambda: state_of(place).over)  # the pretended trainer doesn't know how to pause
    threading.Event().wait(1.5)
    assert not folder.entry("dora.seed-1").path.exists()
    send(folder.commands, "pause-release")
    wait_until(lambda: len(told(folder, Paused)) == 2)
    send(folder.commands, "checkpoint")
    send(folder.commands, "resume")
    send(folder.commands, "resume")
    assert carried.finish()
    assert [event.taken for event in told(folder, CommandAnswer)][4:] == [True, False, True, False]
    assert [event.memory for event in told(folder, Paused)] == ["kept", "released"]
    assert state_of(folder).status == "finished"
    assert len(done_losses(folder)) == 2


def test_a_pause_with_release_lets_idle_workers_go_and_those_that_finish_meanwhile(tmp_path: Path) -> None:
    folder = made("lora", "dora", "third", search=False, gpus=("0", "1"), seeds=(1,))
    plan = plan_of(tmp_path, shares=True, **{"dora.seed-1": {"1": [1, "wait", 4]}})
    carried = InThisProcess(plan, folder)
    slow = running(folder, "dora.seed-1", steps=1)
    wait_until(lambda: state_of(folder.entry("third.seed-1")).over)
    idle, busy = worker_of(folder.entry("lora.seed-1")), worker_of(slow)
    assert process_mark(idle) is not None
    send(folder.commands, "pause-release")
    add(folder, "late")
    wait_until(lambda: process_mark(idle) is None)
    assert not state_of(slow).over
    wait_until(lambda: state_of(slow).over)  # the pretended trainer doesn't know how to pause
    wait_until(lambda: process_mark(busy) is None)
    assert state_of(folder).status == "paused"
    send(folder.commands, "resume")
    assert carried.finish()
    assert len(done_losses(folder)) == 4
    assert worker_of(folder.entry("late.seed-1")) not in {idle, busy}


def worker_of(place: RunFolder) -> int:
    started = state_of(place).started
    assert started is not None
    return started.worker_pid


def test_a_paused_comparison_can_be_stopped(tmp_path: Path) -> None:
    folder = made(search=False)
    carried = InThisProcess(plan_of(tmp_path, step_seconds=SLOW_STEPS), folder)
    running(folder, "lora.seed-1")
    send(folder.commands, "pause")
    wait_until(lambda: state_of(folder).status == "paused")
    send(folder.commands, "stop")
    assert carried.finish()
    assert state_of(folder).status == "stopped"


def test_what_was_asked_while_nobody_carried_it_is_refused(tmp_path: Path) -> None:
    folder = made(search=False)
    carried = InThisProcess(plan_of(tmp_path, step_seconds=SLOW_STEPS), folder)
    running(folder, "lora.seed-1")
    carried.terminated.set()
    carried.finish()
    send(folder.commands, "abort")
    assert carry(folder, plan_of(tmp_path))
    assert [event.taken for event in told(folder, CommandAnswer)] == [False]


def test_an_entry_that_was_stopped_on_its_own_is_begun_again_but_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carrying, "MOST_BEGINS", 3)
    folder = made(search=False)
    carried = InThisProcess(plan_of(tmp_path, step_seconds=SLOW_STEPS), folder)
    place = running(folder, "lora.seed-1", steps=1)
    for time in range(3):
        wait_until(lambda time=time: len(told(place, Started)) > time)
        send(place.commands, "stop")
        wait_until(lambda time=time: len(told(place, Finished)) > time)
    assert not carried.finish()
    end = told(folder, Failed)[0]
    assert end.what == "lora.seed-1 was begun 3 times and never came to an end"
    assert set(done_losses(folder)) == {"dora.seed-1"}
    assert carry(folder, plan_of(tmp_path))
    assert len(done_losses(folder)) == 2
