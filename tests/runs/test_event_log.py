"""The event log: numbered lines, a torn end that is waited for, bad lines that are told and skipped."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pegbox_methods.events import KINDS, Checkpoint, Memory, Notice, Step, event_encoder
from pegbox_runs.curve import Curve
from pegbox_runs.event_log import BadLine, EventReader, EventWriter
from pegbox_runs.run_state import RunState, catch_up


def step(number: int) -> Step:
    return Step(
        step=number,
        epoch=number / 10,
        loss=1 / number,
        learning_rate=1e-4,
        gradient_norm=0.5,
        tokens=100,
        tokens_per_second=50.0,
        step_seconds=2.0,
        memory=Memory(process_now=5, process_peak=number),
    )


def read(path: Path) -> list[object]:
    return [event for block in EventReader(path).new() for event in block]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def test_events_are_numbered_and_timed_and_read_back(log: Path) -> None:
    writer = EventWriter(log)
    writer.emit(Notice(text="hello"))
    writer.emit(step(1))
    first, second = read(log)
    assert isinstance(first, Notice)
    assert isinstance(second, Step)
    assert (first.seq, second.seq) == (1, 2)
    assert 0 < first.time <= second.time
    assert log.read_bytes().count(b"\n") == 2


def test_a_second_writer_numbers_on(log: Path) -> None:
    EventWriter(log).emit(Notice(text="a"))
    EventWriter(log).emit(Notice(text="b"))
    assert [event.seq for event in read(log)] == [1, 2]  # type: ignore[attr-defined]


def test_the_log_is_for_its_owner_alone(log: Path) -> None:
    EventWriter(log)
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_torn_last_line_is_waited_for(log: Path) -> None:
    EventWriter(log).emit(Notice(text="whole"))
    reader = EventReader(log)
    assert len([e for block in reader.new() for e in block]) == 1
    line = event_encoder().encode(Notice(seq=2, text="late")) + b"\n"
    with log.open("ab", buffering=0) as file:
        for part in (line[:10], line[10:-1]):
            file.write(part)
            assert list(reader.new()) == []
        file.write(line[-1:])
    (block,) = reader.new()
    assert block == [Notice(seq=2, text="late")]


def test_following_reads_only_what_is_new(log: Path) -> None:
    writer = EventWriter(log)
    reader = EventReader(log)
    for number in range(1, 4):
        writer.emit(step(number))
        (block,) = reader.new()
        assert len(block) == 1
    assert list(reader.new()) == []


def test_a_log_that_is_not_there_yet_is_empty(log: Path) -> None:
    assert read(log) == []


@pytest.mark.parametrize(
    "damage",
    [b"garbage", b"{}", b'{"event":"unheard-of"}', b'{"event":"step","step":"x"}', b"\xff\xfe", b'{"event":"notice"}'],
)
def test_a_bad_line_in_the_middle_is_told_with_its_number_and_skipped(log: Path, damage: bytes) -> None:
    EventWriter(log).emit(Notice(text="before"))
    with log.open("ab") as file:
        file.write(damage + b"\n")
    EventWriter(log).emit(Notice(text="after"))
    before, bad, after = read(log)
    assert isinstance(bad, BadLine)
    assert bad.number == 2
    assert isinstance(before, Notice)
    assert isinstance(after, Notice)
    assert after.text == "after"
    assert after.seq == 2
    state = catch_up(EventReader(log), RunState())
    assert state.bad_lines == 1


def test_the_number_of_a_bad_line_counts_from_the_files_beginning_while_following(log: Path) -> None:
    writer = EventWriter(log)
    reader = EventReader(log)
    for _ in range(5):
        writer.emit(Notice(text="x"))
    list(reader.new())
    with log.open("ab") as file:
        file.write(b"garbage\n")
    ((bad,),) = reader.new()
    assert isinstance(bad, BadLine)
    assert bad.number == 6


def test_the_half_line_of_a_killed_writer_does_not_swallow_the_next_event(log: Path) -> None:
    EventWriter(log).emit(Notice(text="whole"))
    with log.open("ab") as file:
        file.write(b'{"event":"step","seq":2,"st')
    EventWriter(log).emit(Notice(text="next"))
    _, bad, after = read(log)
    assert isinstance(bad, BadLine)
    assert isinstance(after, Notice)
    assert (after.text, after.seq) == ("next", 2)


def test_a_full_disk_stops_nothing_and_the_gap_is_told(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = EventWriter(log)
    writer.emit(Notice(text="before"))

    def full(_file: int, _line: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        writer.emit(step(1))
        writer.emit(step(2))
    writer.emit(Checkpoint(step=3, folder="checkpoints/checkpoint-3"))
    before, gap, after = read(log)
    assert isinstance(gap, Notice)
    assert gap.about == "log-gap"
    assert gap.text.startswith("2 events are missing here")
    assert isinstance(after, Checkpoint)
    assert [event.seq for event in (before, gap, after)] == [1, 2, 3]  # type: ignore[attr-defined]


def test_a_write_cut_short_by_a_full_disk_damages_one_line_only(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = EventWriter(log)
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda file, line: write(file, line[:20]))
        writer.emit(step(1))
    writer.emit(step(2))
    bad, gap, after = read(log)
    assert isinstance(bad, BadLine)
    assert isinstance(gap, Notice)
    assert isinstance(after, Step)
    assert after.step == 2


def test_threads_do_not_mix_their_lines(log: Path) -> None:
    writer = EventWriter(log)
    threads = [
        threading.Thread(target=lambda: [writer.emit(Notice(text="x" * 500)) for _ in range(50)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [event.seq for event in read(log)] == list(range(1, 401))  # type: ignore[attr-defined]


def test_every_kind_of_event_has_its_own_tag() -> None:
    tags = [kind.__struct_config__.tag for kind in KINDS]
    assert len(set(tags)) == len(tags)


@given(st.lists(st.tuples(st.integers(0, 30), st.floats(-1e6, 1e6)), max_size=60))
def test_a_curve_never_changes_under_its_owner(growth: list[tuple[int, float]]) -> None:
    """Extend curves at random places of their history and compare each with a plain list."""
    curves: list[tuple[Curve, list[tuple[int, float]]]] = [(Curve(), [])]
    for place, value in growth:
        curve, model = curves[place % len(curves)]
        curves.append((curve.after([place], [value]), [*model, (place, value)]))
    for curve, model in curves:
        assert list(curve) == model
        assert len(curve) == len(model)
        assert curve.last(3) == [value for _, value in model[-3:]]
