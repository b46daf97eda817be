"""Text from outside shows, and never acts."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pegbox_runs.figures import count, duration, gib, moment, size, traffic
from pegbox_runs.printable import one_line, printable


@given(st.text(st.characters()))
def test_no_control_character_reaches_the_terminal(text: str) -> None:
    shown = printable(text)
    assert not any(ord(c) < 32 and c not in "\n\t" for c in shown)
    assert not any(0x7F <= ord(c) < 0xA0 for c in shown)
    shown.encode()


def test_ordinary_text_stays_as_it_is() -> None:
    assert printable("Größe: 3 → 4\n\tok 你好") == "Größe: 3 → 4\n\tok 你好"


def test_escapes_are_shown() -> None:
    assert printable("\x1b]0;title\x07") == r"\x1b]0;title\x07"
    assert printable("\u202etxt.exe") == r"\u202etxt.exe"


def test_a_long_text_becomes_one_cut_line() -> None:
    assert one_line("a\nb\x1b  c", 20) == r"a b\x1b c"
    assert one_line("abcdef", 4) == "abc…"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (999, "999"),
        (9999, "9,999"),
        (12345, "12.3 k"),
        (999_400, "999 k"),
        (999_600, "1 M"),
        (1_234_567, "1.23 M"),
        (999_885_952, "1 B"),
        (7.6e9, "7.6 B"),
    ],
)
def test_a_count_is_shortened_to_the_unit_it_rounds_to(number: float, text: str) -> None:
    assert count(number) == text


def test_figures_read_as_people_write_them() -> None:
    assert [duration(s) for s in (0.4, 59, 61, 3660)] == ["0 s", "59 s", "1 min 01 s", "1 h 01 min"]
    assert {duration(s) for s in (math.inf, -math.inf, math.nan)} == {"-"}
    shown = {0: "0.0 ms", 4e-4: "0.4 ms", 9.96e-3: "10 ms", 0.9996: "1.0 s", 21.09: "21.1 s", 59.96: "1 min 00 s"}
    assert {seconds: moment(seconds) for seconds in shown} == shown
    assert moment(math.nan) == "-"
    assert [traffic(n) for n in (4096, 999_600, 161e6, 999.6e6)] == ["4 kB", "1 MB", "161 MB", "1.0 GB"]
    assert gib(None) == "-"
    assert gib(2**30) == "1.00 GiB"


@pytest.mark.parametrize(
    ("number", "text", "brief"),
    [
        (None, "-", "-"),
        (0, "0 MiB", "0 MiB"),
        (400, "0.4 KiB", "0.4 KiB"),
        (90 * 2**10, "90 KiB", "90 KiB"),
        (2**19, "512 KiB", "512 KiB"),
        (90 * 2**20, "90 MiB", "90 MiB"),
        (300 * 2**20, "0.3 GiB", "0.3 GiB"),
        (-3 * 2**30, "-3.0 GiB", "-3.0 GiB"),
        (16_060_522_496, "15.0 GiB", "15 GiB"),
        (141 * 10**9, "131.3 GiB", "131 GiB"),
    ],
)
def test_bytes_are_written_in_one_way(number: int | None, text: str, brief: str) -> None:
    assert size(number) == text
    assert size(number, brief=True) == brief
