"""The data screen: drawn from made-up reports at two sizes, driven by keys, and hostile rows on it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.style import Style
from textual.pilot import Pilot
from textual.widgets import OptionList

from pegbox_methods.advice.data_card import AtLength
from pegbox_methods.recipe import Model, RowSource, Split
from pegbox_methods.refusal import Refusal
from pegbox_runs.models import BUNDLED
from pegbox_tui.rows.app import RowsApp
from pegbox_tui.rows.browsing import BrowsedRow
from pegbox_tui.rows.examined_rows import ExaminedRows, RowsAsked, look_at
from pegbox_tui.rows.mask_text import bracket_legend, bracketed, mask_text
from pegbox_tui.rows.messages import RowBrowsed
from pegbox_tui.rows.report_parts import MOST_LIMITS, bar, percent, telling
from pegbox_tui.rows.screen import RowsScreen
from pegbox_tui.shell.help import HelpScreen
from tests.made_up_report import HOSTILE, LENGTHS, SHOWN_HOSTILE, MadeUpRows

SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])


def app_of(rows: MadeUpRows) -> RowsApp:
    return RowsApp("rows.jsonl", lambda told: rows)


async def shows(pilot: Pilot[Any], number: int) -> None:
    """Wait until the screen shows the row of that number."""
    for _ in range(500):
        screen = pilot.app.screen_stack[1]
        if isinstance(screen, RowsScreen) and screen.row is not None and screen.row.number == number:
            await pilot.pause()
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"row {number} never came")


def drawn(app: RowsApp) -> str:
    """Give what stands on the terminal."""
    return "\n".join("".join(part.text for part in strip) for strip in app.screen._compositor.render_strips())


def styles_of(app: RowsApp, text: str) -> list[Style]:
    """Give the styles in which a text is drawn."""
    strips = app.screen._compositor.render_strips()
    return [part.style for strip in strips for part in strip if text in part.text and part.style is not None]


def pressed(*keys: str) -> Callable[[Pilot[Any]], Any]:
    async def run(pilot: Pilot[Any]) -> None:
        await shows(pilot, 1)
        await pilot.press(*keys)
        await pilot.pause()
        await asyncio.sleep(0.2)
        await pilot.pause()

    return run


@SIZES
@pytest.mark.parametrize(
    "keys",
    [(), ("down", "n"), ("down", "down", "down", "m"), ("question_mark",)],
    ids=["opened", "duplicates", "lengths-in-brackets", "keys"],
)
def test_how_it_looks(snap_compare: Any, size: tuple[int, int], keys: tuple[str, ...]) -> None:
    assert snap_compare(app_of(MadeUpRows()), terminal_size=size, run_before=pressed(*keys))


@SIZES
def test_how_it_looks_while_it_reads(snap_compare: Any, size: tuple[int, int]) -> None:
    def look(told: Callable[[float], None]) -> MadeUpRows:
        while True:
            told(0.42)
            time.sleep(0.05)

    async def reads(pilot: Pilot[Any]) -> None:
        for _ in range(500):
            if "42 %" in drawn(pilot.app):  # type: ignore[arg-type]
                return
            await asyncio.sleep(0.01)
        raise AssertionError("it never told how far it is")

    assert snap_compare(RowsApp("rows.jsonl", look), terminal_size=size, run_before=reads)


@SIZES
def test_how_it_looks_where_the_rows_are_refused(snap_compare: Any, size: tuple[int, int]) -> None:
    def look(told: Callable[[float], None]) -> MadeUpRows:
        raise Refusal(f"{HOSTILE}: there is no such file of rows. Name one that is there.")

    async def refused(pilot: Pilot[Any]) -> None:
        for _ in range(500):
            screen = pilot.app.screen
            if isinstance(screen, RowsScreen) and screen.state.refusal:
                await pilot.pause()
                return
            await asyncio.sleep(0.01)
        raise AssertionError("it was never told")

    assert snap_compare(RowsApp("rows.jsonl", look), terminal_size=size, run_before=refused)


async def test_arrows_and_letters_leaf_through_the_rows() -> None:
    app = app_of(MadeUpRows())
    async with app.run_test() as pilot:
        await shows(pilot, 1)
        steps = [("right", 2), ("j", 3), ("left", 2), ("k", 1), ("k", 1), ("pagedown", 11), ("pageup", 1)]
        for key, number in [*steps, ("end", 600), ("right", 600), ("home", 1)]:
            await pilot.press(key)
            await shows(pilot, number)
            assert f"row {number} of 600" in drawn(app)


async def test_leafing_fast_ends_at_the_row_that_was_wanted_last() -> None:
    app = app_of(MadeUpRows())
    async with app.run_test() as pilot:
        await shows(pilot, 1)
        await pilot.press(*["right"] * 40)
        await shows(pilot, 41)


async def test_a_row_that_comes_late_is_not_shown() -> None:
    rows = MadeUpRows()
    app = app_of(rows)
    async with app.run_test() as pilot:
        await shows(pilot, 1)
        app.rows_screen.post_message(RowBrowsed(rows.row(7)))
        await pilot.pause()
        assert "row 1 of 600" in drawn(app)


async def test_n_goes_round_the_rows_of_the_chosen_finding() -> None:
    app = app_of(MadeUpRows())
    async with app.run_test() as pilot:
        await shows(pilot, 1)
        for key, number in [("n", 3), ("n", 9), ("n", 3), ("N", 9), ("enter", 3)]:
            await pilot.press(key)
            await shows(pilot, number)
        await pilot.press("down")
        for key, number in [("n", 12), ("n", 40), ("N", 12), ("N", 77)]:
            await pilot.press(key)
            await shows(pilot, number)


async def test_a_finding_without_rows_moves_nothing_and_says_so() -> None:
    app = app_of(MadeUpRows())
    async with app.run_test(notifications=True) as pilot:
        await shows(pilot, 1)
        await pilot.press("down", "down", "n")
        await pilot.pause()
        assert "No row that could be shown" in drawn(app)
        assert "row 1 of 600" in drawn(app)


async def test_the_details_follow_the_list() -> None:
    app = app_of(MadeUpRows())
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, 1)
        assert "Leave them out, or raise" in drawn(app)
        choices = app.screen.query_one("#sections", OptionList)
        seen = []
        for place in range(choices.option_count):
            choices.highlighted = place
            await pilot.pause()
            seen.append(drawn(app))
    for number, said in enumerate(("rows that train", "as line 7", "The assistant thinks", "up to 52 tokens")):
        assert said in seen[number]
    for said in ("advised", "shuffled", "日本語", "540 trained", "begins to overfit", "109 KiB", "isn't JSON"):
        assert any(said in one for one in seen[4:]), said


@SIZES
async def test_trained_tokens_stand_out_in_color_and_in_brackets(size: tuple[int, int]) -> None:
    app = app_of(MadeUpRows("plain", " words"))
    async with app.run_test(size=size) as pilot:
        await shows(pilot, 1)
        trained, context, cut = (styles_of(app, text)[0] for text in (" lute", "words", "<|im_end|>"))
        assert len({trained.bgcolor, context.bgcolor, cut.bgcolor}) == 3
        assert cut.strike
        assert "special" in drawn(app)
        await pilot.press("m")
        await pilot.pause()
        assert "words⟦ 1 lute lute" in drawn(app)
        assert "⟦trained⟧ context" in drawn(app)


@SIZES
async def test_text_from_outside_is_shown_and_never_acts(size: tuple[int, int]) -> None:
    app = app_of(MadeUpRows("[bold]x[/bold]", "[link=y]z[/link]", "\x1b]8;;http://a\x07b", "\x00\u202e\u200f"))
    async with app.run_test(size=size) as pilot:
        await shows(pilot, 1)
        for _ in range(2):
            said = drawn(app)
            unfolded = said.replace(" ", "").replace("\n", "")
            assert r"[bold]x[/bold][link=y]z[/link]\x1b]8;;http://a\x07b\x00\u202e\u200f" in unfolded
            assert not set("\x1b\x00\u202e\u200f\x07") & set(said)
            assert styles_of(app, "z")
            assert not any(style.link for style in styles_of(app, "z"))
            await pilot.press("m")
            await pilot.pause()
        assert app.return_value is None


@SIZES
async def test_findings_values_and_rejected_rows_are_shown_as_they_are(size: tuple[int, int]) -> None:
    app = app_of(MadeUpRows())
    async with app.run_test(size=size) as pilot:
        await shows(pilot, 1)
        choices = app.screen.query_one("#sections", OptionList)
        for name in ("finding-untrained-rows", "balance", "rejected-rows"):
            choices.highlighted = choices.get_option_index(name)
            await pilot.pause()
            said = drawn(app)
            assert "[bold]x[/bold]" in said
            assert not set("\x1b\x00\u202e") & set(said)


@pytest.mark.parametrize(("key", "answer"), [("t", LENGTHS.recommended), ("q", None), ("escape", None)])
async def test_it_returns_the_length_that_was_taken(key: str, answer: int | None) -> None:
    app = app_of(MadeUpRows())
    async with app.run_test() as pilot:
        await shows(pilot, 1)
        await pilot.press(key)
        await pilot.pause()
    assert app.return_value == answer
    assert not app.is_running


async def test_control_c_leaves_too() -> None:
    app = app_of(MadeUpRows())
    async with app.run_test() as pilot:
        await shows(pilot, 1)
        await pilot.press("ctrl+c")
        await pilot.pause()
    assert not app.is_running


async def test_without_a_model_there_is_no_length_to_take() -> None:
    app = app_of(MadeUpRows(lengths=None, model=None))
    async with app.run_test(notifications=True) as pilot:
        await shows(pilot, 1)
        await pilot.press("t")
        await pilot.pause()
        assert app.is_running
        assert "No length is known" in drawn(app)


async def test_a_row_that_cant_be_shown_says_why() -> None:
    class Broken(MadeUpRows):
        def row(self, number: int) -> BrowsedRow:
            return BrowsedRow(number, "rows.jsonl, line 1", None, f"the template refuses it: {HOSTILE}")

    app = app_of(Broken())
    async with app.run_test(size=(200, 40)) as pilot:
        await shows(pilot, 1)
        assert f"the template refuses it: {SHOWN_HOSTILE[:60]}" in drawn(app)
        await pilot.press("m")
        await shows(pilot, 1)


async def test_the_file_changing_under_it_is_told_and_ends_nothing() -> None:
    class Changed(MadeUpRows):
        def row(self, number: int) -> BrowsedRow:
            if number > 1:
                raise Refusal("rows.jsonl has changed since it was read.")
            return super().row(number)

    app = app_of(Changed())
    async with app.run_test() as pilot:
        await shows(pilot, 1)
        await pilot.press("right")
        await shows(pilot, 2)
        assert "has changed since" in drawn(app)


async def test_leaving_while_it_reads_ends_the_reading() -> None:
    ended = threading.Event()

    def look(told: Callable[[float], None]) -> MadeUpRows:
        try:
            for _ in range(1000):
                told(0.1)
                threading.Event().wait(0.01)
        finally:
            ended.set()
        return MadeUpRows()

    app = RowsApp("rows.jsonl", look)
    async with app.run_test() as pilot:
        await pilot.pause()
        await pilot.press("q")
    assert ended.wait(5)


async def test_a_row_of_a_hundred_thousand_tokens_is_drawn_in_part() -> None:
    app = app_of(MadeUpRows(*["word "] * 100_000))
    async with app.run_test() as pilot:
        await shows(pilot, 1)
        assert "tokens before this are not drawn" in drawn(app)
        before = drawn(app)
        await pilot.press("space")
        await pilot.pause()
        assert "tokens before this" not in drawn(app)
        await pilot.press("b")
        await pilot.pause()
        assert drawn(app) == before
        app.screen.query_one("#row-scroll").scroll_end(animate=False)
        await pilot.pause()
        assert "lute lute" in drawn(app)


async def test_each_part_explains_itself_and_the_keys_are_one_key_away() -> None:
    app = app_of(MadeUpRows())
    async with app.run_test(size=(120, 50)) as pilot:
        await shows(pilot, 1)
        for moves, said in (((), "Leave them out, or raise"), (("tab", "tab"), "two shades by turns")):
            await pilot.press(*moves, "question_mark")
            await pilot.pause()
            assert isinstance(app.screen, HelpScreen)
            assert said in " ".join(drawn(app).split())
            assert "the last row" in drawn(app)
            await pilot.press("escape")
            await pilot.pause()
        assert isinstance(app.screen, RowsScreen)


async def test_real_rows_are_browsed_token_by_token(tmp_path: Path) -> None:
    asked = RowsAsked(
        source=RowSource(file=str(BUNDLED / "rows.jsonl"), limit=30),
        split=Split(),
        model=Model(name="bundled"),
        length=40,
    )
    app = RowsApp("rows.jsonl", lambda told: look_at(asked, told))
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, 1)
        assert "row 1 of 30 · rows.jsonl, line 1 · 62 tokens, 14 trained, 22 cut away" in drawn(app)
        trained, context = styles_of(app, " os")[0], styles_of(app, " module")[0]
        assert trained.bgcolor != context.bgcolor
        assert styles_of(app, " environment")[0].strike
        await pilot.press("end", "m")
        await shows(pilot, 30)
        assert "⟦Name: " in drawn(app)


def test_rows_are_counted_and_shown_by_the_template_that_the_recipe_names(tmp_path: Path) -> None:
    def looked(template: Path | None) -> ExaminedRows:
        model = Model(name="bundled", chat_template=None if template is None else str(template))
        asked = RowsAsked(source=RowSource(file=str(BUNDLED / "rows.jsonl"), limit=30), split=Split(), model=model)
        return look_at(asked, lambda _: None)

    named = tmp_path / "named.jinja"
    named.write_text("Zebra zebra zebra. " + (BUNDLED / "model" / "chat_template.jinja").read_text())
    own, other = looked(None), looked(named)
    assert own.report.lengths is not None
    assert other.report.lengths is not None
    assert other.report.lengths.tokens >= own.report.lengths.tokens + 30 * 3
    assert other.report.lengths.estimate is None
    first = other.row(1).shown
    assert first is not None
    assert "".join(token.text for token in first.tokens).startswith("Zebra zebra zebra.")
    gone = looked(tmp_path / "gone.jinja")
    assert gone.report.lengths is not None
    assert "gone.jinja" in (gone.report.lengths.estimate or "")
    assert "gone.jinja" in gone.row(1).fault


async def test_n_finds_the_real_rows_of_a_finding(tmp_path: Path) -> None:
    lines = (BUNDLED / "rows.jsonl").read_text().splitlines()[:20]
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(["not json", *lines, lines[4], lines[9]]) + "\n")
    asked = RowsAsked(source=RowSource(file=str(file)), split=Split(), model=Model(name="bundled"))
    app = RowsApp("rows.jsonl", lambda told: look_at(asked, told))
    async with app.run_test(size=(120, 40)) as pilot:
        await shows(pilot, 1)
        choices = app.screen.query_one("#sections", OptionList)
        choices.highlighted = choices.get_option_index("finding-exact-duplicates")
        await pilot.pause()
        for number in (21, 22, 21):
            await pilot.press("n")
            await shows(pilot, number)
        assert "row 21 of 22 · rows.jsonl, line 22" in drawn(app)


async def test_where_no_row_can_be_taken_the_report_stands_alone(tmp_path: Path) -> None:
    app = app_of(MadeUpRows(rows=0, lengths=None, split=None))
    async with app.run_test() as pilot:
        for _ in range(500):
            if app.screen_stack[1].query("#sections") and "rows that train" in drawn(app):
                break
            await pilot.pause(0.01)
        await pilot.press("right", "end", "m", "space")
        await pilot.pause()
        assert "0 rows" in drawn(app)
        assert "row 1" not in drawn(app).partition("─")[2]


def test_brackets_stand_around_each_passage_that_is_trained_and_not_cut() -> None:
    row = MadeUpRows("a ").row(1).shown
    assert row is not None
    said = mask_text(row, marks=("[[", "]]")).plain
    assert said == "<|im_start|>a [[ 1 lute lute lute lute lute lute lute lute lute]] lute<|im_end|>"
    assert mask_text(row).plain == said.replace("[[", "").replace("]]", "")
    assert "[[ 1 lute" in bracketed(row, ascii_only=True).plain
    assert bracket_legend(ascii_only=True).plain == "[[trained]] context"


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (0, "0 %"),
        (1, "100 %"),
        (1e-6, "<0.1 %"),
        (1 - 1e-6, ">99.9 %"),
        (0.0466, "4.7 %"),
        (0.5, "50 %"),
        (0.995, "99.5 %"),
    ],
)
def test_shares_never_look_like_nothing_or_all(part: float, said: str) -> None:
    assert percent(part) == said


def test_bars_are_as_long_as_their_share() -> None:
    assert bar(1.0, 10) == "█" * 10
    assert bar(0.5, 10) == "█" * 5
    assert bar(0.55, 10) == "█" * 5 + "▌"
    assert bar(1e-9, 10) == "▏"
    assert bar(0, 10) == ""


def test_of_many_limits_those_around_the_recommended_one_are_told() -> None:
    limits = [AtLength(length=64 * n, rows_truncated=0.1, trained_kept=0.9, mean_tokens=9.0) for n in range(1, 300)]
    told = [one.length for one in telling(limits, 64 * 11)]
    assert len(told) <= MOST_LIMITS
    assert 64 * 11 in told
    assert 1024 in told
    assert told == sorted(told)
