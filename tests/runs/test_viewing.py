"""Following a log: whole blocks, nothing missed at the end, and an end that nobody wrote."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time

import msgspec
import pytest

from pegbox_methods.events import Failed, Finished, Notice, Paused, Phase, Queued, Restarting
from pegbox_runs import viewing
from pegbox_runs.asking import ask
from pegbox_runs.event_log import EventWriter
from pegbox_runs.expected import read_expected
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.supervision.owner import OwnerRecord, Ownership, read_owner
from pegbox_runs.timeline import how_to_go_on
from pegbox_runs.viewing import follow, state_of, summary_of
from tests.stories import made, started

DONE = Finished(reason="completed", steps=3, kept_step=2, adapter="adapter", seconds=6.0)


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    monkeypatch.setattr(viewing, "POLL_SECONDS", 0.01)
    folder = made()
    folder.summary.write_text("{}")  # nobody supervises here, so nobody need be waited for
    return folder


def test_a_finished_run_is_told_once_and_following_ends(folder: RunFolder) -> None:
    writer = EventWriter(folder.events)
    writer.emit(started())
    writer.emit(DONE)
    advances = list(follow(folder))
    assert [len(advance.news) for advance in advances] == [2]
    assert advances[-1].state.status == "finished"


def test_events_are_given_as_they_come(folder: RunFolder) -> None:
    writer = EventWriter(folder.events)
    writer.emit(started())

    def later() -> None:
        for event in (Phase(phase="loading"), Notice(text="x"), DONE):
            time.sleep(0.05)
            writer.emit(event)

    threading.Thread(target=later).start()
    seen = [event for advance in follow(folder) for event in advance.news]
    assert [type(event).__name__ for event in seen] == ["Started", "Phase", "Notice", "Finished"]


def test_who_leaves_waits_for_no_supervisor_to_finish_its_record(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viewing, "_is_carried", lambda *_: True)
    folder.summary.unlink()
    writer = EventWriter(folder.events)
    writer.emit(started())
    writer.emit(DONE)
    left = threading.Event()
    threading.Timer(0.1, left.set).start()
    began = time.monotonic()
    assert [advance.state.status for advance in follow(folder, left)] == ["finished"]
    assert 0.05 < time.monotonic() - began < viewing.SUMMARY_SECONDS / 2


def test_a_long_log_says_how_much_of_it_is_read_until_it_is_whole_even_if_its_last_line_is_not(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pegbox_runs.line_tail.CHUNK_BYTES", 300)
    writer = EventWriter(folder.events)
    for _ in range(20):
        writer.emit(Notice(text="x" * 100))
    with folder.events.open("ab") as file:
        file.write(b'{"event":"notice","text":"' + b"y" * 900)
    left = threading.Event()
    shares, read = [], 0
    for advance in follow(folder, left):
        shares.append(advance.share)
        read += len(advance.news)
        if advance.share == 1.0:
            left.set()
    assert read == 20
    assert len(shares) > 3
    assert shares == sorted(shares)
    assert shares[-1] == 1.0 > shares[-2]


def test_files_that_nest_deeper_than_python_goes_are_as_if_they_were_not_there(folder: RunFolder) -> None:
    EventWriter(folder.events).emit(started())
    nested = b'{"event":"failed","more":' + b"[" * 5000 + b"]" * 5000 + b"}\n"
    for file in (folder.summary, folder.forecast, folder.owner):
        file.write_bytes(nested)
    assert read_expected(folder) is None
    assert read_owner(folder) is None
    assert summary_of(folder).status == "running"
    folder.events.write_bytes(nested)
    assert ask(folder, "stop", 0.05) is None


def test_a_run_nobody_carries_any_more_ends_as_lost(folder: RunFolder) -> None:
    EventWriter(folder.events).emit(started(supervisor_mark="other", worker_mark="other"))
    advances = list(follow(folder))
    assert advances[-1].state.status == "lost"
    assert state_of(folder).status == "lost"


def test_an_end_written_just_before_its_process_went_is_not_missed(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = EventWriter(folder.events)
    writer.emit(started())

    def dies_after_its_last_word(_started: object) -> bool:
        writer.emit(Failed(what="w", where="training", remedy="r"))
        return False

    monkeypatch.setattr(viewing, "is_alive", dies_after_its_last_word)
    assert list(follow(folder))[-1].state.status == "failed"


def test_a_run_whose_folder_goes_is_told_to_be_deleted(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewing, "ALIVE_SECONDS", 0.01)
    EventWriter(folder.events).emit(started())
    advances = follow(folder)
    assert not next(advances).state.deleted
    shutil.rmtree(folder.path)
    last = [*advances][-1].state
    assert last.deleted
    assert last.status == "running", "what was known of it stays"
    assert how_to_go_on(folder.id, last) is None


DEAD = started(supervisor_mark="other", worker_mark="other")
QUEUED = Queued(place=1, host=socket.gethostname(), supervisor_pid=os.getpid(), supervisor_mark="other")


@pytest.mark.parametrize(
    ("last", "status"),
    [
        (Phase(phase="loading"), "running"),
        (Restarting(attempt=2, why="w", after_seconds=60.0, left=1), "restarting"),
        (Paused(step=3, memory="released"), "paused"),
        (QUEUED, "queued"),
    ],
)
def test_a_run_is_lost_with_its_supervisor_whatever_it_waits_for(
    folder: RunFolder, last: Phase | Restarting | Paused | Queued, status: str
) -> None:
    """The log names processes that are gone; who adopted the run is named by owner.json alone."""
    writer = EventWriter(folder.events)
    writer.emit(DEAD)
    writer.emit(last)
    assert state_of(folder).status == "lost"
    assert list(follow(folder))[-1].state.status == "lost"
    ownership = Ownership.take(folder)
    assert state_of(folder).status == status
    ownership.release()
    assert state_of(folder).status == "lost"


def test_a_run_whose_owner_is_on_another_machine_cannot_be_called_lost(folder: RunFolder) -> None:
    EventWriter(folder.events).emit(DEAD)
    record = OwnerRecord(host="node-7", pid=1, process_mark="m")
    folder.owner.write_bytes(msgspec.json.encode(record))
    assert state_of(folder).status == "running"


def test_a_run_whose_owner_cannot_be_read_just_now_cannot_be_called_lost(folder: RunFolder) -> None:
    EventWriter(folder.events).emit(started(host="node-7"))
    assert state_of(folder).status == "lost"
    folder.owner.mkdir()  # which no open() can read, as where a network file system stumbles
    assert state_of(folder).status == "running"


def test_an_end_that_the_log_goes_on_behind_ends_nothing(folder: RunFolder) -> None:
    writer = EventWriter(folder.events)
    for event in (started(), Failed(what="w", where="training", remedy="r"), started(attempt=2)):
        writer.emit(event)
    seen = []
    for advance in follow(folder):
        seen += advance.news
        if len(seen) == 3:
            assert advance.state.status == "running"
            writer.emit(DONE)
    assert [type(event).__name__ for event in seen] == ["Started", "Failed", "Started", "Finished"]


def test_a_run_that_is_queued_and_carried_by_nobody_else_is_lost_with_its_queue(folder: RunFolder) -> None:
    writer = EventWriter(folder.events)
    writer.emit(msgspec.structs.replace(QUEUED, supervisor_mark=started().supervisor_mark))
    assert state_of(folder).status == "queued"
    writer.emit(QUEUED)
    assert state_of(folder).status == "lost"
