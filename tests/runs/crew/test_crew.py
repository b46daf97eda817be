"""Runs of several processes under the real supervision and the real crew; launcher and processes only pretend."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from pegbox_methods.events import CommandAnswer, Failed, Finished, RankFailed, Restarting, Started, WorkerFailed
from pegbox_methods.recipe import Devices, Training
from pegbox_methods.recipe_file import write_recipe
from pegbox_runs.commands import send
from pegbox_runs.crew.rank_files import RankRecord, read_ranks
from pegbox_runs.process_mark import process_mark
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.supervision import mailbox, shared_worker, workers
from tests.commands import events_of, wait_until
from tests.runs.supervised import InThisProcess, newest, told, wait_for_told
from tests.stories import RECIPE, made

CREW = Path(__file__).with_name("pretended_crew.py")
DONE = ("finish", "completed")
WELL = {"*": [("steps", 3), DONE]}
ON = {"*": [("steps", 2), ("wait", 60), DONE]}
"""Ends only when it is told to."""


@pytest.fixture(autouse=True)
def where_tests_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the pretenders find each other, and have less patience."""
    monkeypatch.setattr(mailbox, "ABORT_SECONDS", 1.0)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))


@pytest.fixture
def supervised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Give what hands a run of two pretending processes to a supervisor; all of its own is ended behind the test."""
    begun: list[InThisProcess] = []

    def begin(*attempts: dict[str, Any], machines: str | None = None) -> tuple[RunFolder, InThisProcess]:
        plan = tmp_path / "ranks.json"
        plan.write_text(json.dumps({str(number): deeds for number, deeds in enumerate(attempts, start=1)}))
        monkeypatch.setattr(workers, "crew_command", lambda: [sys.executable, "-P", str(CREW), str(plan)])
        folder = made()
        training = Training(accumulation=4)
        devices = Devices(processes=2, engine="ddp")
        write_recipe(msgspec.structs.replace(RECIPE, training=training, devices=devices), folder.recipe)
        if machines is not None:
            (folder.path / "launch").mkdir()
            (folder.path / "launch" / "nodes.json").write_text(machines)
        begun.append(InThisProcess(plan, [folder]))
        return folder, begun[-1]

    before = {child.pid for child in psutil.Process().children(recursive=True)}
    yield begin
    for child in psutil.Process().children(recursive=True):
        if child.pid not in before:
            child.kill()


def ranks_of(folder: RunFolder, attempt: int = 1, count: int = 2) -> dict[int, RankRecord]:
    """Wait until all of a worker's processes are there and have done two steps."""
    wait_until(
        lambda: len(found := read_ranks(folder, attempt)) == count and all(one.step >= 2 for one in found.values())
    )
    return read_ranks(folder, attempt)


def gone(*records: RankRecord) -> bool:
    return all(process_mark(record.pid) is None for record in records)


def crew_of(folder: RunFolder) -> psutil.Process:
    return psutil.Process(newest(folder, Started).worker_pid)


def test_several_processes_carry_a_run_to_its_end_as_one_worker(supervised: Any) -> None:
    folder, run = supervised(WELL)
    run.finish()
    assert told(folder) == ["Started", "Finished"]
    assert (folder.path / "launch" / "attempt-1.yaml").read_text().startswith("# How worker 1")
    assert not folder.owner.exists()


@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_ends_the_others_is_named_and_the_run_goes_on(supervised: Any, rank: int) -> None:
    folder, run = supervised(ON, WELL)
    records = ranks_of(folder)
    os.kill(records[rank].pid, signal.SIGKILL)
    wait_for_told(folder, "WorkerFailed")
    assert gone(*records.values()), "nothing of a worker may live when its end is told"
    run.finish()
    names = ["Started", "RankFailed", "RankFailed", "WorkerFailed", "WorkerEnded", "Restarting", "Started", "Finished"]
    assert told(folder) == names
    failed = newest(folder, WorkerFailed)
    host = records[rank].host
    assert (failed.kind, failed.what) == ("crash", f"rank {rank} on {host} was killed by SIGKILL")
    first, other = (event for event in events_of(folder) if isinstance(event, RankFailed))
    assert (first.rank, first.first, first.pid, first.signal) == (rank, True, records[rank].pid, "SIGKILL")
    assert (other.rank, other.first) == (1 - rank, False)


def test_the_launcher_is_made_to_say_how_one_ended_that_another_one_outlives(supervised: Any) -> None:
    stubborn = {"0": [("stubborn", 0), *ON["*"]], "1": ON["*"]}
    folder, run = supervised(stubborn, WELL)
    records = ranks_of(folder)
    os.kill(records[1].pid, signal.SIGKILL)
    run.finish()
    assert newest(folder, WorkerFailed).what == f"rank 1 on {records[1].host} was killed by SIGKILL"
    first = next(event for event in events_of(folder) if isinstance(event, RankFailed))
    assert (first.rank, first.first, first.signal) == (1, True, "SIGKILL")


def test_what_a_process_says_of_itself_is_the_runs_failure(supervised: Any) -> None:
    trouble = {"kind": "disk", "what": "no room", "doing": "saving"}
    folder, run = supervised({"0": [("lose", 0)], "1": [("steps", 2), ("trouble", trouble)]})
    run.finish()
    failed = newest(folder, Failed)
    assert failed.kind == "disk"
    assert failed.what.startswith("rank 1 on ")
    assert failed.what.endswith(": no room")
    assert failed.where == "training at step 2"


def test_a_process_that_is_held_is_named_and_killed(supervised: Any) -> None:
    folder, run = supervised(ON, WELL)
    records = ranks_of(folder)
    os.kill(records[1].pid, signal.SIGSTOP)
    run.finish()
    assert "rank 1 on" in newest(folder, WorkerFailed).what
    assert "is held by a signal" in newest(folder, WorkerFailed).what
    assert gone(*records.values())
    assert newest(folder, Finished).reason == "completed"


def test_a_hang_is_told_in_place_of_being_waited_for(supervised: Any) -> None:
    behind = [("steps", 1), ("lose", 0)]
    folder, run = supervised({"0": [("steps", 2), ("lose", 0)], "1": behind}, WELL)
    run.finish()
    assert "is in step 2, others wait in step 3" in newest(folder, WorkerFailed).what
    assert newest(folder, RankFailed).first is False


def test_a_killed_launcher_takes_all_with_it_and_the_run_goes_on(supervised: Any) -> None:
    folder, run = supervised(ON, WELL)
    records = ranks_of(folder)
    (launcher,) = crew_of(folder).children()
    launcher.kill()
    run.finish()
    assert newest(folder, WorkerFailed).what == "the processes' launcher was killed by SIGKILL"
    assert gone(*records.values())
    assert newest(folder, Finished).reason == "completed"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux ends processes with their parent")
def test_a_killed_crew_takes_all_with_it_and_the_run_goes_on(supervised: Any) -> None:
    folder, run = supervised(ON, WELL)
    records = ranks_of(folder)
    crew_of(folder).kill()
    wait_for_told(folder, "WorkerEnded")
    wait_until(lambda: gone(*records.values()))
    run.finish()
    assert newest(folder, Restarting).why == "the worker was killed by SIGKILL"
    assert newest(folder, Finished).reason == "completed"


def test_a_stop_and_a_signal_reach_the_leading_process_as_a_command(supervised: Any) -> None:
    folder, run = supervised(ON)
    records = ranks_of(folder)
    crew_of(folder).terminate()
    run.finish()
    assert newest(folder, CommandAnswer).command == "stop"
    assert newest(folder, Finished).reason == "stopped"
    assert "WorkerFailed" not in told(folder)
    assert gone(*records.values())


def test_an_abort_that_the_leading_process_heeds_ends_the_others_at_once(supervised: Any) -> None:
    folder, run = supervised(ON)
    records = ranks_of(folder)
    send(folder.commands, "abort")
    run.finish()
    assert newest(folder, Finished).reason == "aborted"
    assert told(folder)[-1] == "Finished"
    assert gone(*records.values())


def test_an_abort_that_nobody_heeds_kills_all(supervised: Any) -> None:
    folder, run = supervised({"*": [("deaf", 0), ("steps", 2), ("wait", 60)]})
    records = ranks_of(folder)
    send(folder.commands, "abort")
    run.finish()
    assert newest(folder, Finished).reason == "aborted"
    wait_until(lambda: gone(*records.values()))


def test_a_pause_that_releases_the_memory_is_no_failure(supervised: Any) -> None:
    release = {"0": [("steps", 2), ("pause", "released")], "1": [("steps", 2), DONE]}
    folder, run = supervised(release, WELL)
    wait_for_told(folder, "Paused")
    records = read_ranks(folder, 1)
    wait_until(lambda: gone(*records.values()))
    send(folder.commands, "resume")
    run.finish()
    assert "WorkerFailed" not in told(folder)
    assert newest(folder, Finished).reason == "completed"


def test_what_keeps_the_processes_from_being_started_is_told_in_the_log(supervised: Any) -> None:
    folder, run = supervised(WELL, machines="?")
    run.finish()
    failed = newest(folder, Failed)
    assert failed.kind == "refused"
    assert "can't be read as the machines of a run" in failed.what


def test_a_comparisons_worker_makes_room_for_a_crew(supervised: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, run = supervised(WELL)
    run.finish()
    monkeypatch.setattr(shared_worker, "start_crew", lambda given: given)
    assert shared_worker.SharedWorkerSupply(lambda: ["no", "such"]).next(folder) is folder  # type: ignore[comparison-overlap]
