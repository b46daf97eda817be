"""Commands reach their run once each, whoever else writes, locks or overwrites; and only from the run's owner."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pegbox_methods.events import CommandAnswer, Finished
from pegbox_runs import asking, commands
from pegbox_runs.asking import ask, await_answer
from pegbox_runs.commands import COMMANDS, Command, CommandReader, answer, append, held, send, unknown
from pegbox_runs.event_log import EventWriter
from pegbox_runs.run_folder import RunFolder

DONE = Finished(reason="completed", steps=1, kept_step=1, adapter=None, seconds=1.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "commands.jsonl"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    monkeypatch.setattr(asking, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(asking, "LOOK_AGAIN_SECONDS", 0.05)
    monkeypatch.setattr(asking, "LAST_WORD_SECONDS", 0.05)
    return RunFolder(tmp_path)


def line(command: Command) -> bytes:
    return msgspec.json.encode(command) + b"\n"


def test_each_command_is_given_once_in_order(path: Path) -> None:
    reader = CommandReader(path)
    assert reader.new() == []
    sent = [send(path, name) for name in COMMANDS]
    assert reader.new() == sent
    assert reader.new() == []
    assert CommandReader(path, answered=[command.id for command in sent[:-1]]).new() == sent[-1:]


def test_what_a_dead_sender_left_half_costs_no_other_command(path: Path) -> None:
    path.write_bytes(b'{"command":"stop","id":"torn"')
    reader = CommandReader(path)
    assert reader.new() == []
    sent = send(path, "pause")
    assert reader.new() == [sent]


@pytest.mark.parametrize(
    "garbage",
    [
        b"not json\n",
        b"\xff\xfe\n",
        b"[1, 2]\n",
        b'{"command":"stop"}\n',
        b'{"command":"stop","id":"","time":1}\n',
        b'{"command":"stop","id":"' + b"x" * 65 + b'","time":1}\n',
        b'{"command":"stop","id":"a","time":"soon"}\n',
        pytest.param(b'{"command":"stop","id":"a","time":1,"more":' + b"[" * 5000 + b"]" * 5000 + b"}\n", id="nested"),
    ],
)
def test_lines_that_are_no_commands_are_passed_over(path: Path, garbage: bytes) -> None:
    path.write_bytes(garbage)
    sent = send(path, "stop")
    assert CommandReader(path).new() == [sent]


def test_a_file_that_shrank_is_read_anew_and_nothing_is_given_twice(path: Path) -> None:
    reader = CommandReader(path)
    first, second = send(path, "pause"), send(path, "resume")
    assert reader.new() == [first, second]
    path.write_bytes(line(second))
    assert reader.new() == []
    third = send(path, "stop")
    assert reader.new() == [third]


def test_a_line_written_over_one_that_was_read_is_seen(path: Path) -> None:
    reader = CommandReader(path)
    first = send(path, "stop")
    assert reader.new() == [first]
    other = msgspec.structs.replace(first, command="abort", id="0" * len(first.id))
    path.write_bytes(line(other))
    assert reader.new() == [other]
    assert not held(path, first)


@settings(deadline=None, max_examples=60)
@given(plan=st.lists(st.sampled_from(["send", "overwrite", "cut", "tear", "read"]), max_size=30))
def test_whatever_happens_between_a_command_sent_again_until_held_is_given_exactly_once(
    plan: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("commands") / "commands.jsonl"
    reader, given_ids, sent = CommandReader(path), [], []
    for number, move in enumerate(plan):
        if move == "send":
            sent.append(send(path, "pause"))
        elif move == "read":
            given_ids += [command.id for command in reader.new()]
        elif path.exists() and path.stat().st_size:
            content = path.read_bytes()
            if move == "overwrite":  # a client that took no lock and believed the file shorter than it is
                rival = Command(command="stop", id=f"{number:012x}", time=1.0)
                at = content[:-1].rfind(b"\n") + 1
                path.write_bytes(content[:at] + line(rival) + content[at + len(line(rival)) :])
                sent.append(rival)
            elif move == "cut":
                path.write_bytes(content[: len(content) // 2])
            else:
                path.write_bytes(content + b'{"command":"st')
    for command in sent:
        if not held(path, command):
            append(path, command)
    given_ids += [command.id for command in reader.new()]
    # A line may have been read and then lost from the file: it was given all the same, and isn't given twice.
    assert sorted(given_ids) == sorted(command.id for command in sent)


def test_many_writers_at_once_lose_nothing(path: Path) -> None:
    sent: list[Command] = []
    writers = [threading.Thread(target=lambda: sent.extend(send(path, "pause") for _ in range(20))) for _ in range(4)]
    reader, seen = CommandReader(path), []
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        seen += reader.new()
    seen += reader.new()
    assert sorted(command.id for command in seen) == sorted(command.id for command in sent)
    assert len(sent) == 80


def test_a_file_system_without_locks_takes_commands_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(commands.fcntl, "lockf", no_locks)
    sent = send(path, "stop")
    assert CommandReader(path).new() == [sent]


def test_a_lock_that_is_never_let_go_is_not_waited_for_long(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def held_by_another(*_: object) -> None:
        raise BlockingIOError

    monkeypatch.setattr(commands.fcntl, "lockf", held_by_another)
    monkeypatch.setattr(commands, "LOCK_SECONDS", 0.05)
    sent = send(path, "stop")
    assert CommandReader(path).new() == [sent]


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_is_not_obeyed_and_told_once(path: Path, mode: int) -> None:
    told: list[str] = []
    send(path, "abort")
    path.chmod(mode)
    reader = CommandReader(path, distrust=told.append)
    assert reader.new() == []
    assert reader.new() == []
    (text,) = told
    assert f"others can write it too (its mode is {mode:04o})" in text
    path.chmod(0o600)
    assert [command.command for command in reader.new()] == ["abort"]


def test_a_file_of_another_user_is_not_obeyed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    send(path, "abort")
    real = os.fstat

    def anothers(file: int) -> os.stat_result:
        found = list(real(file))
        found[4] += 1
        return os.stat_result(found)

    monkeypatch.setattr(commands.os, "fstat", anothers)
    assert CommandReader(path, distrust=told.append).new() == []
    assert "not to the owner of the run's folder" in told[0]


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_is_no_plain_file_is_not_obeyed_and_blocks_nobody(path: Path, kind: str) -> None:
    if kind == "link":
        send(path.with_name("elsewhere"), "abort")
        path.symlink_to(path.with_name("elsewhere"))
    elif kind == "pipe":
        os.mkfifo(path, 0o600)
    else:
        path.mkdir()
    told: list[str] = []
    assert CommandReader(path, distrust=told.append).new() == []
    assert len(told) == 1


def test_an_answer_says_how_long_it_took_and_never_a_negative_time() -> None:
    late = answer(Command(command="stop", id="a", time=time.time() - 2), "yes", taken=True)
    assert late.latency == pytest.approx(2, abs=0.5)
    assert answer(Command(command="stop", id="a", time=time.time() + 99), "yes", taken=True).latency == 0
    refused = unknown(Command(command="\x1b[31mdance", id="a", time=0))
    assert not refused.taken
    assert "\x1b" not in refused.text + refused.command


def answering(folder: RunFolder, *, after: float, before: str = "") -> threading.Thread:
    """Answer the first command that comes, once some time has passed."""

    def work() -> None:
        reader = CommandReader(folder.commands)
        time.sleep(after)
        while not (found := reader.new()):
            time.sleep(0.005)
        EventWriter(folder.events).emit(answer(found[0], "it is done", taken=True))

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_asking_gives_the_answer_to_this_very_command(folder: RunFolder) -> None:
    EventWriter(folder.events).emit(answer(Command(command="stop", id="other", time=0), "an older one", taken=False))
    thread = answering(folder, after=0.02)
    answered = ask(folder, "stop", 10)
    thread.join()
    assert isinstance(answered, CommandAnswer)
    assert (answered.text, answered.taken) == ("it is done", True)


def test_asking_a_run_that_never_answers_ends_with_none(folder: RunFolder) -> None:
    assert ask(folder, "stop", 0.1) is None
    EventWriter(folder.events).emit(DONE)
    began = time.monotonic()
    assert await_answer(folder, send(folder.commands, "stop"), 60) is None
    assert time.monotonic() - began < 5


def test_a_command_that_another_was_written_over_is_sent_again_with_its_id(folder: RunFolder) -> None:
    command = send(folder.commands, "stop")
    folder.commands.write_bytes(line(msgspec.structs.replace(command, id="f" * 12)))
    thread = threading.Thread(target=await_answer, args=(folder, command, 0.5))
    thread.start()
    while not held(folder.commands, command):
        time.sleep(0.01)
    thread.join()
    assert [found.id for found in CommandReader(folder.commands).new()] == ["f" * 12, command.id]
