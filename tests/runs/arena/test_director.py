"""A director carries a comparison: what it runs, what it heeds, and how it ends. Its workers only pretend."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pegbox_methods.events import CommandAnswer, Failed, Finished, Notice, Paused, Phase, Started
from pegbox_methods.refusal import Refusal
from pegbox_runs.arena import carrying, director, entry_folder, purse, records
from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.arena.directing import start_director
from pegbox_runs.arena.schedule import all_entries_count
from pegbox_runs.arena.spec import read_comparison, read_paced, write_comparison
from pegbox_runs.commands import send
from pegbox_runs.continuing import continue_run
from pegbox_runs.event_log import EventReader
from pegbox_runs.process_mark import process_mark
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.supervision import carrier
from pegbox_runs.supervision.intake import Intake
from pegbox_runs.supervision.owner import Ownership, read_owner
from pegbox_runs.viewing import state_of
from tests.commands import events_of, wait_until
from tests.runs.arena import pretended_director
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

SLOW_STEPS = 0.05
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bool, bool]]:
    """Keep (done entries, complete, with the report) of each record that would be written."""
    written: list[tuple[int, bool, bool]] = []

    def keep(_: object, results: Callable[[], Any], *, report: bool) -> None:
        done, complete = results()
        written.append((done, complete, report))

    monkeypatch.setattr(records.Records, "keep", keep)
    monkeypatch.setattr(
        carrying,
        "results_now",
        lambda _folder, _comparison, outcomes, **known: (
            sum(one.state == "done" for one in outcomes.values()),
            known["complete"],
        ),
    )
    return written


def told(folder: RunFolder, kind: type[Any]) -> list[Any]:
    return [event for event in events_of(folder) if isinstance(event, kind)]


def running(folder: ComparisonFolder, id_: str, steps: int = 2) -> RunFolder:
    """Wait until an entry has taken some steps."""
    place = folder.entry(id_)
    wait_until(lambda: place.events.exists() and len(state_of(place).loss) >= steps)
    return place


def carry(folder: ComparisonFolder, plan: str) -> bool:
    return InThisProcess(plan, folder).finish()


def test_every_entry_is_run_once_in_the_schedules_order(tmp_path: Path, kept: list[tuple[int, bool, bool]]) -> None:
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


@pytest.mark.parametrize("by", ["command", "signal"])
def test_a_stop_saves_what_runs_and_the_rest_goes_on_from_there_later(
    tmp_path: Path, by: str, kept: list[tuple[int, bool, bool]]
) -> None:
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


def test_an_abort_ends_what_runs_at_once(tmp_path: Path, kept: list[tuple[int, bool, bool]]) -> None:
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


def add(folder: ComparisonFolder, name: str) -> None:
    known = read_comparison(folder)
    asked = msgspec.structs.replace(known.asked, contestants=(*known.asked.contestants, name))
    write_comparison(asked, {**known.recipes, name: next(iter(known.recipes.values()))}, folder)


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


def test_a_budget_that_is_passed_is_told_and_ends_with_the_seeds_it_paid_for(
    tmp_path: Path, kept: list[tuple[int, bool, bool]]
) -> None:
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
    shutil.rmtree(folder.path)
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


def test_a_director_is_in_a_session_of_its_own_and_answers_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_everywhere(plan_of(tmp_path, step_seconds=SLOW_STEPS), monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PEGBOX_HOME", "pegbox-home")
    folder = made(search=False)
    start_director(ComparisonFolder(folder.path))
    owner = read_owner(folder)
    assert owner is not None
    assert os.getsid(owner.pid) == owner.pid
    assert Path(f"/proc/{owner.pid}/cwd").readlink() == Path("/")
    assert f"PEGBOX_HOME={tmp_path}".encode() in Path(f"/proc/{owner.pid}/environ").read_bytes()
    with pytest.raises(Refusal, match=f"process {owner.pid} on .* `pegbox stop"):
        start_director(folder)
    with pytest.raises(Refusal, match="running already"):
        continue_run(folder)
    os.kill(owner.pid, 1)
    running(folder, "lora.seed-1")
    os.kill(owner.pid, 15)
    assert await_end(folder).status == "stopped"
    assert all(path.stat().st_mode & 0o077 == 0 for path in (folder.entries, *folder.entries.rglob("*")))
    continue_run(folder)
    assert await_end(folder).status == "finished"


def test_of_several_directors_one_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_everywhere(plan_of(tmp_path), monkeypatch)
    folder = made(search=False)
    refused: list[str] = []

    def go_on() -> None:
        try:
            start_director(folder)
        except Refusal as refusal:
            refused.append(refusal.sentence)

    threads = [threading.Thread(target=go_on) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 2
    assert await_end(folder).status == "finished"
    assert len(told(folder, Finished)) == 1
    assert all(len(told(folder.entry(id_), Finished)) == 1 for id_ in outcomes_of(folder))


def test_a_comparison_that_cannot_be_read_is_refused_and_one_that_began_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_everywhere(plan_of(tmp_path), monkeypatch)
    folder = made(search=False)
    folder.events.write_bytes(b'{"event":"notice","seq":1,"text":"t"}\n')
    folder.comparison.write_bytes(b"nonsense")
    with pytest.raises(Refusal, match="can't be read"):
        start_director(folder)
    assert folder.path.exists()
    assert not folder.owner.exists()


def test_who_waits_for_a_director_that_has_told_its_end_gets_the_comparison(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_everywhere(plan_of(tmp_path), monkeypatch)
    folder = made("lora", search=False)
    launched(plan_of(tmp_path), folder)
    wait_until(lambda: state_of(folder).over)
    add(folder, "late")
    start_director(folder)
    assert await_end(folder).status == "finished"
    assert set(done_losses(folder)) == {"lora.seed-1", "late.seed-1"}


def test_an_entry_is_not_continued_on_its_own_nor_a_comparison_under_other_settings(tmp_path: Path) -> None:
    folder = made("lora", search=False)
    carry(folder, plan_of(tmp_path))
    with pytest.raises(Refusal, match=f"pegbox resume {folder.id}"):
        continue_run(folder.entry("lora.seed-1"))
    with pytest.raises(Refusal, match="goes on as it was asked for"):
        continue_run(folder, epochs=3)


def test_another_owner_of_an_entry_is_no_failure_of_it(tmp_path: Path) -> None:
    folder = made("lora", search=False)
    carry(folder, plan_of(tmp_path))
    place = folder.entry("lora.seed-1")
    (place.path / "judged.json").unlink()
    lines = place.events.read_bytes().splitlines(keepends=True)
    place.events.write_bytes(b"".join(lines[:-1]))  # as if it had never finished
    ownership = Ownership.take(place)
    try:
        assert not carry(folder, plan_of(tmp_path))
    finally:
        ownership.release()
    assert "lora.seed-1" in told(folder, Failed)[0].where
    assert process_mark(os.getpid()) is not None
    assert carry(folder, plan_of(tmp_path))


def test_logs_of_comparisons_are_read_as_those_of_runs(tmp_path: Path) -> None:
    folder = made("lora", search=False)
    carry(folder, plan_of(tmp_path))
    assert [len(block) for block in EventReader(folder.events).new()]
    assert msgspec.json.decode(folder.summary.read_bytes())["status"] == "finished"
