"""Following a log: whole blocks, nothing missed at the end, and an end that nobody wrote."""

from __future__ import annotations

import threading
import time

import pytest

from pegbox_methods.events import Failed, Finished, Notice, Phase
from pegbox_runs import viewing
from pegbox_runs.event_log import EventWriter
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.viewing import follow, state_of
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
