"""Runs in the hands of a supervisor: crashes, pauses, queues and ends, with workers that only pretend."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import time
from pathlib import Path

import msgspec
import pytest

from pegbox_methods.events import (
    Change,
    CommandAnswer,
    Event,
    Failed,
    Finished,
    Notice,
    Paused,
    Queued,
    Replanned,
    Restarting,
    Started,
    WorkerEnded,
)
from pegbox_methods.recipe import Recipe, Recovery
from pegbox_methods.recipe_file import write_recipe
from pegbox_runs import replanning
from pegbox_runs.changes import current_recipe
from pegbox_runs.commands import send
from pegbox_runs.event_log import EventWriter
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.supervision import carrier, ledger, mailbox, telling
from pegbox_runs.supervision.policy import RestartPolicy
from pegbox_runs.viewing import state_of, summary_of
from tests.commands import wait_until
from tests.runs.supervised import InThisProcess, end_now, launched, newest, told, wait_for_told, write_plan
from tests.stories import RECIPE, made, started

DONE = ("finish", "completed")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at commands more often, for the tests' own sake."""
    monkeypatch.setattr(carrier, "WAKE_SECONDS", 0.1)


def carried(tmp_path: Path, *attempts: list[tuple[str, object]], restarts: int = 5) -> RunFolder:
    """Carry one run to its end."""
    folder = made()
    write_recipe(msgspec.structs.replace(RECIPE, recovery=Recovery(restarts=restarts)), folder.recipe)
    InThisProcess(write_plan(tmp_path, *attempts), [folder]).finish()
    return folder


def test_a_run_that_goes_well_has_one_worker_and_a_summary_and_no_owner(tmp_path: Path) -> None:
    folder = carried(tmp_path, [("steps", 2), DONE])
    assert told(folder) == ["Started", "Finished"]
    assert (summary_of(folder).status, summary_of(folder).attempts) == ("finished", 1)
    assert not folder.owner.exists()


def test_a_killed_worker_is_followed_by_another(tmp_path: Path) -> None:
    folder = carried(tmp_path, [("steps", 3), ("kill", 9)], [("resumed", 2), ("steps", 2), DONE])
    assert told(folder) == ["Started", "WorkerEnded", "Restarting", "Started", "Resumed", "Finished"]
    ended, restarting = newest(folder, WorkerEnded), newest(folder, Restarting)
    assert (ended.attempt, ended.exit_code, ended.signal) == (1, None, "SIGKILL")
    assert (restarting.attempt, restarting.left) == (2, 4)
    assert state_of(folder).steps_done == 4
    assert summary_of(folder).attempts == 2


def test_workers_that_crash_forever_are_started_so_often_and_no_more(tmp_path: Path) -> None:
    folder = carried(tmp_path, [("steps", 1), ("kill", 9)], restarts=2)
    assert told(folder).count("Started") == 3
    failed = newest(folder, Failed)
    assert "started again 2 times" in failed.remedy
    assert (failed.kind, failed.signal) == ("crash", "SIGKILL")
    assert summary_of(folder).status == "failed"


def test_the_same_error_at_the_same_step_is_met_twice_and_no_more(tmp_path: Path) -> None:
    folder = carried(
        tmp_path,
        [("steps", 3), ("fail", ("error", "boom"))],
        [("resumed", 2), ("steps", 1), ("fail", ("error", "boom"))],
    )
    assert told(folder).count("Started") == 2
    failed = newest(folder, Failed)
    assert (failed.what, failed.exit_code) == ("boom", 1)
    assert "The same happened at the same step before" in failed.remedy


def test_an_error_that_comes_later_each_time_is_no_loop(tmp_path: Path) -> None:
    broken = ("fail", ("device-lost", "the GPU vanished"))
    folder = carried(
        tmp_path, [("steps", 3), broken], [("resumed", 3), ("steps", 1), broken], [("resumed", 4), ("steps", 1), DONE]
    )
    assert told(folder).count("Started") == 3
    assert summary_of(folder).status == "finished"


def test_what_would_come_again_is_not_tried_again(tmp_path: Path) -> None:
    folder = carried(tmp_path, [("fail", ("refused", "the rows were changed"))])
    assert told(folder) == ["Started", "WorkerFailed", "WorkerEnded", "Failed"]
    assert newest(folder, Failed).remedy == "Mend it."


def test_out_of_memory_goes_on_with_what_needs_less_and_costs_no_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [
        replanning.Replan((Change(key="training.micro_batch", before=4, after=2),), "half as many rows"),
        replanning.Replan((Change(key="training.micro_batch", before=2, after=1),), "half as many rows again"),
    ]
    seen = []

    def replan(recipe: Recipe, state: object) -> replanning.Replan:
        seen.append(recipe.training.micro_batch)
        return found[len(seen) - 1]

    monkeypatch.setattr(replanning, "replan", replan)
    full = ("fail", ("device-memory", "the device ran out of memory"))
    folder = carried(tmp_path, [("steps", 1), full], [("resumed", 1), full], [("resumed", 1), DONE], restarts=0)
    assert seen == [4, 2]
    assert current_recipe(folder).training.micro_batch == 1
    assert told(folder).count("Replanned") == 2
    assert newest(folder, Replanned).changes == found[1].changes
    assert newest(folder, Restarting).left == 0
    assert summary_of(folder).status == "finished"


@pytest.mark.parametrize("answer", ["nothing", "an error"])
def test_out_of_memory_with_nothing_left_to_change_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    def replan(*_: object) -> None:
        if answer == "an error":
            raise ZeroDivisionError("a bug")

    monkeypatch.setattr(replanning, "replan", replan)
    folder = carried(tmp_path, [("fail", ("host-memory", "the machine ran out of memory"))])
    failed = newest(folder, Failed)
    assert failed.what == "the machine ran out of memory"
    assert ("training.micro_batch" in failed.remedy) is (answer == "an error")
    assert ("No setting is left" in failed.remedy) is (answer == "nothing")
    assert ("Notice" in told(folder)) is (answer == "an error")


def test_a_pause_with_released_memory_lasts_until_it_is_resumed(tmp_path: Path) -> None:
    folder = made()
    plan = write_plan(tmp_path, [("steps", 2), ("pause", "released")], [("resumed", 2), DONE])
    carrying = InThisProcess(plan, [folder])
    wait_for_told(folder, "Paused")
    time.sleep(0.7)
    assert told(folder) == ["Started", "Paused"]
    assert state_of(folder).status == "paused"
    for name in ("checkpoint", "pause", "dance"):
        send(folder.commands, name)
    wait_for_told(folder, "CommandAnswer", 3)
    assert newest(folder, CommandAnswer).taken is False
    send(folder.commands, "resume")
    carrying.finish()
    assert told(folder)[-4:] == ["CommandAnswer", "Started", "Resumed", "Finished"]
    assert newest(folder, CommandAnswer).taken is True


@pytest.mark.parametrize(("command", "status"), [("stop", "stopped"), ("abort", "aborted")])
def test_a_paused_run_without_a_worker_can_be_ended(tmp_path: Path, command: str, status: str) -> None:
    folder = made()
    carrying = InThisProcess(write_plan(tmp_path, [("steps", 2), ("pause", "released")]), [folder])
    wait_for_told(folder, "Paused")
    send(folder.commands, command)
    carrying.finish()
    assert newest(folder, Finished).steps == 2
    assert summary_of(folder).status == status


def test_a_worker_that_dies_while_it_is_paused_is_not_set_going_by_that(tmp_path: Path) -> None:
    folder = made()
    plan = write_plan(tmp_path, [("steps", 2), ("pause", "kept"), ("kill", 9)], [DONE])
    carrying = InThisProcess(plan, [folder])
    wait_for_told(folder, "Paused", 2)
    assert newest(folder, Paused).memory == "released"
    send(folder.commands, "resume")
    carrying.finish()
    assert told(folder) == ["Started", "Paused", "WorkerEnded", "Paused", "CommandAnswer", "Started", "Finished"]


def test_a_stop_that_a_dead_worker_took_is_done_by_the_next(tmp_path: Path) -> None:
    folder = made()
    plan = write_plan(
        tmp_path, [("steps", 2), ("wait", 0.01), ("deaf", True), ("wait", 0.6), ("kill", 9)], [("wait", 30)]
    )
    carrying = InThisProcess(plan, [folder])
    wait_for_told(folder, "Started")
    writer = EventWriter(folder.events)
    time.sleep(0.3)
    writer.emit(CommandAnswer(command="stop", id="x", taken=True, text="t", latency=0.1))
    writer.close()
    carrying.finish()
    assert told(folder).count("Started") == 2
    assert newest(folder, Finished).reason == "stopped"


def test_an_abort_that_a_worker_does_not_heed_is_done_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox, "ABORT_SECONDS", 0.3)
    folder = made()
    carrying = InThisProcess(write_plan(tmp_path, [("deaf", True), ("steps", 2), ("wait", 60)]), [folder])
    wait_for_told(folder, "Started")
    send(folder.commands, "abort")
    began = time.monotonic()
    carrying.finish()
    assert time.monotonic() - began < 5
    assert told(folder) == ["Started", "WorkerEnded", "CommandAnswer", "Finished"]
    answer, finished = newest(folder, CommandAnswer), newest(folder, Finished)
    assert (answer.taken, finished.reason, finished.adapter) == (True, "aborted", None)
    assert "killed" in answer.text


def test_an_abort_that_a_worker_heeds_is_left_to_it(tmp_path: Path) -> None:
    folder = made()
    carrying = InThisProcess(write_plan(tmp_path, [("steps", 2), ("wait", 60)]), [folder])
    wait_for_told(folder, "Started")
    send(folder.commands, "abort")
    carrying.finish()
    assert told(folder) == ["Started", "CommandAnswer", "Finished"]


@pytest.mark.parametrize(
    ("command", "end"), [("stop", ["Finished"]), ("abort", ["Finished"]), ("pause", ["Paused"]), ("resume", [])]
)
def test_commands_are_heeded_while_no_worker_lives(tmp_path: Path, command: str, end: list[str]) -> None:
    folder = made()
    plan = write_plan(tmp_path, [("steps", 1), ("kill", 9)], [DONE])
    carrying = InThisProcess(plan, [folder], restarts=RestartPolicy(first_wait_seconds=2.0))
    wait_for_told(folder, "Restarting")
    assert state_of(folder).status == "restarting"
    send(folder.commands, command)
    wait_for_told(folder, "CommandAnswer")
    if command == "pause":
        wait_for_told(folder, "Paused")
        send(folder.commands, "stop")
    carrying.finish()
    after = told(folder)[3:]
    assert after[: 1 + len(end)] == ["CommandAnswer", *end] or command == "resume"
    assert ("Started" in after) is (command == "resume")
    assert newest(folder, CommandAnswer).taken is (command != "resume")


def test_what_is_asked_at_the_end_is_answered_and_never_done_later(tmp_path: Path) -> None:
    folder = made()
    plan = write_plan(tmp_path, [("deaf", True), ("steps", 1), ("wait", 0.8), DONE], [("wait", 0.3), DONE])
    carrying = InThisProcess(plan, [folder])
    wait_for_told(folder, "Started")
    send(folder.commands, "stop")
    carrying.finish()
    assert told(folder) == ["Started", "Finished", "CommandAnswer"]
    assert newest(folder, CommandAnswer).taken is False
    send(folder.commands, "stop")  # nobody is there to hear it
    InThisProcess(plan, [folder]).finish()
    assert told(folder)[3:] == ["CommandAnswer", "Started", "Finished"]
    assert newest(folder, Finished).reason == "completed"


def test_three_runs_are_carried_one_after_the_other_whatever_becomes_of_them(tmp_path: Path) -> None:
    first, second, third, fourth = (made() for _ in range(4))
    plan = write_plan(
        tmp_path,
        **{
            first.id: [[("steps", 1), ("wait", 1.0), ("fail", ("refused", "no"))]],
            fourth.id: [[("steps", 1), DONE]],
        },
    )
    carrying = InThisProcess(plan, [first, second, third, fourth])
    wait_for_told(fourth, "Queued")
    assert [newest(folder, Queued).place for folder in (second, third, fourth)] == [1, 2, 3]
    assert state_of(second).status == "queued"
    send(second.commands, "pause")
    send(second.commands, "abort")
    send(third.commands, "stop")
    receipts = carrying.finish()
    assert {receipt["run"]: receipt["refused"] for receipt in receipts} == dict.fromkeys(
        (folder.id for folder in (first, second, third, fourth)), None
    )
    assert [summary_of(folder).status for folder in (first, second, third, fourth)] == [
        "failed",
        "aborted",
        "stopped",
        "finished",
    ]
    assert told(second) == ["Queued", "CommandAnswer", "CommandAnswer", "Finished"]
    assert [event for event in told(fourth) if event == "Queued"] == ["Queued"] * 3  # it moved up twice
    assert not any(folder.owner.exists() for folder in (first, second, third, fourth))


def test_a_run_whose_changes_are_damaged_does_not_take_the_queue_with_it(tmp_path: Path) -> None:
    damaged, sound = made(), made()
    damaged.changes.write_text("{bad\n")
    receipts = InThisProcess(write_plan(tmp_path, [("steps", 1), DONE]), [damaged, sound]).finish()
    refused = {receipt["run"]: receipt["refused"] for receipt in receipts}
    assert "changes.jsonl, line 1: holds no change of the recipe" in refused[damaged.id]
    assert summary_of(sound).status == "finished"


def test_an_abort_that_was_obeyed_before_ends_no_later_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox, "ABORT_SECONDS", 1.0)
    folder = made()
    plan = write_plan(tmp_path, [("steps", 1), ("wait", 60)], [("deaf", True), ("wait", 2.5), DONE])
    carrying = InThisProcess(plan, [folder])
    wait_for_told(folder, "Step")  # from then on it listens
    send(folder.commands, "abort")
    carrying.finish()
    assert newest(folder, Finished).reason == "aborted"
    supervisor = launched(plan, folder)
    wait_for_told(folder, "Started", 2)
    end_now(supervisor)
    InThisProcess(plan, [folder], adopting=True).finish()
    assert told(folder) == ["Started", "CommandAnswer", "Finished", "Started", "Finished"]
    assert newest(folder, Finished).reason == "completed"


def test_an_abort_that_a_worker_crashed_before_is_told_as_that(tmp_path: Path) -> None:
    folder = made()
    carrying = InThisProcess(
        write_plan(tmp_path, [("deaf", True), ("steps", 1), ("wait", 0.8), ("kill", 11)]), [folder]
    )
    wait_for_told(folder, "Started")
    send(folder.commands, "abort")
    carrying.finish()
    assert told(folder) == ["Started", "WorkerEnded", "CommandAnswer", "Finished"]
    assert newest(folder, CommandAnswer).text == "the worker ended by itself before it could answer; the run ends now"


def test_a_worker_whose_last_words_were_lost_is_followed_by_one_more_and_no_third(tmp_path: Path) -> None:
    wordless: list[tuple[str, object]] = [("steps", 2), ("exit", 0)]
    folder = carried(tmp_path, wordless, wordless, [("steps", 2), DONE])
    assert told(folder) == ["Started", "WorkerEnded", "Restarting", "Started", "WorkerEnded", "Failed"]
    failed = newest(folder, Failed)
    assert failed.what.startswith("the worker ended as it should")
    assert "adapter" in failed.remedy
    assert "`pegbox resume`" in failed.remedy


def test_a_gap_that_is_told_in_the_log_costs_no_event_that_a_full_disk_held_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = made()
    kept = ledger.Ledger(folder)
    room = 0

    def tell(place: RunFolder, *events: Event) -> None:
        if room and events:
            telling.tell(place, Notice(text="1 event is missing here", about="log-gap"), *events[:room])

    monkeypatch.setattr(ledger, "tell", tell)
    kept.tell(started())
    room = 1
    kept.tell(Paused(step=1, memory="released"))  # the gap takes a number of its own in the log
    assert told(folder) == ["Notice", "Started"]
    room = 2
    kept.tell(Finished(reason="stopped", steps=1, kept_step=0, adapter=None, seconds=1.0))
    kept.tell()
    assert told(folder) == ["Notice", "Started", "Notice", "Paused", "Finished"]


def test_a_run_that_another_owns_is_refused_and_the_next_one_is_carried(tmp_path: Path) -> None:
    owned, free = made(), made()
    plan = write_plan(tmp_path, [("steps", 1), ("wait", 2), DONE])
    other = InThisProcess(plan, [owned])
    wait_for_told(owned, "Started")
    receipts = InThisProcess(plan, [owned, free]).finish()
    assert [receipt["run"] for receipt in receipts if receipt["refused"]] == [owned.id]
    assert summary_of(free).status == "finished"
    other.finish()
    assert told(owned).count("Started") == 1


def test_a_queue_that_is_told_to_end_ends_all_its_runs(tmp_path: Path) -> None:
    first, second = made(), made()
    carrying = InThisProcess(write_plan(tmp_path, [("steps", 1), ("wait", 60)]), [first, second])
    wait_for_told(second, "Queued")
    wait_for_told(first, "Started")
    wait_until(lambda: len(state_of(first).loss) == 1)
    carrying.queue.terminate()
    carrying.finish()
    assert [summary_of(folder).status for folder in (first, second)] == ["stopped", "stopped"]


def test_a_paused_run_whose_supervisor_is_told_to_end_is_stopped(tmp_path: Path) -> None:
    folder = made()
    carrying = InThisProcess(write_plan(tmp_path, [("steps", 1), ("pause", "released")]), [folder])
    wait_for_told(folder, "Paused")
    carrying.queue.terminate()
    carrying.finish()
    assert told(folder) == ["Started", "Paused", "Finished"]
    assert summary_of(folder).status == "stopped"


def test_a_clock_that_jumps_back_moves_no_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = time.time
    began = real()
    monkeypatch.setattr(time, "time", lambda: real() - (86_400 if real() - began > 0.4 else 0))
    folder = made()
    plan = write_plan(tmp_path, [("steps", 1), ("kill", 9)], [("steps", 1), ("kill", 9)], [DONE])
    InThisProcess(plan, [folder], restarts=RestartPolicy(first_wait_seconds=0.3)).finish()
    assert real() - began < 10
    assert told(folder).count("Started") == 3
    assert summary_of(folder).status == "finished"


def test_a_full_disk_for_the_log_stops_neither_restarts_nor_their_counting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the supervisor tells is lost while nothing can be written, and told once it can."""
    full = True
    real = telling.EventWriter

    def writer(path: Path) -> EventWriter:
        if full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path)

    monkeypatch.setattr(telling, "EventWriter", writer)
    monkeypatch.setattr(ledger, "ASK_AGAIN_SECONDS", 0.05)
    folder = made()
    write_recipe(msgspec.structs.replace(RECIPE, recovery=Recovery(restarts=2)), folder.recipe)
    carrying = InThisProcess(write_plan(tmp_path, [("kill", 9)]), [folder])
    time.sleep(1.5)
    assert carrying.thread.is_alive()  # it has given up on the run, and not yet on telling so
    assert told(folder) == []
    full = False
    carrying.finish()
    assert told(folder) == [*["Started", "WorkerEnded", "Restarting"] * 2, "Started", "WorkerEnded", "Failed"]
    assert [event.attempt for event in [newest(folder, Started)]] == [3]
    assert summary_of(folder).status == "failed"


def test_no_worker_at_all_is_refused_before_anything_is_told(tmp_path: Path) -> None:
    folder = made()
    folder.recipe.write_text("nonsense = 1")
    (receipt,) = InThisProcess(write_plan(tmp_path, [DONE]), [folder]).finish()
    assert "nonsense" in receipt["refused"]
    assert told(folder) == []
    assert not folder.owner.exists()


def test_what_says_that_the_kernel_killed_for_memory_reaches_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replanning, "replan", lambda *_: None)
    monkeypatch.setattr(
        "pegbox_runs.supervision.worker_process.killed_for_memory", lambda _before: (True, "oom_kill rose from 0 to 1")
    )
    folder = carried(tmp_path, [("steps", 1), ("kill", int(signal.SIGKILL))])
    ended, failed = newest(folder, WorkerEnded), newest(folder, Failed)
    assert (ended.oom_killer, ended.evidence) == (True, "oom_kill rose from 0 to 1")
    assert "the kernel killed the worker for memory" in failed.what


@pytest.mark.parametrize("boundary", ["worker-ended", "restarting"])
def test_a_supervisor_that_stumbles_between_two_workers_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, boundary: str
) -> None:
    def strike(where: str, **_: object) -> None:
        if where == boundary:
            raise RuntimeError("a bug")

    monkeypatch.setattr("pegbox_runs.supervision.carrier.strike", strike)
    first, second = made(), made()
    plan = write_plan(tmp_path, **{first.id: [[("kill", 9)]], second.id: [[("finish", "completed")]]})
    InThisProcess(plan, [first, second]).finish()
    assert "RuntimeError: a bug" in newest(first, Failed).what
    assert not first.owner.exists()
    assert told(second)[-1] == ("Finished" if boundary == "restarting" else "Failed")


def test_a_run_whose_folder_is_removed_leaves_nobody_behind(tmp_path: Path) -> None:
    folder, other = made(), made()
    plan = write_plan(tmp_path, **{folder.id: [[("steps", 1), ("wait", 0.5), ("kill", 9)]], other.id: [[DONE]]})
    carrying = InThisProcess(plan, [folder, other])
    wait_for_told(folder, "Started")
    shutil.rmtree(folder.path)
    carrying.finish()
    assert not folder.path.exists()
    assert summary_of(other).status == "finished"
