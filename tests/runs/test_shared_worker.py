"""One process for run after run: each turn ends once, by the process's word or by its death, and none gets lost."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pegbox_methods.events import Finished, Restarting, Started, WorkerEnded
from pegbox_runs.process_mark import process_mark
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.supervision import worker_process
from pegbox_runs.supervision.shared_worker import SharedWorkerSupply, Turn
from pegbox_runs.supervision.worker import Worker
from pegbox_runs.supervision.worker_process import WorkerProcess
from tests.commands import events_of, wait_until
from tests.runs.carried import carry
from tests.runs.supervised import end_now
from tests.stories import made

WORKER = Path(__file__).with_name("pretended_turns.py")


@pytest.fixture
def supply() -> Iterator[SharedWorkerSupply]:
    given = SharedWorkerSupply(lambda: [sys.executable, "-P", str(WORKER)], lambda: os.environ)
    yield given
    given.close()


def folder_with(*deeds: str) -> RunFolder:
    """Make a run's folder and say in it what its worker does."""
    folder = made()
    (folder.path / "deeds").write_text("\n".join(deeds))
    return folder


def given(supply: SharedWorkerSupply, folder: RunFolder) -> Turn:
    """Give a run its turn."""
    turn = supply.next(folder)
    turn.hand_over(folder)
    return turn


def ended(turn: Worker) -> bool:
    """Wait until a turn is over as a carrier does. Returns: whether its descriptor told so each time."""
    until = time.monotonic() + 60
    while not turn.gone:
        poller = select.poll()
        assert turn.descriptor is not None
        poller.register(turn.descriptor, select.POLLIN)
        assert poller.poll(1000 * (until - time.monotonic())), "it never ended"
    return True


def carried(supply: SharedWorkerSupply, *deeds: str) -> Turn:
    """Give a run its turn and see to it until it is over."""
    folder = folder_with(*deeds)
    turn = given(supply, folder)
    assert ended(turn)
    supply.finish(turn, folder)
    return turn


def test_runs_that_are_completed_share_a_process(supply: SharedWorkerSupply) -> None:
    turns = [carried(supply, "complete") for _ in range(3)]
    assert len({(turn.pid, turn.mark) for turn in turns}) == 1
    assert [turn.exit for turn in turns] == [(0, None)] * 3
    assert [turn.killed_for_memory() for turn in turns] == [(False, "")] * 3


def test_a_turn_is_over_when_the_process_says_so_and_no_sooner(supply: SharedWorkerSupply, tmp_path: Path) -> None:
    half, whole = tmp_path / "half", tmp_path / "whole"
    folder = folder_with("tell 0", f"wait {half}", r"tell \n", f"wait {whole}")
    turn = given(supply, folder)
    time.sleep(0.3)
    assert not turn.gone
    half.touch()
    assert ended(turn)
    turn.send(signal.SIGKILL)  # too late: it might hit the next run
    supply.finish(turn, folder)
    whole.touch()
    assert carried(supply, "complete").pid == turn.pid


@pytest.mark.parametrize(
    ("deeds", "code", "name"),
    [
        (["exit 1"], 1, None),
        (["exit 0"], 0, None),  # as after a stop, or an abort
        ([f"kill {int(signal.SIGKILL)}"], None, "SIGKILL"),
        ([f"kill {int(signal.SIGSEGV)}"], None, "SIGSEGV"),
        (["tell 0", "exit 3"], 3, None),
    ],
)
def test_after_any_other_end_the_next_run_gets_a_fresh_process(
    supply: SharedWorkerSupply, deeds: list[str], code: int | None, name: str | None
) -> None:
    first = carried(supply, "complete")
    second = carried(supply, *deeds)
    assert second.pid == first.pid
    assert second.exit == (code, name)
    third = carried(supply, "complete")
    assert third.pid != first.pid
    assert carried(supply, "complete").pid == third.pid


def test_a_process_that_was_killed_in_its_turn_costs_that_run_alone(supply: SharedWorkerSupply) -> None:
    first = carried(supply, "complete")
    folder = folder_with("wait /nowhere")
    turn = given(supply, folder)
    wait_until((folder.path / "pids").exists)
    turn.send(signal.SIGKILL)
    assert ended(turn)
    assert (turn.pid, turn.exit) == (first.pid, (None, "SIGKILL"))
    assert turn.killed_for_memory()[0] in (False, None)
    supply.finish(turn, folder)
    assert carried(supply, "complete").pid != first.pid


def test_one_that_dies_between_two_turns_is_replaced(supply: SharedWorkerSupply) -> None:
    first = carried(supply, "complete")
    end_now(first.pid)
    second = carried(supply, "complete")
    assert second.pid != first.pid
    assert second.exit == (0, None)


def test_one_that_completes_its_run_and_then_dies_has_completed_it(supply: SharedWorkerSupply) -> None:
    first = carried(supply, "complete", "exit 9")
    wait_until(lambda: process_mark(first.pid) is None)
    assert first.exit == (0, None)
    assert carried(supply, "complete").pid != first.pid


def test_one_that_dies_while_it_is_handed_a_run_is_told_as_dead(supply: SharedWorkerSupply) -> None:
    first = carried(supply, "complete")
    folder = folder_with("complete")
    turn = supply.next(folder)
    end_now(turn.pid)
    turn.hand_over(folder)
    assert ended(turn)
    assert (turn.pid, turn.exit) == (first.pid, (None, "SIGKILL"))
    supply.finish(turn, folder)
    assert carried(supply, "complete").pid != first.pid


@pytest.mark.parametrize("words", [r"1\n", r"completed\n", r"0\n0\n", "x", r"\n"])
def test_one_that_tells_anything_else_is_ended_before_it_does_more(
    supply: SharedWorkerSupply, tmp_path: Path, words: str
) -> None:
    folder = folder_with(f"tell {words}", f"wait {tmp_path / 'never'}")
    turn = given(supply, folder)
    assert ended(turn)
    assert process_mark(turn.pid) is None
    assert turn.exit == (None, "SIGKILL")
    memory, evidence = turn.killed_for_memory()
    assert memory is False
    assert repr(words.encode().decode("unicode_escape").encode()) in evidence
    supply.finish(turn, folder)
    assert carried(supply, "complete").exit == (0, None)


def test_one_that_tells_two_ends_gets_no_further_run(supply: SharedWorkerSupply, tmp_path: Path) -> None:
    folder = folder_with("complete", f"wait {tmp_path / 'second'}", "complete", f"wait {tmp_path / 'never'}")
    turn = given(supply, folder)
    assert ended(turn)
    supply.finish(turn, folder)
    (tmp_path / "second").touch()
    assert turn.process.turns is not None
    select.select([turn.process.turns], [], [], 60)
    after = carried(supply, "complete")
    assert after.pid != turn.pid
    assert process_mark(turn.pid) is None


def test_what_a_process_prints_goes_to_the_run_that_it_was_started_for(supply: SharedWorkerSupply) -> None:
    folder = folder_with("print hello", "complete")
    turn = given(supply, folder)
    assert ended(turn)
    supply.finish(turn, folder)
    assert folder.log.read_text() == "hello\n"


def test_what_a_warm_process_prints_early_goes_to_its_first_run(supply: SharedWorkerSupply) -> None:
    supply.warm()
    folders = [folder_with("print hello", "complete"), folder_with("complete")]
    pids = set()
    for folder in folders:
        turn = given(supply, folder)
        assert ended(turn)
        supply.finish(turn, folder)
        pids.add(turn.pid)
    assert len(pids) == 1
    assert folders[0].log.read_text() == "hello\n"
    assert folders[1].log.read_text() == ""


def test_closing_ends_the_process_that_waits_and_only_that(supply: SharedWorkerSupply) -> None:
    other = SharedWorkerSupply(lambda: [sys.executable, "-P", str(WORKER)], lambda: os.environ)
    try:
        theirs = carried(other, "complete")  # it would keep the first one's input open if it had inherited it
        ours = carried(supply, "complete")
        supply.close()
        assert process_mark(ours.pid) is None
        assert process_mark(theirs.pid) == theirs.mark
        supply.close()
    finally:
        other.close()
    assert process_mark(theirs.pid) is None


def test_a_process_whose_runs_giver_died_finds_its_input_at_its_end(tmp_path: Path) -> None:
    folder = folder_with(f"wait {tmp_path / 'on'}", "complete")
    script = (
        "import os, sys, signal\n"
        "from pathlib import Path\n"
        "from pegbox_runs.run_folder import RunFolder\n"
        "from pegbox_runs.supervision.shared_worker import SharedWorkerSupply\n"
        "supply = SharedWorkerSupply(lambda: [sys.executable, '-P', sys.argv[1]], lambda: os.environ)\n"
        "folder = RunFolder(Path(sys.argv[2]))\n"
        "turn = supply.next(folder)\n"
        "turn.hand_over(folder)\n"
        "told = folder.path / 'pids'\n"
        "while not (told.exists() and told.read_text().endswith(chr(10))): pass\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    giver = os.posix_spawn(
        sys.executable, [sys.executable, "-P", "-c", script, str(WORKER), str(folder.path)], os.environ
    )
    os.waitpid(giver, 0)
    pid = int((folder.path / "pids").read_text())
    assert process_mark(pid) is not None
    (tmp_path / "on").touch()
    wait_until(lambda: process_mark(pid) is None)


def test_where_the_system_has_no_process_descriptors_deaths_are_seen_too(
    supply: SharedWorkerSupply, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_process, "_pidfd", lambda _: None)
    folder = folder_with("exit 4")
    turn = given(supply, folder)
    wait_until(lambda: turn.gone)
    assert turn.exit == (4, None)
    supply.finish(turn, folder)


def test_a_worker_that_another_supervisor_left_behind_is_let_go(supply: SharedWorkerSupply) -> None:
    adopted = WorkerProcess.adopt(os.getpid(), process_mark(os.getpid()))
    assert adopted is not None
    supply.finish(adopted, made())
    assert adopted.descriptor is None


# ---- in a carrier's hands ------------------------------------------------------------------------------------------


def test_a_carrier_starts_a_run_again_whose_shared_process_was_killed(tmp_path: Path) -> None:
    supply = SharedWorkerSupply(
        lambda: [sys.executable, "-P", str(WORKER.with_name("pretended_sharer.py"))], lambda: os.environ
    )
    with contextlib.closing(supply):
        first, second, third = made(), made(), made()
        (second.path / "killed-once").touch()
        for folder in (first, second, third):
            assert isinstance(carry(supply, folder).ended, Finished)
    pids = [event.worker_pid for event in events_of(first) if isinstance(event, Started)]
    died, lived = (event.worker_pid for event in events_of(second) if isinstance(event, Started))
    assert pids == [died] != [lived]
    ends = [event for event in events_of(second) if isinstance(event, WorkerEnded)]
    assert [(end.exit_code, end.signal) for end in ends] == [(None, "SIGKILL")]
    assert sum(isinstance(event, Restarting) for event in events_of(second)) == 1
    assert [event.worker_pid for event in events_of(third) if isinstance(event, Started)] == [lived]
    assert not any(isinstance(event, WorkerEnded) for event in (*events_of(first), *events_of(third)))
