"""A director carries a comparison: what it runs, and how it ends. Its workers only pretend."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pegbox_methods.events import Failed, Finished, Notice, Phase, Started
from pegbox_methods.recipe import Judging
from pegbox_methods.recipe_file import read_recipe
from pegbox_methods.refusal import Refusal
from pegbox_runs.arena.asking.adding import retry_failed
from pegbox_runs.arena.directing import carrying, director, entry_folder, purse, records
from pegbox_runs.arena.due_line import DueLine
from pegbox_runs.arena.schedule import all_entries_count
from pegbox_runs.arena.spec import read_comparison, read_paced, write_comparison
from pegbox_runs.event_log import EventReader
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.supervision import carrier
from pegbox_runs.supervision.intake import Intake
from pegbox_runs.supervision.workers import WorkerSupply
from pegbox_runs.viewing import state_of
from tests.commands import events_of, wait_until
from tests.runs.arena import pretended_director
from tests.runs.arena.directed import (
    InThisProcess,
    add,
    carry,
    done_losses,
    made,
    outcomes_of,
    plan_of,
    running,
    told,
)

SLOW_STEPS = 0.05
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

pytestmark = pytest.mark.usefixtures("kept")


def test_every_entry_is_run_once_in_the_schedules_order(tmp_path: Path, kept: list[Any]) -> None:
    folder = made(seeds=(1, 2), search=True)
    assert carry(folder, plan_of(tmp_path))
    outcomes = outcomes_of(folder)
    assert len(outcomes) == all_entries_count(read_comparison(folder)) == 14
    assert {one.state for one in outcomes.values()} == {"done"}
    begun, end = told(folder, Started)[0], told(folder, Finished)[0]
    assert (begun.method, begun.supervisor_pid, begun.worker_pid, begun.attempt) == (
        "comparison",
        os.getpid(),
        os.getpid(),
        1,
    )
    assert (end.reason, end.steps) == ("completed", 14)
    details = [event.detail for event in told(folder, Phase)]
    assert details[0] == "lora, rate 0.0003 for 3 steps (1 of 14)"
    assert details[-4:] == [
        "lora, seed 1 (11 of 14)",
        "dora, seed 1 (12 of 14)",
        "lora, seed 2 (13 of 14)",
        "dora, seed 2 (14 of 14)",
    ]
    for id_ in outcomes:
        assert [type(event) for event in events_of(folder.entry(id_))].count(Started) == 1
    assert [(done, report) for done, _, report in kept] == [*((done, False) for done in range(1, 14)), (14, True)]
    assert kept[-1][1]
    assert not folder.owner.exists()
    assert folder.summary.exists()


def test_the_rate_that_was_found_is_the_one_that_is_trained_with(tmp_path: Path) -> None:
    folder = made(search=True)
    assert carry(folder, plan_of(tmp_path))
    rates = {one.entry.contestant: one.entry.rate for one in outcomes_of(folder).values() if one.entry.rung is None}
    assert rates == {"lora": 1e-3, "dora": 3e-3}


def test_gpus_work_side_by_side_each_with_workers_of_its_own(tmp_path: Path) -> None:
    folder = made("lora", "dora", "third", "fourth", search=False, gpus=("GPU-a", "GPU-b"))
    assert carry(folder, plan_of(tmp_path, step_seconds=0.02))
    gpus = [folder.entry(id_).log.read_text() for id_ in outcomes_of(folder)]
    assert set(gpus) == {"gpu GPU-a\n", "gpu GPU-b\n"}
    first, second, *_ = [folder.entry(f"{name}.seed-1") for name in ("lora", "dora")]
    assert state_of(second).first_time < state_of(first).last_time
    assert told(folder, Finished)[0].steps == 4


def test_a_contestant_that_fails_is_out_and_the_others_go_on(tmp_path: Path) -> None:
    folder = made("bad", "lora", seeds=(1, 2), search=False)
    plan = plan_of(tmp_path, **{"bad.seed-1": {"1": [3, "trouble", ["refused", "it can't be attached"]]}})
    assert carry(folder, plan)
    outcomes = outcomes_of(folder)
    assert {id_: one.state for id_, one in outcomes.items()} == {
        "bad.seed-1": "failed",
        "lora.seed-1": "done",
        "lora.seed-2": "done",
    }
    assert outcomes["bad.seed-1"].why == "it can't be attached"
    assert told(folder, Finished)[0].steps == 2


def test_where_all_fail_the_comparison_failed_and_says_of_each_why(tmp_path: Path) -> None:
    folder = made("a", "b", search=False)
    trouble = {f"{name}.seed-1": {"1": [1, "trouble", ["refused", f"{name} broke"]]} for name in "ab"}
    assert not carry(folder, plan_of(tmp_path, **trouble))
    assert told(folder, Failed)[0].what == "no contestant came to a result: a: a broke; b: b broke"
    assert state_of(folder).status == "failed"


def test_an_entry_that_cannot_be_started_failed_with_the_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made("lora", "dora", search=False)
    real = carrier.current_recipe

    def refuse(place: RunFolder) -> Any:
        if place.id == "lora.seed-1":
            raise Refusal("its changes can't be read")
        return real(place)

    monkeypatch.setattr(carrier, "current_recipe", refuse)
    assert carry(folder, plan_of(tmp_path))
    outcomes = outcomes_of(folder)
    assert (outcomes["lora.seed-1"].state, outcomes["lora.seed-1"].why) == ("failed", "its changes can't be read")
    assert outcomes["dora.seed-1"].state == "done"


def test_a_finished_entry_without_its_judgement_failed(tmp_path: Path) -> None:
    folder = made(search=False)
    assert carry(folder, plan_of(tmp_path, **{"lora.seed-1": {"1": [0, "lose", None]}}))
    assert outcomes_of(folder)["lora.seed-1"].state == "failed"
    assert told(folder, Finished)[0].steps == 1


def test_a_contestant_that_is_added_on_the_way_joins(tmp_path: Path) -> None:
    folder = made("lora", search=False)
    carried = InThisProcess(plan_of(tmp_path, step_seconds=SLOW_STEPS), folder)
    running(folder, "lora.seed-1")
    add(folder, "late")
    assert carried.finish()
    assert set(done_losses(folder)) == {"lora.seed-1", "late.seed-1"}


def test_a_contestant_that_is_added_while_the_report_is_written_joins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made("lora", search=False)

    def keep(_: object, results: object, *, report: bool) -> None:
        if report and len(read_comparison(folder).asked.contestants) == 1:
            add(folder, "late")

    monkeypatch.setattr(records.Records, "keep", keep)
    assert carry(folder, plan_of(tmp_path))
    assert set(done_losses(folder)) == {"lora.seed-1", "late.seed-1"}
    assert len(told(folder, Finished)) == 1


def test_a_contestant_that_is_added_after_the_end_was_told_joins_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever adds it finds this director alive, and starts no other."""
    folder = made("lora", search=False)
    real = carrying.conclude

    def conclude(place: RunFolder) -> Any:
        if len(read_comparison(folder).asked.contestants) == 1:
            add(folder, "late")
        return real(place)

    monkeypatch.setattr(carrying, "conclude", conclude)
    monkeypatch.setattr(director, "_print_into", lambda _: None)
    monkeypatch.setattr(director.signal, "signal", lambda *_: None)
    lines, write = os.pipe()
    receipts, answers = os.pipe()
    os.write(write, os.fsencode(folder.path) + b"\n")
    plan = plan_of(tmp_path)
    mask = os.umask(0o022)
    try:
        code = director.direct(
            Intake(lines, answers),
            lambda gpu: pretended_director.pretended(plan, gpu),
            pretended_director.RESTARTS,
        )
    finally:
        os.umask(mask)
    assert code == 0
    assert os.read(receipts, 4096).count(b"\n") == 1
    assert set(done_losses(folder)) == {"lora.seed-1", "late.seed-1"}
    assert [event.steps for event in told(folder, Finished)] == [1, 2]
    for descriptor in (lines, write, receipts, answers):
        os.close(descriptor)


def test_a_budget_of_time_decides_the_steps_once(tmp_path: Path) -> None:
    folder = made(search=False, budget_seconds=1e6)
    assert carry(folder, plan_of(tmp_path))
    paced = read_paced(folder)
    assert paced is not None
    assert paced.steps == 12
    assert {one.entry.steps for one in outcomes_of(folder).values() if one.entry.rung is None} == {12}
    assert not told(folder, Notice)


def test_with_a_budget_of_time_the_tries_are_judged_as_the_trainings_that_count_are(tmp_path: Path) -> None:
    folder = made(search=False, budget_seconds=1e6)
    game, judging = read_comparison(folder), Judging(rows=True, metrics=("exact-match",))
    recipes = {name: msgspec.structs.replace(one, judging=judging) for name, one in game.recipes.items()}
    write_comparison(game.asked, recipes, folder)
    assert carry(folder, plan_of(tmp_path))
    assert len(outcomes_of(folder)) == 4
    for id_ in outcomes_of(folder):
        assert read_recipe(folder.entry(id_).recipe).judging == judging


def test_a_budget_that_is_passed_is_told_and_ends_with_the_seeds_it_paid_for(tmp_path: Path, kept: list[Any]) -> None:
    folder = made(seeds=(1, 2, 3), search=False, budget_seconds=0.05, steps=40)
    assert carry(folder, plan_of(tmp_path))
    paced = read_paced(folder)
    assert paced is not None
    assert (paced.steps, paced.seeds) == (10, 1)
    passed, cut = told(folder, Notice)
    assert "likely to be passed" in passed.text
    assert "ends with 1 of the 3 seeds" in cut.text
    assert set(done_losses(folder)) == {
        "lora.trial-0-rate-0.001",
        "dora.trial-0-rate-0.001",
        "lora.seed-1",
        "dora.seed-1",
    }
    assert kept[-1] == (4, True, True)
    assert told(folder, Finished)[0].reason == "completed"


def test_a_folder_of_no_entry_is_remarked_once(tmp_path: Path) -> None:
    folder = made(search=False)
    (folder.entries / "stray").mkdir(parents=True)
    assert carry(folder, plan_of(tmp_path))
    assert [event.about for event in told(folder, Notice)] == ["entries"]


def test_a_full_disk_while_an_entrys_folder_is_made_ends_it_and_leaves_nothing_half_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made(search=False)
    real = entry_folder.fill

    def full(place: RunFolder, *rest: Any) -> None:
        real(place, *rest)
        if "dora" in place.id:
            raise FULL

    with monkeypatch.context() as patched:
        patched.setattr(entry_folder, "fill", full)
        assert not carry(folder, plan_of(tmp_path))
    end = told(folder, Failed)[0]
    assert (end.kind, "No space left" in end.what, "pegbox resume" in end.remedy) == ("disk", True, True)
    assert [path.name for path in folder.entries.iterdir()] == ["lora.seed-1"]
    assert carry(folder, plan_of(tmp_path))
    assert len(done_losses(folder)) == 2
    assert len(told(folder.entry("lora.seed-1"), Started)) == 1


def test_a_full_disk_while_the_pace_is_kept_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made(search=False, budget_seconds=1e6)

    def full(*_: object) -> None:
        raise FULL

    with monkeypatch.context() as patched:
        patched.setattr(purse, "write_paced", full)
        assert not carry(folder, plan_of(tmp_path))
    assert told(folder, Failed)[0].kind == "disk"
    assert not folder.paced.exists()
    assert carry(folder, plan_of(tmp_path))
    assert len(done_losses(folder)) == 4


def test_an_entry_that_fails_for_want_of_room_ends_the_comparison_and_not_its_contestant(tmp_path: Path) -> None:
    folder = made(search=False)
    plan = plan_of(tmp_path, **{"lora.seed-1": {"1": [3, "trouble", ["disk", "the disk is full"]]}})
    assert not carry(folder, plan)
    end = told(folder, Failed)[0]
    assert (end.kind, end.what) == ("disk", "the disk is full")
    assert not folder.entry("dora.seed-1").path.exists()
    assert carry(folder, plan)
    assert len(done_losses(folder)) == 2


def test_a_comparison_that_is_removed_takes_its_director_with_it(tmp_path: Path) -> None:
    folder = made(search=False)
    carried = InThisProcess(plan_of(tmp_path, step_seconds=SLOW_STEPS), folder)
    place = running(folder, "lora.seed-1")
    worker = told(place, Started)[0].worker_pid
    wait_until(lambda: shutil.rmtree(folder.path, ignore_errors=True) or not folder.path.exists())  # its worker writes
    os.kill(worker, 9)  # as its guard does itself
    assert not carried.finish()
    assert not folder.path.exists()


def test_a_comparison_that_cannot_be_read_any_more_ends_with_that(tmp_path: Path) -> None:
    folder = made(search=False)
    carried = InThisProcess(plan_of(tmp_path, step_seconds=SLOW_STEPS), folder)
    running(folder, "lora.seed-1")
    whole = folder.comparison.read_bytes()
    folder.comparison.write_bytes(b"contestants = [")
    assert not carried.finish()
    assert "can't be read" in told(folder, Failed)[0].what
    assert state_of(folder.entry("lora.seed-1")).status == "finished"
    folder.comparison.write_bytes(whole)
    assert carry(folder, plan_of(tmp_path))


def test_logs_of_comparisons_are_read_as_those_of_runs(tmp_path: Path) -> None:
    folder = made("lora", search=False)
    carry(folder, plan_of(tmp_path))
    assert [len(block) for block in EventReader(folder.events).new()]
    assert msgspec.json.decode(folder.summary.read_bytes())["status"] == "finished"


def test_a_worker_that_cannot_be_started_is_no_fault_of_its_contestant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made(search=False)

    def none(*_: object) -> Any:
        raise OSError(errno.EAGAIN, "no process can be started")

    with monkeypatch.context() as patched:
        patched.setattr(WorkerSupply, "next", none)
        assert not carry(folder, plan_of(tmp_path))
    end = told(folder, Failed)[0]
    assert (end.kind, end.where) == ("error", "starting a worker for lora.seed-1")
    assert not folder.entry("lora.seed-1").owner.exists()
    assert carry(folder, plan_of(tmp_path))
    assert len(done_losses(folder)) == 2


def test_a_lane_that_breaks_between_two_workers_ends_the_comparison_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made(search=False)

    def broken(*_: object) -> Any:
        raise RuntimeError("a fault of Pegbox's own")

    with monkeypatch.context() as patched:
        patched.setattr(carrier.Carrier, "begin", broken)
        assert not carry(folder, plan_of(tmp_path))
    assert "a fault of Pegbox's own" in told(folder, Failed)[0].what
    assert carry(folder, plan_of(tmp_path))


def test_a_director_that_breaks_says_so_where_nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made(search=False)

    def broken(*_: object) -> Any:
        raise RuntimeError("a fault of Pegbox's own")

    with monkeypatch.context() as patched:
        patched.setattr(DueLine, "take", broken)
        assert not carry(folder, plan_of(tmp_path))
    assert "a fault of Pegbox's own" in told(folder, Failed)[0].what
    assert state_of(folder).status == "failed"
    assert carry(folder, plan_of(tmp_path))


def test_what_failed_is_run_again_where_somebody_wants_that(tmp_path: Path) -> None:
    folder = made("lora", "dora", search=False)
    plan = plan_of(tmp_path, **{"dora.seed-1": {"1": [1, "trouble", ["refused", "no"]]}})
    assert carry(folder, plan)
    assert outcomes_of(folder)["dora.seed-1"].state == "failed"
    assert retry_failed(folder) == 1
    assert carry(folder, plan_of(tmp_path))
    assert len(done_losses(folder)) == 2
    assert len(told(folder.entry("lora.seed-1"), Started)) == 1
