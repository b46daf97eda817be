"""Text from outside shows, and never acts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pegbox_runs.figures import count, duration, gib
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


def test_figures_read_as_people_write_them() -> None:
    assert [count(n) for n in (0, 999, 9999, 12345, 1_234_567, 7.6e9)] == [
        "0",
        "999",
        "9,999",
        "12.3 k",
        "1.23 M",
        "7.6 B",
    ]
    assert [duration(s) for s in (0.4, 59, 61, 3660)] == ["0 s", "59 s", "1 min 01 s", "1 h 01 min"]
    assert gib(None) == "-"
    assert gib(2**30) == "1.00 GiB"
