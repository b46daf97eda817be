"""Nothing is lost when a supervisor dies: real processes, and workers that only pretend."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pegbox_methods.events import Started
from pegbox_methods.refusal import Refusal
from pegbox_runs.commands import send
from pegbox_runs.continuing import continue_run
from pegbox_runs.launch import WarmSupervisor, launch
from pegbox_runs.process_mark import process_mark
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.supervision.adopting import adopt
from pegbox_runs.supervision.owner import read_owner
from pegbox_runs.viewing import follow, state_of, summary_of
from tests.commands import wait_until
from tests.runs import pretended_supervisor
from tests.runs.supervised import end_now, launched, newest, pretend_everywhere, told, wait_for_told, write_plan
from tests.stories import made

DONE = ("finish", "completed")


def follow_to_the_end(folder: RunFolder) -> str:
    status = ""
    for advance in follow(folder):
        status = advance.state.status
    return status


def test_a_worker_that_outlives_its_supervisor_is_adopted_and_followed_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = write_plan(tmp_path, [("steps", 2), ("wait", 1.5), ("kill", 9)], [("resumed", 2), ("steps", 1), DONE])
    pretend_everywhere(plan, monkeypatch)
    folder = made()
    end_now(launched(plan, folder))
    assert state_of(folder).status == "running"  # its worker lives
    assert adopt(folder)
    wait_until(lambda: (owner := read_owner(folder)) is not None and owner.lives)
    assert not adopt(folder)  # one is enough
    with pytest.raises(Refusal, match="running already"):
        continue_run(folder)
    assert follow_to_the_end(folder) == "finished"
    assert told(folder) == ["Started", "WorkerEnded", "Restarting", "Started", "Resumed", "Finished"]
    assert newest(folder, Started).attempt == 2
    assert summary_of(folder).attempts == 2
    wait_until(lambda: not folder.owner.exists())


def test_a_worker_that_finishes_under_its_second_supervisor_needs_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = write_plan(tmp_path, [("steps", 2), ("wait", 0.8), DONE])
    pretend_everywhere(plan, monkeypatch)
    folder = made()
    end_now(launched(plan, folder))
    continue_run(folder)  # finds the worker, and gives it a supervisor
    with pytest.raises(Refusal, match="running already"):
        continue_run(folder, epochs=9)
    assert follow_to_the_end(folder) == "finished"
    assert told(folder) == ["Started", "Finished"]
    wait_until(folder.summary.exists)


def test_what_a_worker_told_while_nobody_watched_is_concluded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = write_plan(tmp_path, [("steps", 2), ("wait", 0.5), ("fail", ("error", "boom"))], [("resumed", 2), DONE])
    pretend_everywhere(plan, monkeypatch)
    folder = made()
    end_now(launched(plan, folder))
    wait_for_told(folder, "WorkerFailed")
    wait_until(lambda: state_of(folder).status == "lost")
    assert adopt(folder)
    wait_for_told(folder, "Finished")
    assert told(folder) == [*("Started", "WorkerFailed", "WorkerEnded", "Restarting", "Started", "Resumed", "Finished")]


@pytest.mark.parametrize("boundary", ["supervisor-start", "worker-start", "worker-ended", "restarting"])
@pytest.mark.parametrize("by", ["adopt", "continue"])
def test_a_supervisor_killed_at_any_of_its_boundaries_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, boundary: str, by: str
) -> None:
    plan = write_plan(tmp_path, [("steps", 2), ("kill", 9)], [("resumed", 2), ("steps", 1), DONE])
    pretend_everywhere(plan, monkeypatch)
    folder = made()
    nth = 2 if boundary == "worker-start" else 1  # the first is before the run is handed over, and told to its launcher
    if boundary == "supervisor-start":
        folder.events.write_bytes(b"\n")  # as of a run that has begun, so that it isn't removed
    with monkeypatch.context() as patched:
        patched.setenv("PEGBOX_FAULTS", json.dumps([{"at": boundary, "do": "kill", "nth": nth}]))
        if boundary == "supervisor-start":
            with pytest.raises(Refusal):
                launched(plan, folder)
        else:
            supervisor = launched(plan, folder)
            wait_until(lambda: process_mark(supervisor) is None)
    # The worker-start of the second worker leaves one that never got the run; it ends by itself.
    adopt(folder) if by == "adopt" else continue_run(folder)
    wait_for_told(folder, "Finished")
    wait_until(folder.summary.exists)
    assert summary_of(folder).status == "finished"
    wait_until(lambda: not folder.owner.exists())


@pytest.mark.parametrize("by", ["adopt", "continue"])
def test_a_run_that_waits_for_resume_is_lost_with_its_supervisor_and_goes_on_with_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    plan = write_plan(tmp_path, [("steps", 2), ("pause", "released")], [("resumed", 2), DONE])
    pretend_everywhere(plan, monkeypatch)
    folder = made()
    supervisor = launched(plan, folder)
    wait_for_told(folder, "Paused")
    assert state_of(folder).status == "paused"
    end_now(supervisor)
    assert follow_to_the_end(folder) == "lost"
    if by == "adopt":
        adopt(folder)
        wait_until(lambda: state_of(folder).status == "paused")
        send(folder.commands, "resume")
    else:
        continue_run(folder)
    assert follow_to_the_end(folder) == "finished"


def test_a_queued_run_is_lost_with_its_supervisor_and_can_be_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = made(), made()
    plan = write_plan(tmp_path, **{first.id: [[("wait", 60)]], second.id: [[("steps", 1), DONE]]})
    pretend_everywhere(plan, monkeypatch)
    supervisor = launched(plan, first, second)
    assert state_of(second).status == "queued"
    worker = newest(first, Started).worker_pid
    end_now(supervisor)
    assert follow_to_the_end(second) == "lost"
    continue_run(second)
    assert follow_to_the_end(second) == "finished"
    end_now(worker)


def test_who_adopts_a_run_takes_on_those_that_wait_behind_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = made(), made(), made()
    plan = write_plan(
        tmp_path,
        **{
            first.id: [[("steps", 1), ("wait", 1.5), DONE]],
            second.id: [[("steps", 1), ("finish", "stopped")], [("resumed", 1), DONE]],
            third.id: [[DONE]],
        },
    )
    pretend_everywhere(plan, monkeypatch)
    launched(plan, second)  # it has ended once before
    assert follow_to_the_end(second) == "stopped"
    wait_until(lambda: not second.owner.exists())
    end_now(launched(plan, first, second, third))
    adopt(first)
    assert [follow_to_the_end(folder) for folder in (first, second, third)] == ["finished"] * 3
    assert told(second)[-4:] == ["Queued", "Started", "Resumed", "Finished"]


def test_two_that_continue_a_run_at_once_start_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = write_plan(tmp_path, [("steps", 1), ("finish", "stopped")], [("resumed", 1), ("wait", 1.5), DONE])
    pretend_everywhere(plan, monkeypatch)
    folder = made()
    launched(plan, folder)
    assert follow_to_the_end(folder) == "stopped"
    wait_until(lambda: not folder.owner.exists())
    refused: list[str] = []

    def go_on() -> None:
        try:
            launch([folder])
        except Refusal as refusal:
            refused.append(refusal.sentence)

    threads = [threading.Thread(target=go_on) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 2
    assert all("running already" in sentence or "just taking" in sentence for sentence in refused)
    assert follow_to_the_end(folder) == "finished"
    assert told(folder) == ["Started", "Finished", "Started", "Resumed", "Finished"]


def test_hanging_up_ends_nothing_and_sigterm_stops_the_run(tmp_path: Path) -> None:
    folder = made()
    supervisor = launched(write_plan(tmp_path, [("steps", 2), ("wait", 60)]), folder)
    wait_until(lambda: len(state_of(folder).loss) == 2)
    os.kill(supervisor, signal.SIGHUP)
    time.sleep(0.7)
    assert process_mark(supervisor) is not None
    os.kill(supervisor, signal.SIGTERM)
    assert follow_to_the_end(folder) == "stopped"


def test_supervisor_and_worker_are_in_a_session_of_their_own(tmp_path: Path) -> None:
    folder = made()
    supervisor = launched(write_plan(tmp_path, [("steps", 1), ("wait", 60)]), folder)
    worker = newest(folder, Started).worker_pid
    assert os.getsid(supervisor) == os.getsid(worker) == supervisor != os.getsid(0)
    os.kill(supervisor, signal.SIGTERM)
    assert follow_to_the_end(folder) == "stopped"


def test_the_lock_is_gone_with_the_supervisor_though_its_worker_lives(tmp_path: Path) -> None:
    """A worker that held it would keep its own run from being adopted."""
    folder = made()
    supervisor = launched(write_plan(tmp_path, [("steps", 1), ("wait", 3), DONE]), folder)
    wait_until(lambda: len(state_of(folder).loss) == 1)
    end_now(supervisor)
    worker = newest(folder, Started).worker_pid
    assert process_mark(worker) is not None
    opened = [link.readlink().name for link in Path(f"/proc/{worker}/fd").iterdir()]
    assert folder.events.name in opened
    assert folder.owner.name not in opened


def test_a_supervisor_that_takes_no_run_leaves_nothing_of_a_new_one_and_all_of_an_old_one() -> None:
    new, old = made(), made()
    old.events.write_bytes(b'{"event":"notice","seq":1,"text":"t"}\n')
    with WarmSupervisor([sys.executable, "-c", "input()"]) as supervisor, pytest.raises(Refusal):
        supervisor.take([new, old])
    assert not new.path.exists()
    assert old.path.exists()


def test_a_refusal_of_one_run_starts_none_of_those_handed_over_with_it(tmp_path: Path) -> None:
    first, owned, third = made(), made(), made()
    plan = write_plan(tmp_path, [("steps", 1), ("wait", 5), DONE])
    other = launched(plan, owned)
    with pytest.raises(Refusal, match=f"process {other} on"):
        launched(plan, first, owned, third)
    assert [folder.path.exists() for folder in (first, owned, third)] == [False, True, False]
    assert state_of(owned).status == "running"
    os.kill(other, signal.SIGTERM)
    assert follow_to_the_end(owned) == "stopped"


def test_a_supervisor_that_gets_no_run_ends_with_its_worker(tmp_path: Path) -> None:
    done = subprocess.run(
        pretended_supervisor.command(str(write_plan(tmp_path, [DONE]))),
        stdin=subprocess.DEVNULL,
        timeout=30,
        check=True,
    )
    assert done.returncode == 0


def test_many_viewers_each_see_the_whole_history_over_restarts(tmp_path: Path) -> None:
    folder = made()
    launched(
        write_plan(tmp_path, [("steps", 3), ("kill", 9)], [("resumed", 2), ("steps", 2), ("wait", 0.5), DONE]), folder
    )
    seen: list[list[str]] = []

    def view() -> None:
        seen.append([type(event).__name__ for advance in follow(folder) for event in advance.news])

    threads = [threading.Thread(target=view) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 5
    assert all(events == seen[0] for events in seen)
    assert seen[0].count("Step") == 5
    assert (seen[0][0], seen[0][-1]) == ("Started", "Finished")
