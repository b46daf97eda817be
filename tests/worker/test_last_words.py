"""A worker's last words reach the log of a disk that is full for a moment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pegbox_methods.events import Finished, Notice
from pegbox_runs import event_log
from pegbox_runs.event_log import EventReader, EventWriter
from pegbox_worker import last_words

WORDS = Finished(reason="completed", steps=1, kept_step=1, adapter="adapter", seconds=1.0)


def full_for(monkeypatch: pytest.MonkeyPatch, tries: int) -> None:
    """Let a disk take half a line, and then nothing for some tries."""
    plain, counted = os.write, iter(range(10_000))

    def write(file: int, line: bytes) -> int:
        count = next(counted)
        if count == 0:
            return plain(file, line[:20])
        if count < tries:
            raise OSError(28, "No space left on device")
        return plain(file, line)

    monkeypatch.setattr(event_log.os, "write", write)
    monkeypatch.setattr(last_words, "AGAIN_SECONDS", 0.001)


def told(path: Path) -> list[Any]:
    return [event for block in EventReader(path).new() for event in block]


def test_they_are_tried_again_until_the_disk_takes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "events.jsonl"
    writer = EventWriter(path)
    full_for(monkeypatch, 20)
    writer.emit(WORDS)
    assert last_words.write_last(writer)
    assert [event.reason for event in told(path) if isinstance(event, Finished)] == ["completed"]
    assert [event.about for event in told(path) if isinstance(event, Notice)] == ["log-gap"]


def test_a_disk_that_stays_full_holds_no_worker_up_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "events.jsonl"
    writer = EventWriter(path)
    full_for(monkeypatch, 10_000)
    writer.emit(WORDS)
    assert not last_words.write_last(writer, 0.05)


def test_a_log_that_is_whole_is_closed_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_words.time, "sleep", lambda _: pytest.fail("there is nothing to wait for"))
    writer = EventWriter(tmp_path / "events.jsonl")
    writer.emit(WORDS)
    assert last_words.write_last(writer)
