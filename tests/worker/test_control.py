"""A worker hears its commands at any moment, answers each once, and does what was asked at the step's end."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pegbox_methods.events import AnyEvent, CommandAnswer, Continued, Finished, Notice, Paused
from pegbox_runs.asking import await_answer
from pegbox_runs.commands import CommandName, send
from pegbox_runs.event_log import EventReader, EventWriter
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.supervision import adopting
from pegbox_runs.supervision.guard import SupervisorGuard
from pegbox_worker import control as controlling
from pegbox_worker.control import Control
from pegbox_worker.stop_flag import StopFlag


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


@pytest.fixture
def control(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> Iterator[Control]:
    monkeypatch.setattr(controlling, "POLL_SECONDS", 0.005)
    made = Control(folder, EventWriter(folder.events), StopFlag())
    yield made
    made.close()


def told(folder: RunFolder) -> list[AnyEvent]:
    return [event for block in EventReader(folder.events).new() for event in block]  # type: ignore[misc]


def asked(control: Control, folder: RunFolder, *names: str) -> list[tuple[bool, str]]:
    """Send commands, let them be answered, and give those answers."""
    before = len(told(folder))
    for name in names:
        send(folder.commands, name)
    control.poll()
    return [(event.taken, event.text) for event in told(folder)[before:] if isinstance(event, CommandAnswer)]


@pytest.mark.parametrize(
    ("names", "answers", "state"),
    [
        (["stop", "stop"], ["the run ends before its first step", "stopping already"], "stopping"),
        (
            ["pause", "pause"],
            ["pauses after the first step that this worker takes, with its memory kept"] * 2,
            "pausing",
        ),
        (["resume"], ["isn't paused; it goes on"], ""),
        (["pause", "resume"], ["pauses", "the run goes on"], ""),
        (["pause-release", "pause-release"], ["frees its memory until it is resumed"] * 2, "releasing"),
        (["pause-release", "resume"], ["frees", "the run goes on"], ""),
        (["pause-release", "pause"], ["frees", "kept"], "pausing"),
        (["pause", "stop"], ["pauses", "ends before"], "stopping"),
        (["pause-release", "stop"], ["frees", "ends before"], "stopping"),
        (
            ["checkpoint", "checkpoint"],
            ["written after the first step that this worker takes", "asked for already"],
            "checkpoint",
        ),
    ],
)
def test_commands_may_come_twice_and_in_any_order(
    control: Control, folder: RunFolder, names: list[str], answers: list[str], state: str
) -> None:
    came = asked(control, folder, *names)
    assert len(came) == len(answers)
    for (taken, text), expected in zip(came, answers, strict=True):
        assert taken
        assert expected in text
    now = {
        "stopping": control.stopping,
        "releasing": control.releasing,
        "pausing": control._wishes.pausing,
        "checkpoint": control.wants_checkpoint(),
    }
    assert [name for name, so in now.items() if so] == ([state] if state else [])
    assert not control.wants_checkpoint()


@pytest.mark.parametrize("name", ["pause", "pause-release", "resume"])
def test_nothing_takes_a_stop_back(control: Control, folder: RunFolder, name: str) -> None:
    (_, (taken, text)) = asked(control, folder, "stop", name)
    assert not taken
    assert "stopping" in text
    assert control.stopping


def test_an_unknown_command_is_refused_with_those_that_are_known(control: Control, folder: RunFolder) -> None:
    ((taken, text),) = asked(control, folder, "dance")
    assert not taken
    assert "unknown command 'dance'; known: stop, pause, pause-release, resume, checkpoint, abort" in text


def test_what_an_earlier_worker_answered_is_not_heard_again(folder: RunFolder) -> None:
    old = send(folder.commands, "stop")
    control = Control(folder, EventWriter(folder.events), StopFlag(), answered=[old.id])
    assert not control.poll()


def held_up(control: Control, folder: RunFolder, step: int = 4) -> threading.Thread:
    """Pause, and let another thread be the trainer that waits."""
    writer = EventWriter(folder.events)
    trainer = threading.Thread(target=control.wait_while_paused, args=(step, writer.emit))
    trainer.start()
    deadline = time.monotonic() + 10
    while not control._wishes.waiting and trainer.is_alive():
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return trainer


@pytest.mark.parametrize(("name", "goes_on"), [("resume", True), ("stop", True), ("pause-release", False)])
def test_a_paused_run_waits_until_it_is_told_otherwise(
    control: Control, folder: RunFolder, name: CommandName, goes_on: bool
) -> None:
    control.listen()
    assert await_answer(folder, send(folder.commands, "pause"), 10)
    trainer = held_up(control, folder)
    time.sleep(0.05)
    assert trainer.is_alive()
    assert await_answer(folder, send(folder.commands, "pause"), 10)  # idempotent
    assert trainer.is_alive()
    assert await_answer(folder, send(folder.commands, name), 10)
    trainer.join(10)
    assert not trainer.is_alive()
    control.close()
    kinds = [type(event) for event in EventReader(folder.events).new().__next__()]
    assert kinds.count(Paused) == 1
    assert kinds.count(Continued) == int(goes_on)
    assert (control.stopping, control.releasing) == (name == "stop", name == "pause-release")


def test_a_later_worker_promises_nothing_that_counts_from_the_beginning(folder: RunFolder) -> None:
    later = Control(folder, EventWriter(folder.events), StopFlag(), steps_done=6)
    assert asked(later, folder, "checkpoint", "stop") == [
        (True, "a checkpoint will be written after the first step that this worker takes"),
        (True, "the run finishes its step, saves and ends"),
    ]


def test_a_run_whose_folder_was_removed_ends(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    guard = SupervisorGuard(folder, EventWriter(folder.events).emit, os.getppid())
    guard.look()
    assert codes == []
    folder.path.rename(folder.path.with_name("removed"))
    guard.look()
    assert codes == [1]


def test_a_paused_run_writes_a_checkpoint_and_stays_paused(control: Control, folder: RunFolder) -> None:
    control.listen()
    assert await_answer(folder, send(folder.commands, "pause"), 10)
    control.advanced(4, 1.0)
    trainer = held_up(control, folder)
    answer = await_answer(folder, send(folder.commands, "checkpoint"), 10)
    assert answer is not None
    assert "after step 4" in answer.text
    trainer.join(10)  # the trainer writes it now
    assert control.wants_checkpoint()
    control.saved(4)
    again = held_up(control, folder)
    answer = await_answer(folder, send(folder.commands, "checkpoint"), 10)
    assert answer is not None
    assert "the checkpoint of step 4 is there already" in answer.text
    assert again.is_alive()
    assert await_answer(folder, send(folder.commands, "resume"), 10)
    again.join(10)
    paused = [event for event in told(folder) if isinstance(event, Paused | Continued)]
    assert [type(event) for event in paused] == [Paused, Continued]


def test_a_worker_that_leaves_hears_only_what_it_can_still_do(control: Control, folder: RunFolder) -> None:
    asked(control, folder, "pause-release")
    control.leave()
    assert asked(control, folder, "resume", "checkpoint") == []
    assert control.release(7)
    assert [event.memory for event in told(folder) if isinstance(event, Paused)] == ["released"]
    assert asked(control, folder, "stop") == []  # its supervisor answers all three


def test_a_stop_is_heard_up_to_the_moment_of_the_release(control: Control, folder: RunFolder) -> None:
    asked(control, folder, "pause-release")
    control.leave()
    assert asked(control, folder, "resume") == []
    assert len(asked(control, folder, "stop")) == 1
    assert not control.release(7)
    assert asked(control, folder) == [(False, "the run is stopping; once it has ended, it can be continued")]


def test_a_release_without_a_checkpoint_is_given_up_and_what_came_meanwhile_is_heard(
    control: Control, folder: RunFolder
) -> None:
    asked(control, folder, "pause-release")
    control.leave()
    assert asked(control, folder, "resume") == []
    control.stay(paused=True)
    assert not control.releasing
    assert asked(control, folder) == [(True, "the run goes on")]


ABORTED = """
import sys, time
from pathlib import Path
from pegbox_runs.event_log import EventWriter
from pegbox_runs.run_folder import RunFolder
from pegbox_worker.control import Control
from pegbox_worker.stop_flag import StopFlag
assert "torch" not in sys.modules
folder = RunFolder(Path(sys.argv[1]))
control = Control(folder, EventWriter(folder.events), StopFlag())
control.listen()
control.advanced(3, 1.5)
print("listening", flush=True)
try:
    time.sleep(60)  # a long step
finally:
    print("the step was finished", flush=True)
"""


def test_abort_ends_the_process_at_once_in_the_middle_of_whatever_it_does(folder: RunFolder) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-P", "-c", ABORTED, str(folder.path)], stdout=subprocess.PIPE, text=True
    )
    assert worker.stdout is not None
    assert worker.stdout.readline() == "listening\n"
    began = time.monotonic()
    send(folder.commands, "abort")
    assert worker.wait(20) == 0
    assert time.monotonic() - began < 5
    assert worker.stdout.read() == ""
    answer, finished = told(folder)
    assert isinstance(answer, CommandAnswer)
    assert answer.taken
    assert isinstance(finished, Finished)
    assert (finished.reason, finished.steps, finished.adapter, finished.seconds) == ("aborted", 3, None, 1.5)


def test_trouble_is_told_once_and_the_ear_stays_open(
    control: Control, folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = threading.Event()
    real = control._reader.new

    def breaks_for_a_while() -> object:
        if not broken.is_set():
            raise RuntimeError("odd")
        return real()

    monkeypatch.setattr(control._reader, "new", breaks_for_a_while)
    monkeypatch.setattr(controlling.traceback, "print_exc", lambda: None)
    control.listen()
    time.sleep(0.1)
    broken.set()
    assert await_answer(folder, send(folder.commands, "stop"), 10)
    assert [event.about for event in told(folder) if isinstance(event, Notice)] == ["control-trouble"]


def test_commands_of_others_are_not_obeyed_and_that_is_told_once(control: Control, folder: RunFolder) -> None:
    send(folder.commands, "stop")
    folder.commands.chmod(0o666)
    assert not control.poll()
    assert not control.poll()
    assert [event.about for event in told(folder) if isinstance(event, Notice)] == ["commands-distrusted"]


def test_an_idle_ear_costs_next_to_nothing(folder: RunFolder) -> None:
    for _ in range(100):
        send(folder.commands, "resume")
    control = Control(folder, EventWriter(folder.events), StopFlag())
    control.poll()
    began = time.thread_time()
    for _ in range(100):
        control.poll()
    assert (time.thread_time() - began) / 100 < 0.002  # of 0.2 s: under one percent, and 20 times what it is


def guard(folder: RunFolder, parent: int) -> SupervisorGuard:
    return SupervisorGuard(folder, EventWriter(folder.events).emit, parent)


def test_a_worker_with_its_supervisor_starts_no_other(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adopting, "adopt", lambda _: pytest.fail("it has one"))
    guard(folder, os.getppid()).look()


def test_an_orphan_gets_a_supervisor_and_does_not_start_a_second_meanwhile(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    adopted: list[RunFolder] = []
    monkeypatch.setattr(adopting, "adopt", lambda run: adopted.append(run) or True)
    orphan = guard(folder, 1 if os.getppid() != 1 else 2)
    for _ in range(3):
        orphan.look()
    assert adopted == [folder]


def test_a_supervisor_that_cannot_be_started_is_told_once(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: RunFolder) -> bool:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(adopting, "adopt", fails)
    orphan = guard(folder, -1)
    for _ in range(3):
        orphan._not_before = 0.0
        orphan.look()
    (notice,) = told(folder)
    assert isinstance(notice, Notice)
    assert notice.about == "no-supervisor"
