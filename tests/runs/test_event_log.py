"""The event log: numbered lines, a torn end that is waited for, bad lines that are told and skipped."""

from __future__ import annotations

import errno
import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pegbox_methods.events import (
    KINDS,
    Answered,
    AnyEvent,
    Checkpoint,
    Evaluation,
    Load,
    Memory,
    Notice,
    Resumed,
    Step,
    event_encoder,
)
from pegbox_runs import event_log
from pegbox_runs.curve import Curve
from pegbox_runs.event_log import BadLine, EventReader, EventWriter
from pegbox_runs.run_state import RunState, catch_up
from pegbox_runs.secrets import Redactor


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


def numbers(path: Path) -> list[int]:
    return [event.seq for event in read(path) if not isinstance(event, BadLine)]  # type: ignore[attr-defined]


def refusing(number: int) -> Callable[[int, bytes], int]:
    def refuse(_file: int, _line: bytes) -> int:
        raise OSError(number, os.strerror(number))

    return refuse


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


NESTED = b'{"event":"notice","text":"x","more":' + b"[" * 5000 + b"]" * 5000 + b"}"


def test_a_line_that_nests_deeper_than_python_goes_is_a_bad_one(log: Path) -> None:
    EventWriter(log).emit(step(1))
    with log.open("ab") as file:
        file.write(NESTED + b"\n" + NESTED)  # the last is a torn line to the next writer
    EventWriter(log).emit(step(2))
    assert read(log)[1] == BadLine(2, "it nests too deep")
    state = catch_up(EventReader(log), RunState())
    assert (list(state.loss.steps), state.bad_lines) == ([1, 2], 2)


def evaluation(memory: Memory) -> Evaluation:
    return Evaluation(step=1, loss=1.0, perplexity=2.7, tokens=1, seconds=1.0, best=True, memory=memory)


def load(memory_used: int) -> Load:
    return Load(step=1, device_use=None, temperature_c=None, power_w=None, power_limit_w=None, memory_used=memory_used)


@pytest.mark.parametrize(
    "number", [10**23, 10**400, 2**63, -1, -(10**23)], ids=["10^23", "10^400", "2^63", "-1", "-10^23"]
)
@pytest.mark.parametrize(
    "made",
    [
        lambda number: msgspec.structs.replace(step(1), step=number),
        lambda number: msgspec.structs.replace(step(1), tokens=number),
        lambda number: msgspec.structs.replace(step(1), memory=Memory(process_now=number)),
        lambda number: evaluation(Memory(device_peak=number)),
        load,
        lambda number: Resumed(step=number, folder="f"),
    ],
    ids=["step", "tokens", "memory", "evaluation", "load", "resumed"],
)
def test_a_line_whose_count_no_64_bits_hold_is_a_bad_one(
    log: Path, made: Callable[[int], AnyEvent], number: int
) -> None:
    log.write_bytes(event_encoder().encode(made(number)) + b"\n")
    EventWriter(log).emit(step(2))
    bad, _ = read(log)
    assert isinstance(bad, BadLine)
    state = catch_up(EventReader(log), RunState())
    assert (list(state.loss.steps), state.bad_lines) == ([2], 1)


def test_the_largest_counts_that_64_bits_hold_are_folded(log: Path) -> None:
    most = 2**63 - 1
    memory = Memory(device_now=most, device_peak=most, process_now=most, process_peak=most)
    largest = msgspec.structs.replace(step(1), step=most, tokens=most, padding=most, memory=memory)
    for event in (load(most), evaluation(memory), largest):
        EventWriter(log).emit(event)
    state = catch_up(EventReader(log), RunState())
    assert (list(state.loss.steps), state.tokens, state.peak.device_peak, state.bad_lines) == ([most], most, most, 0)


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


def test_the_half_line_of_a_killed_writer_is_told_and_does_not_swallow_the_next_event(log: Path) -> None:
    EventWriter(log).emit(Notice(text="whole"))
    with log.open("ab") as file:
        file.write(b'{"event":"step","seq":2,"st')
    EventWriter(log).emit(Notice(text="next"))
    _, bad, told, after = read(log)
    assert isinstance(bad, BadLine)
    assert isinstance(told, Notice)
    assert told.about == "log-gap"
    assert "cut short" in told.text
    assert isinstance(after, Notice)
    assert (after.text, after.seq) == ("next", 3)


def test_a_last_line_that_lacks_only_its_newline_counts(log: Path) -> None:
    log.write_bytes(event_encoder().encode(Notice(seq=7, text="whole")))
    EventWriter(log).emit(Notice(text="next"))
    assert [(event.seq, event.text) for event in read(log)] == [(7, "whole"), (8, "next")]  # type: ignore[attr-defined]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_log_that_cannot_be_written_stops_nothing_and_what_it_lacked_comes_late(
    log: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    writer = EventWriter(log)
    writer.emit(Notice(text="before"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", refusing(number))
        writer.emit(step(1))
        writer.emit(step(2))
    writer.emit(Checkpoint(step=3, folder="checkpoints/checkpoint-3"))
    _, *late, gap, after = read(log)
    assert [one.step for one in late] == [1, 2]  # type: ignore[attr-defined]
    assert isinstance(gap, Notice)
    assert gap.about == "log-gap"
    assert "2 events came late" in gap.text
    assert isinstance(after, Checkpoint)
    assert numbers(log) == [1, 2, 3, 4, 5]


def test_events_that_are_too_many_to_hold_are_counted_and_the_gap_is_told_in_their_place(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_log, "HELD_EVENTS", 3)
    writer = EventWriter(log)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", refusing(errno.ENOSPC))
        for number in range(1, 6):
            writer.emit(step(number))
    writer.emit(step(6))
    gap, *steps = [event for event in read(log) if isinstance(event, Step) or "missing" in event.text]  # type: ignore[attr-defined]
    assert isinstance(gap, Notice)
    assert gap.text.startswith("2 events are missing here")
    assert [one.step for one in steps] == [3, 4, 5, 6]  # type: ignore[union-attr]


def test_what_is_still_held_is_written_when_the_writer_ends(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = EventWriter(log)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", refusing(errno.ENOSPC))
        writer.emit(step(1))
    writer.close()
    held, gap = read(log)
    assert isinstance(held, Step)
    assert isinstance(gap, Notice)
    assert "1 events came late" in gap.text


def test_a_log_that_cannot_even_be_opened_is_opened_once_that_is_possible(tmp_path: Path) -> None:
    log = tmp_path / "not-yet" / "events.jsonl"
    writer = EventWriter(log)
    writer.emit(step(1))
    log.parent.mkdir()
    EventWriter(log).emit(Notice(text="somebody else's"))
    writer.emit(step(2))
    assert numbers(log) == [1, 2, 3, 4]
    assert [event.step for event in read(log) if isinstance(event, Step)] == [1, 2]


def test_a_write_cut_short_by_a_full_disk_costs_no_event(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = EventWriter(log)
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda file, line: write(file, line[:20]))
        writer.emit(step(1))
    writer.emit(step(2))
    bad, first, gap, second = read(log)
    assert isinstance(bad, BadLine)
    assert isinstance(gap, Notice)
    assert [one.step for one in (first, second)] == [1, 2]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "tail",
    [
        b"x" * 700_000 + b"\n",
        b"garbage\n" * 100_000,
        b"\n" * 300_000,
        b"[1]\n" * 200_000 + b'{"event":"step","seq":9999,"st',
        b'{"event":"of-a-later-version","seq":40,"x":[1]}\n' + b"{}\n" * 200_000,
        b'{"event":"notice","seq":3,"text":"an old one, again"}\n',
    ],
    ids=["one-long-line", "garbage", "newlines", "torn", "later-version", "older"],
)
def test_no_number_is_given_twice_whatever_the_log_ends_with(log: Path, tail: bytes) -> None:
    writer = EventWriter(log)
    for number in range(1, 6):
        writer.emit(step(number))
    with log.open("ab") as file:
        file.write(tail)
    EventWriter(log).emit(Notice(text="after"))
    last = read(log)[-1]
    assert isinstance(last, Notice)
    known = [int(line.partition(b'"seq":')[2].partition(b",")[0]) for line in log.read_bytes().split(b"\n")[:-2]
             if b'"seq":' in line and line.endswith(b"}")]  # fmt: skip
    assert last.seq > max(known)


def test_times_never_go_backwards_though_the_clock_does(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 50.0, 101.0])
    monkeypatch.setattr(event_log, "now", lambda: next(clock))
    writer = EventWriter(log)
    writer.emit(step(1))
    writer.emit(step(2))
    writer.emit(step(3))
    monkeypatch.setattr(event_log, "now", lambda: 7.0)
    EventWriter(log).emit(step(4))
    assert [event.time for event in read(log)] == [100.0, 100.0, 101.0, 101.0]  # type: ignore[attr-defined]


@given(
    st.integers(0, 12),
    st.lists(
        st.tuples(
            st.integers(0, 12),
            st.sampled_from(["garbage", "torn", "twice", "again", "empty", "binary"]),
            st.integers(0, 40),
        ),
        max_size=8,
    ),
)
def test_the_fold_of_a_mangled_log_is_that_of_its_good_lines_once_each(
    count: int, damages: list[tuple[int, str, int]]
) -> None:
    """Put garbage, half lines, repeated lines and repeated blocks anywhere; nothing is counted twice or lost."""
    good = [event_encoder().encode(msgspec.structs.replace(step(n), seq=n, time=float(n))) for n in range(1, count + 1)]
    lines: list[bytes] = list(good)
    for place, damage, size in damages:
        place = min(place, len(lines))
        whole = [line for line in lines[:place] if line in good]
        put = {
            "garbage": [b"{" * size],
            "torn": [line[:size] for line in whole[-1:]],
            "twice": whole[-1:],
            "again": whole[-size:],
            "empty": [b""],
            "binary": [b"\xff\x00" * size],
        }[damage]
        lines[place:place] = put
    with tempfile.TemporaryDirectory() as folder:
        log, clean = Path(folder, "mangled"), Path(folder, "clean")
        log.write_bytes(b"".join(line + b"\n" for line in lines))
        clean.write_bytes(b"".join(line + b"\n" for line in good))
        mangled, plain = (catch_up(EventReader(path), RunState()) for path in (log, clean))
    assert msgspec.structs.replace(mangled, bad_lines=0, remarks=()) == plain


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


def test_an_answer_that_names_a_place_in_the_users_home_is_written_without_the_home(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_log, "redactor", lambda: Redactor({}, ["/home/ann"]))
    answer = msgspec.Raw(msgspec.json.encode({"base": "/home/ann/model"}))
    EventWriter(log).emit(Answered(job="merge", answer=answer))
    ((told,),) = EventReader(log).new()
    assert isinstance(told, Answered)
    assert msgspec.json.decode(told.answer) == {"base": "~/model"}
