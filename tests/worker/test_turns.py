"""A worker that carries run after run: each as if it had the process for itself, none behind one gone wrong."""

from __future__ import annotations

import os
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from pegbox_methods.events import Evaluation, Finished, Started, Step, WorkerFailed
from pegbox_methods.recipe_file import read_recipe
from pegbox_runs.event_log import EventWriter
from pegbox_runs.preflight import check
from pegbox_runs.process_mark import process_mark
from pegbox_runs.run_folder import RunFolder, create
from pegbox_runs.supervision import adopting
from pegbox_runs.supervision.shared_worker import SharedWorkerSupply
from pegbox_runs.supervision.workers import WorkerSupply
from pegbox_worker import __main__ as worker_main
from pegbox_worker.base_shelf import BaseShelf
from pegbox_worker.stop_flag import StopFlag
from tests.commands import events_of, wait_for, wait_until, write_recipe_text
from tests.runs.arena.directed import made as comparison
from tests.runs.carried import carry
from tests.stories import made, started

# ---- the worker's own part, with runs that only pretend ------------------------------------------------------------


class Turns:
    """The worker's loop in this process, given runs that `carry` ends as it likes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        lines, self.give = os.pipe()
        self.read, self.write = os.pipe()
        monkeypatch.setattr(worker_main, "STDIN", lines)
        monkeypatch.setattr(worker_main, "print_into", lambda _: None)
        monkeypatch.setattr(worker_main, "clean_streams", lambda: None)
        self.stop = StopFlag()
        self.folders = worker_main.Folders()
        self.shelves: list[BaseShelf] = []

    def work(self, *runs: RunFolder, carry: Callable[..., int] | None = None) -> int:
        """Give runs, then the end of input, and carry what is taken. Returns: the exit code."""
        os.write(self.give, b"".join(os.fsencode(run.path) + b"\n" for run in runs))
        os.close(self.give)
        first = self.folders.next()
        assert first is not None
        handed = worker_main.take(first, self.stop)
        return worker_main._in_turn(handed, self.folders, self.stop, carry or self.complete, self.write)

    def complete(self, folder: RunFolder, writer: EventWriter, control: Any, state: Any, shelf: BaseShelf) -> int:
        """Be a run that ends well."""
        self.shelves.append(shelf)
        writer.emit(finished("completed"))
        return 0

    def said(self) -> bytes:
        """Give what was told through the pipe so far."""
        return os.read(self.read, 100) if select.select([self.read], [], [], 0)[0] else b""


def finished(reason: Any) -> Finished:
    return Finished(reason=reason, steps=1, kept_step=1, adapter=None, seconds=1.0)


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> Turns:
    return Turns(monkeypatch)


def test_run_after_run_is_carried_until_the_input_ends(turns: Turns) -> None:
    runs = [made() for _ in range(3)]
    assert turns.work(*runs) == 0
    assert [type(events_of(run)[-1]) for run in runs] == [Finished] * 3
    assert turns.said() == b"0\n" * 3
    assert len({id(shelf) for shelf in turns.shelves}) == 1
    assert not os.get_inheritable(turns.write)


@pytest.mark.parametrize(
    ("code", "event"),
    [
        (1, WorkerFailed(kind="error", what="it broke", where="training", remedy="Mend it.")),
        (1, finished("completed")),
        (0, finished("stopped")),
        (0, finished("aborted")),
        (0, None),  # paused, its memory released; or a disk that took nothing more
    ],
)
def test_behind_any_other_end_than_completion_no_run_is_taken(turns: Turns, code: int, event: Any) -> None:
    def carry(_: RunFolder, writer: EventWriter, *__: Any) -> int:
        if event is not None:
            writer.emit(event)
        return code

    runs = [made(), made()]
    assert turns.work(*runs, carry=carry) == code
    assert turns.said() == b""
    assert events_of(runs[1]) == []


def test_a_completion_that_another_worker_of_the_run_told_does_not_count(turns: Turns) -> None:
    run = made()
    writer = EventWriter(run.events)
    writer.emit(finished("completed"))
    writer.emit(started(attempt=2))
    writer.close()
    assert turns.work(run, made(), carry=lambda *_: 0) == 0
    assert turns.said() == b""


def test_a_run_that_breaks_out_takes_the_process_with_it(turns: Turns) -> None:
    def carry(*_: Any) -> int:
        raise MemoryError

    with pytest.raises(MemoryError):
        turns.work(made(), made(), carry=carry)
    assert turns.said() == b""


def test_one_told_to_terminate_takes_no_further_run(turns: Turns) -> None:
    def carry(*arguments: Any) -> int:
        turns.stop.raised = True
        return turns.complete(*arguments)

    assert turns.work(made(), made(), carry=carry) == 0
    assert turns.said() == b""


def test_one_told_to_terminate_while_it_waits_ends(turns: Turns) -> None:
    turns.stop.raised = True
    began = time.monotonic()
    assert turns.folders.next(turns.stop) is None
    assert time.monotonic() - began < 5


def test_one_whose_giver_is_gone_ends(turns: Turns) -> None:
    os.close(turns.read)
    runs = [made(), made()]
    assert turns.work(*runs) == 0
    assert events_of(runs[1]) == []


@pytest.mark.parametrize("end", ["broken pipe", "end of input", "a run gone wrong"])
@pytest.mark.parametrize("director", ["died", "lives"])
@pytest.mark.parametrize("of", ["a comparison", "nothing"])
def test_one_whose_director_died_has_another_started(
    turns: Turns, monkeypatch: pytest.MonkeyPatch, end: str, director: str, of: str
) -> None:
    adopted: list[RunFolder] = []

    def adopt(folder: RunFolder) -> bool:
        adopted.append(folder)
        raise OSError("no process can be started")

    monkeypatch.setattr(adopting, "adopt", adopt)
    monkeypatch.setattr(worker_main, "SupervisorGuard", lambda *_: SimpleNamespace(look=lambda: None))
    entry = made()
    if of == "a comparison":
        entry = comparison().entry("lora.seed-1")
        shutil.copytree(made().path, entry.path)
    writer = EventWriter(entry.events)
    writer.emit(started(supervisor_pid=os.getppid() + (director == "died")))
    writer.close()
    if end == "broken pipe":
        os.close(turns.read)
    wrong = end == "a run gone wrong"
    assert turns.work(entry, carry=(lambda *_: 1) if wrong else None) == wrong
    assert adopted == ([entry] if (director, of) == ("died", "a comparison") else [])


def test_a_line_that_comes_in_parts_is_one_and_half_a_line_none(turns: Turns) -> None:
    os.write(turns.give, b"/one/ru")
    assert select.select([worker_main.STDIN], [], [], 0)[0]
    os.write(turns.give, b"n\n/two\n/thr")
    os.close(turns.give)
    found = [turns.folders.next(), turns.folders.next(turns.stop), turns.folders.next()]
    assert [folder and str(folder.path) for folder in found] == ["/one/run", "/two", None]


# ---- the real thing ------------------------------------------------------------------------------------------------


def run_of(place: Path, method: str = "lora", every: int = 2, **training: Any) -> RunFolder:
    """Make a tiny run, as `pegbox train` would."""
    recipe = read_recipe(
        write_recipe_text(
            place,
            rows={"limit": 24},
            method={"name": method},
            training={"max_steps": 2, "micro_batch": 2, "accumulation": 1, "length": 64, **training},
            evaluation={"every": every, "samples": 0},
        )
    )
    checked = check(recipe, file="recipe.toml")
    return create(checked.recipe, checked.environment())


def numbers(folder: RunFolder) -> tuple[list[float], bytes]:
    """Give all losses of a run, and its adapter's weights."""
    losses = [event.loss for event in events_of(folder) if isinstance(event, Step | Evaluation)]
    assert len(losses) == 4
    (weights,) = folder.adapter.glob("*.safetensors")
    return losses, weights.read_bytes()


def pid_of(folder: RunFolder) -> int | None:
    (told,) = [event for event in events_of(folder) if isinstance(event, Started)]
    return told.worker_pid


@pytest.mark.slow
def test_three_runs_of_one_process_are_those_of_three_processes(tmp_path: Path) -> None:
    methods = ("pissa", "full", "lora")
    supply = SharedWorkerSupply()
    shared = [run_of(tmp_path, method) for method in methods]
    try:
        for folder in shared:
            carry(supply, folder)
            assert isinstance(events_of(folder)[-1], Finished), folder.log.read_text()
    finally:
        supply.close()
    assert len({pid_of(folder) for folder in shared}) == 1
    for method, folder in zip(methods, shared, strict=True):
        alone = run_of(tmp_path, method)
        carry(WorkerSupply(), alone)
        assert numbers(alone) == numbers(folder)
        assert pid_of(alone) != pid_of(folder)
    said = [re.findall(r"the (?:base model|run before) .*", folder.log.read_text()) for folder in shared]
    assert said == [[], *[["the run before has changed the base model's weights"]] * 2]


@pytest.mark.slow
def test_behind_a_run_that_was_stopped_the_next_gets_a_fresh_process(tmp_path: Path) -> None:
    supply = SharedWorkerSupply()
    endless, again = run_of(tmp_path, max_steps=10_000, epochs=1000.0), run_of(tmp_path)
    try:
        stopper = subprocess.Popen([sys.executable, "-P", "-c", STOP, str(endless.path)])
        carry(supply, endless)
        assert stopper.wait() == 0
        ended = events_of(endless)[-1]
        assert isinstance(ended, Finished)
        assert ended.reason == "stopped"
        carry(supply, again)
        assert numbers(again)
        assert pid_of(again) != pid_of(endless)
    finally:
        supply.close()
    assert process_mark(pid_of(again) or 0) is None


@pytest.mark.slow
def test_one_whose_giver_was_killed_completes_its_run_and_ends(tmp_path: Path) -> None:
    folder = run_of(tmp_path, every=1000, max_steps=150, epochs=100.0)
    house = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    giver = subprocess.Popen([sys.executable, "-P", "-c", GIVE, str(folder.path)], env=house)
    wait_for(folder, lambda event: isinstance(event, Step))
    giver.kill()
    giver.wait()
    told = next(event for event in events_of(folder) if isinstance(event, Started))
    assert process_mark(told.worker_pid) == told.worker_mark
    worker = psutil.Process(told.worker_pid)
    ended = wait_for(folder, lambda event: isinstance(event, Finished))
    assert isinstance(ended, Finished)
    assert (ended.reason, ended.steps) == ("completed", 150)
    worker.wait(60)
    wait_until(folder.summary.exists)  # by the supervisor that the worker had started for itself


STOP = """
import sys, time
from pathlib import Path
from pegbox_methods.events import Step
from pegbox_runs.commands import send
from pegbox_runs.event_log import EventReader
from pegbox_runs.run_folder import RunFolder
folder = RunFolder(Path(sys.argv[1]))
while not any(isinstance(event, Step) for block in EventReader(folder.events).new() for event in block):
    time.sleep(0.1)
send(folder.commands, "stop")
"""
GIVE = """
import sys
from pathlib import Path
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.supervision.shared_worker import SharedWorkerSupply
from tests.runs.carried import carry
carry(SharedWorkerSupply(), RunFolder(Path(sys.argv[1])))
"""
