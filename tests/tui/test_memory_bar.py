"""The bar of memory: each item by its letter, the range, what is free, in words too."""

from __future__ import annotations

import pytest

from pegbox_runs.figures import size
from pegbox_tui.shell.memory_bar import KNOWN, SPARE, MemoryBar, bar_of
from tests.methods.advice_situations import ask, model_8b

GIB = 2**30
ITEMS = {"linear maps": 8 * GIB, "adapter": GIB, "checkpoints": 3 * GIB, "one layer at work": 0}


def bar(**changes: object) -> MemoryBar:
    given = {"items": ITEMS, "low": 10 * GIB, "likely": 12 * GIB, "high": 14 * GIB, "free": 20 * GIB, "total": 24 * GIB}
    return MemoryBar(**{**given, **changes})  # type: ignore[arg-type]


def test_each_item_is_drawn_by_its_letter_as_wide_as_its_share() -> None:
    assert bar().text(48).plain == "L" * 16 + "AA" + "KKkkkk" + "~~~~" + "·" * 12 + "|" + "/" * 7


def test_what_is_sure_is_drawn_in_capitals_and_what_is_likely_in_small_letters() -> None:
    assert bar(low=12 * GIB).text(24).plain.startswith("LLLLLLLLAKKK~~")
    assert bar(low=8 * GIB).text(24).plain.startswith("LLLLLLLLakkk~~")


@pytest.mark.parametrize("width", [30, 48, 79, 120, 180])
def test_the_bar_is_as_wide_as_asked_and_told_by_letters_alone(width: int) -> None:
    text = bar(measured=13 * GIB).text(width)
    assert text.cell_len == width
    assert {*"LAKk~M|/·"} <= {*text.plain}


@pytest.mark.parametrize("width", [30, 48, 79, 120, 180])
def test_the_legend_keeps_to_its_width(width: int) -> None:
    lines = bar().legend(width).plain.split("\n")
    assert max(map(len, lines)) <= max(width, max(map(len, bar().verdict())))
    assert "L linear maps 8.0 GiB" in lines[0]


def test_each_item_has_a_color_of_its_own_beside_its_letter() -> None:
    styles = {span.style for span in bar().text(48).spans if str(span.style).count(" on ")}
    assert len(styles) == 3


def test_the_legend_says_what_is_left_and_what_is_lacking_in_words() -> None:
    assert "fits: 6.0 GiB left" in bar().legend(200).plain
    assert "may not fit: 1.0 GiB short at most" in bar(free=13 * GIB).legend(200).plain
    assert "doesn't fit: 2.0 GiB short, 4.0 GiB to be safe" in bar(free=10 * GIB).legend(200).plain


def test_what_fits_is_never_called_short() -> None:
    assert bar(free=14 * GIB).left() == "fits: 0 MiB left"


def test_a_run_that_does_not_fit_is_drawn_across_the_mark() -> None:
    assert bar(free=10 * GIB, total=10 * GIB).text(28).plain == "L" * 16 + "AA" + "KK" + "|" + "kkk" + "~~~~"


def test_without_knowing_what_is_free_there_is_neither_mark_nor_verdict() -> None:
    unknown = bar(free=None, total=None)
    assert not {*"|/·"} & {*unknown.text(40).plain}
    assert "what is free isn't known" in unknown.legend(200).plain
    assert "fits" not in unknown.legend(200).plain


def test_a_measured_value_is_marked_and_said() -> None:
    measured = bar(measured=13 * GIB)
    assert measured.text(24).plain[13] == "M"
    assert "measured 13.0 GiB (M)" in measured.legend(200).plain


def test_items_below_a_hundredth_are_named_together() -> None:
    legend = bar(items={**ITEMS, "gradients": 2**20, "optimizer states": 2**20}).legend(300).plain
    assert "2.0 MiB in all: G gradients, O optimizer states" in legend


def test_no_two_items_share_a_letter() -> None:
    items = {name: GIB for name in KNOWN if name not in ("answer and its cache",)} | {"my own": GIB, "mine": GIB}
    letters = list(bar(items=items)._letters().values())
    assert len({*letters}) == len(letters)
    assert not {"M", "?"} & {*letters}
    assert not {*SPARE} & {*KNOWN.values()}


def test_an_item_keeps_its_letter_whatever_else_is_there() -> None:
    assert bar(items={"adapter": GIB})._letters() == {"adapter": "A"}
    assert bar(items={"activations": GIB, "adapter": GIB})._letters()["adapter"] == "A"


def test_hostile_names_are_shown_and_never_acted_on() -> None:
    legend = bar(items={"[red]x\x1b[31m": 12 * GIB}).legend(100)
    assert "\x1b" not in legend.plain
    assert "[red]x\\x1b[31m" in legend.plain


def test_a_run_that_takes_nothing_can_be_drawn() -> None:
    empty = MemoryBar(items={}, low=0, likely=0, high=0, free=None, total=None)
    assert empty.text(30).plain.strip() == ""


def test_sizes_below_a_tenth_of_a_gibibyte_are_said_in_mebibytes() -> None:
    assert (size(300 * 2**20), size(90 * 2**20), size(2**19), size(0)) == ("0.3 GiB", "90 MiB", "512 KiB", "0 MiB")
    assert size(-3 * 2**30) == "-3.0 GiB"


def test_a_forecast_becomes_a_bar_whose_items_add_up_to_what_the_card_will_show() -> None:
    memory = ask("RTX 4090", model_8b()).memory
    made = bar_of(memory, free=22 * GIB, total=24 * GIB)
    assert sum(made.items.values()) == made.likely == memory.card_bytes
    assert made.high == memory.safe_bytes
    assert made.low <= made.likely <= made.high
    assert all(name in KNOWN for name in made.items)
