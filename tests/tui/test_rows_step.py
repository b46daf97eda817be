"""The step of the rows, by keys alone: picked, examined, parted, cut; and all that can go wrong with files."""

from __future__ import annotations

import asyncio
import json
import os
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from textual import events
from textual.pilot import Pilot
from textual.widgets import OptionList

from pegbox_methods.recipe import Model, Recipe, Rows, Split
from pegbox_methods.recipe_faults import contradictions
from pegbox_methods.refusal import Refusal
from pegbox_runs.drafts import Draft
from pegbox_runs.jobs import JobFailed
from pegbox_runs.models import BUNDLED
from pegbox_runs.rows import hub
from pegbox_tui.rows.screen import RowsScreen
from pegbox_tui.shell.confirm import ConfirmScreen
from pegbox_tui.shell.explaining import explained
from pegbox_tui.shell.fields import Field
from pegbox_tui.wizard.rows import picker
from pegbox_tui.wizard.rows.arrow_field import ArrowField
from pegbox_tui.wizard.rows.hub_form import HubScreen
from pegbox_tui.wizard.rows.listing import Entry, Listing
from pegbox_tui.wizard.rows.panes import LengthPane, Parts
from pegbox_tui.wizard.rows.reading import FirstRowRead
from pegbox_tui.wizard.rows.screen import RowsStep
from pegbox_tui.wizard.rows.splitting import with_column, with_file, with_share
from pegbox_tui.wizard.workbench import Workbench
from tests.made_up_report import HOSTILE, MadeUpRows
from tests.tui.wizard_steps import StepApp, drawn, notices, reaches, rests

SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
EXAMPLE = str(BUNDLED / "rows.jsonl")
MODEL = Model(name="bundled")
GIB = 2**30
LOOK = Callable[[Draft, Callable[[float], None]], Any]


class MadeUpExamined(MadeUpRows):
    """An examination that nobody made."""

    def parted(self, _: float) -> MadeUpExamined:
        return self

    def changed(self) -> str | None:
        return None


class CardboardBench(Workbench):
    """Gives made-up rows, or does as it is told; prices a length at a hundredth of a GiB a token."""

    def __init__(self, look: LOOK | None = None) -> None:
        super().__init__()
        self.look = look or (lambda draft, told: MadeUpExamined())
        self.examined: list[Draft] = []

    def examine(self, draft: Draft, told: Callable[[float], None]) -> Any:
        self.examined.append(draft)
        return self.look(draft, told)

    def settled(self, draft: Draft) -> Any:
        length = draft.values.get("training.length", 256)
        margin = 3 * GIB - length * GIB // 100
        return SimpleNamespace(
            recipe=SimpleNamespace(training=SimpleNamespace(length=length)),
            advice=SimpleNamespace(place=SimpleNamespace(name="NVIDIA T4")),
            memory=SimpleNamespace(safe_bytes=length * GIB // 100),
            margin_bytes=margin,
            fits=margin >= 0,
        )


class RowsApp(StepApp):
    """The step alone."""

    def __init__(self, draft: Draft | None = None, bench: Workbench | None = None) -> None:
        self.bench = bench or CardboardBench()
        super().__init__(RowsStep, draft or Draft(model=MODEL), self.bench)


def flat(app: Any) -> str:
    """Give what is drawn beside the list, its lines joined."""
    return " ".join(" ".join(line.partition("│")[2] for line in drawn(app).splitlines()).split())


async def until(pilot: Pilot[Any], true: Callable[[], object]) -> None:
    await reaches(pilot, lambda: bool(true()), lambda: drawn(pilot.app))


async def read(pilot: Pilot[Any], app: RowsApp) -> None:
    """Wait until the reading is over and drawn, with the memory of each length where there are lengths."""
    await until(pilot, lambda: app.step.state.over)
    rows = app.step.state.rows
    if rows is not None and rows.report.lengths is not None:
        pane = app.step.query_one(LengthPane)
        await until(pilot, lambda: len(pane._prices.of) == len(pane.lengths) or pane._prices.unknown)
    await rests(pilot)


async def go_to(pilot: Pilot[Any], app: RowsApp, part: str) -> None:
    parts = app.step.query_one(Parts)
    parts.highlighted = parts.get_option_index(part)
    parts.focus()
    await pilot.pause()


def draft_of(file: object, **changes: Any) -> Draft:
    return Draft(**{"model": MODEL, "rows": Rows(file=str(file)), "step": "rows", **changes})


def write_rows(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(autouse=True)
def somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Begin in a folder with two files of rows and one that is none."""
    folder = tmp_path / "somewhere"
    folder.mkdir()
    write_rows(folder / "questions.jsonl", *({"ask": f"What is {n}?", "say": f"A number, {n}."} for n in range(40)))
    write_rows(folder / "rows.jsonl", *({"prompt": f"Say {n}.", "completion": f"Yes, {n}."} for n in range(30)))
    (folder / "notes.txt").write_text("no rows")
    monkeypatch.chdir(folder)
    return folder


async def test_down_in_the_empty_field_goes_to_the_first_line_which_enter_takes_and_up_leads_back() -> None:
    app = RowsApp(Draft(model=MODEL, step="rows"))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.step.query_one(picker.Entries).option_count > 3)
        await pilot.press("down")
        await until(pilot, lambda: "> try  the bundled example rows" in drawn(app))
        await pilot.press("up")
        await until(pilot, lambda: isinstance(app.focused, picker.PathField))
        assert "> try" not in drawn(app)
        await pilot.press("down", "enter")
        await until(pilot, lambda: app.step.draft.rows is not None)
        assert app.step.draft.rows.file == EXAMPLE


@SIZES
def test_how_picking_looks(snap_compare: Any, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    day = time.mktime((2026, 3, 1, 9, 30, 0, 0, 0, -1))
    entries = (
        Entry("up", "..", "/home"),
        Entry("whole folder", "ada", "/home/ada"),
        Entry("folder", "letters", "/home/ada/letters", modified=day),
        Entry("file", f"{HOSTILE}.jsonl", "/home/ada/x.jsonl", 112_039, day),
        Entry("file", "questions.parquet", "/home/ada/questions.parquet", 3 * GIB, day),
        Entry("file", "broken.csv", "/home/ada/broken.csv", fault="No such file or directory"),
    )
    monkeypatch.setattr(picker, "look_into", lambda typed, here: Listing(Path("/home/ada"), entries))

    async def listed(pilot: Pilot[Any]) -> None:
        await until(pilot, lambda: "letters" in drawn(pilot.app))

    assert snap_compare(RowsApp(), terminal_size=size, run_before=listed)


@SIZES
@pytest.mark.parametrize("part", ["summary", "lengths"])
def test_how_examined_rows_look(snap_compare: Any, size: tuple[int, int], part: str) -> None:
    app = RowsApp(draft_of("/home/ada/rows.jsonl"))

    async def run(pilot: Pilot[Any]) -> None:
        await read(pilot, app)
        await go_to(pilot, app, part)
        await until(pilot, lambda: size[0] < 110 or "v shows all rows" in drawn(app))

    assert snap_compare(app, terminal_size=size, run_before=run)


async def test_the_example_rows_are_picked_examined_and_cut_by_keys_alone() -> None:
    app = RowsApp(bench=Workbench())
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "questions.jsonl" in drawn(app))
        assert "notes.txt" not in drawn(app)
        await pilot.press("ctrl+n")
        assert not app.turns
        assert "No rows are picked yet" in (app.step.lacking() or "")
        await pilot.press("enter", "enter")
        await read(pilot, app)
        assert app.answers[-1].rows == Rows(file=EXAMPLE)
        assert "rows.jsonl · 400 rows · messages · fit to train on" in drawn(app)
        await pilot.press("down")
        await pilot.pause()
        said = drawn(app)
        assert "GiB ✓" in said
        advised = next(line for line in said.splitlines() if "●" in line)
        assert "128" in advised
        await pilot.press("enter", "down", "enter")
        await pilot.pause()
        assert app.answers[-1].values == {"training.length": 192}
        assert "192 is yours" in drawn(app)
        await pilot.press("enter")
        await pilot.pause()
        assert app.answers[-1].values == {}
        await pilot.press("ctrl+n")
        await pilot.pause()
        assert app.turns == ["next"]


async def test_a_path_is_typed_completed_and_taken(somewhere: Path) -> None:
    app = RowsApp(bench=Workbench())
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "questions.jsonl" in drawn(app))
        await pilot.press(*"./ro")
        await until(pilot, lambda: "questions.jsonl" not in drawn(app))
        await pilot.press("tab")
        await until(pilot, lambda: "./rows.jsonl" in drawn(app))
        await pilot.press("enter")
        await read(pilot, app)
        assert app.answers[-1].rows == Rows(file=str(somewhere / "rows.jsonl"))
        assert "30 rows · prompt-completion" in drawn(app)


async def test_a_click_picks_a_file_and_a_part(somewhere: Path) -> None:
    app = RowsApp(bench=Workbench())
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "questions.jsonl" in drawn(app))
        line = next(n for n, said in enumerate(drawn(app).splitlines()) if " rows.jsonl" in said)
        await pilot.click(offset=(8, line))
        await read(pilot, app)
        assert app.answers[-1].rows == Rows(file=str(somewhere / "rows.jsonl"))
        parts = app.step.query_one(Parts)
        await pilot.click("#parts", offset=(8, parts.get_option_index("split")))
        await pilot.pause()
        assert "together by" in drawn(app)
        await pilot.click("#share", offset=(43, 0))
        await until(pilot, lambda: app.answers[-1].split.share == 0.15)


async def test_a_folder_is_gone_into_and_taken_as_a_whole(somewhere: Path) -> None:
    app = RowsApp(bench=CardboardBench())
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "questions.jsonl" in drawn(app))
        entries = app.step.query_one("#entries", OptionList)
        entries.focus()
        await pilot.press("down", "enter")
        await until(pilot, lambda: "somewhere/" in drawn(app))
        await pilot.press("end", "enter")
        await until(pilot, lambda: "questions.jsonl" in drawn(app))
        await pilot.press("home", "down", "enter")
        await read(pilot, app)
        assert app.answers[-1].rows == Rows(file=str(somewhere))


async def test_opened_again_it_shows_what_was_answered_without_reading_again(somewhere: Path) -> None:
    bench = Workbench()
    split = Split(share=0.2, by="prompt")
    draft = draft_of(somewhere / "rows.jsonl", split=split, values={"training.length": 64})
    looks = []
    original = bench._once

    def once(key: str, find: Callable[[], Any]) -> Any:
        return original(key, lambda: (looks.append(key), find())[1])

    bench._once = once  # type: ignore[method-assign]
    for _ in range(2):
        app = RowsApp(draft, bench)
        async with app.run_test(size=(80, 24)) as pilot:
            await read(pilot, app)
            await go_to(pilot, app, "split")
            assert "20 %" in drawn(app)
            assert "prompt" in flat(app)
            await go_to(pilot, app, "lengths")
            assert "64 is yours" in drawn(app)
            assert not app.answers
    assert len([key for key in looks if key.startswith("rows:")]) == 1


async def test_another_share_parts_at_once_and_reads_nothing(somewhere: Path) -> None:
    bench = Workbench()
    app = RowsApp(draft_of(EXAMPLE), bench)
    async with app.run_test(size=(80, 24)) as pilot:
        await read(pilot, app)
        kept = dict(bench._kept)
        await go_to(pilot, app, "split")
        await pilot.press("enter", "right", "right")
        await until(pilot, lambda: "320 trained, 80 held out (20 %)" in flat(app))
        assert app.answers[-1].split.share == 0.2
        rows = next(key for key in kept if key.startswith("rows:"))
        assert bench._kept[rows] is kept[rows]
        assert bench.data(app.answers[-1]) is not None
        await pilot.press("home")
        await until(pilot, lambda: "400 trained, 0 held out" in flat(app))


async def test_rows_are_parted_by_a_column_that_they_have(somewhere: Path) -> None:
    write_rows(somewhere / "authors.jsonl", *({"text": f"Text {n}.", "author": f"a{n % 4}"} for n in range(40)))
    app = RowsApp(draft_of(somewhere / "authors.jsonl"), Workbench())
    async with app.run_test(size=(80, 24)) as pilot:
        await read(pilot, app)
        await go_to(pilot, app, "split")
        await pilot.press("enter", "tab", "right", "right")
        assert app.step.lacking() is not None
        await until(pilot, lambda: "10 held out (25 %)" in flat(app))
        assert app.answers[-1].split.by == "author"
        assert "the column 'author'" in flat(app)


async def test_held_out_rows_may_have_a_file_of_their_own(somewhere: Path) -> None:
    write_rows(somewhere / "test.jsonl", *({"prompt": f"Say {n}.", "completion": f"Yes, {n}."} for n in range(28, 40)))
    app = RowsApp(draft_of(somewhere / "rows.jsonl"), Workbench())
    async with app.run_test(size=(80, 24)) as pilot:
        await read(pilot, app)
        await go_to(pilot, app, "split")
        app.step.query_one("#own-file").focus()
        await pilot.press(*"test.jsonl", "enter")
        await until(pilot, lambda: "28 trained, 12 held out" in flat(app))
        taken = app.answers[-1]
        assert taken.split == Split(share=0.0, file="test.jsonl")
        assert app.step.query_one("#share", ArrowField).value == "none"
        recipe = Recipe(model=MODEL, rows=taken.rows or Rows(file="-"), split=taken.split)
        assert not list(contradictions(recipe, file="recipe.toml"))
        app.step.query_one("#own-file", Field).value = ""
        await pilot.press("enter")
        await until(pilot, lambda: app.answers[-1].split == Split())
        assert app.step.query_one("#share", ArrowField).value == "10 %"
        await until(pilot, lambda: "27 trained, 3 held out" in flat(app))


def test_what_is_said_last_of_the_held_out_rows_counts() -> None:
    other = with_file(Split(share=0.3, by="author"), "org/name")
    assert other == Split(share=0.0, file="org/name")
    assert with_file(other, "org/name") == other
    assert with_share(other, 0.0) == other
    assert with_share(other, 0.2) == Split(share=0.2)
    assert with_column(other, "by", "author") == Split(by="author")
    assert with_column(other, "by", None) == other
    assert with_column(Split(share=0.2, by="author"), "stratify", "label") == Split(share=0.2, stratify="label")
    assert with_share(Split(by="author"), 0.2) == Split(share=0.2, by="author")
    assert with_file(Split(share=0.3, by="author"), None) == Split(share=0.3, by="author")


async def test_what_was_set_for_other_rows_is_dropped_with_them_and_said(somewhere: Path) -> None:
    split = Split(share=0.0, file="org/held", hub_split="validation", revision="abc")
    values = {"training.length": 64, "training.epochs": 5}
    app = RowsApp(draft_of("/home/ada/rows.jsonl", split=split, values=values))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.step.state.over)
        app.step.post_message(picker.Picked("/home/ada/rows.jsonl"))
        await pilot.pause()
        assert not app.answers, "the same rows change nothing"
        app.step.post_message(picker.Picked(str(somewhere / "rows.jsonl")))
        await until(pilot, lambda: app.answers)
        assert app.answers[-1].split == Split()
        assert app.answers[-1].values == {"training.epochs": 5}
        (said,) = notices(app)
        assert "held-out rows of org/held, training.length = 64" in said
        await read(pilot, app)
        await go_to(pilot, app, "lengths")
        assert "is yours" not in drawn(app)


async def test_a_refusal_stands_without_the_row_of_other_rows(somewhere: Path) -> None:
    app = RowsApp(draft_of(somewhere / "rows.jsonl"), Workbench())
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "Say 0." in drawn(app))
        former = app.step._ended
        app.step.post_message(picker.Picked(str(somewhere / "questions.jsonl")))
        await until(pilot, lambda: app.step.state.refusal)
        late = MadeUpExamined().row(1)
        app.step.post_message(FirstRowRead(late, former))
        await pilot.pause()
        assert "Say 0." not in drawn(app)
        assert "v shows all rows" not in drawn(app)
        app.step.post_message(FirstRowRead(late, app.step._ended))
        await until(pilot, lambda: "v shows all rows" in drawn(app))


async def test_columns_are_named_by_hand_where_looking_isn_t_enough(somewhere: Path) -> None:
    app = RowsApp(draft_of(somewhere / "questions.jsonl"), Workbench())
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.step.state.refusal)
        await rests(pilot)
        assert 'their keys are "ask", "say"' in flat(app)
        assert "can't be read" in (app.step.lacking() or "")
        await go_to(pilot, app, "reading")
        await pilot.press("enter", "tab", "right", "tab", "right", "right")
        await until(pilot, lambda: app.step.state.rows is not None)
        assert app.answers[-1].rows == Rows(
            file=str(somewhere / "questions.jsonl"), columns={"prompt": "ask", "completion": "say"}
        )
        assert "40 rows · instruction-response" in drawn(app)
        assert app.step.lacking() is None


async def test_a_finding_is_let_pass_after_a_question_and_that_can_be_taken_back() -> None:
    app = RowsApp(draft_of("/home/ada/rows.jsonl"))
    async with app.run_test(size=(80, 24)) as pilot:
        await read(pilot, app)
        assert "not fit to train on" in drawn(app)
        await pilot.press("a")
        await pilot.pause()
        assert not isinstance(app.screen, ConfirmScreen)
        await go_to(pilot, app, "finding-untrained-rows")
        assert "a lets it pass" in flat(app)
        await pilot.press("a", "n")
        await pilot.pause()
        assert not app.answers
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        assert "are left out" in drawn(app)
        await pilot.press("y")
        await until(pilot, lambda: app.answers)
        assert app.answers[-1].rows == Rows(file="/home/ada/rows.jsonl", allow=("untrained-rows",))
        assert "fit to train on with what you allow" in drawn(app)
        await pilot.press("a")
        await until(pilot, lambda: len(app.answers) == 2)
        assert app.answers[-1].rows == Rows(file="/home/ada/rows.jsonl")
        assert len(app.bench.examined) == 1  # type: ignore[attr-defined]


async def test_all_rows_open_without_another_reading_and_give_a_length() -> None:
    app = RowsApp(draft_of("/home/ada/rows.jsonl"))
    async with app.run_test(size=(80, 24)) as pilot:
        await read(pilot, app)
        await pilot.press("v")
        await until(pilot, lambda: isinstance(app.screen, RowsScreen) and "row 1 of 600" in drawn(app))
        await pilot.press("t")
        await until(pilot, lambda: app.answers)
        assert app.answers[-1].values == {"training.length": 256}
        assert app.screen is app.step
        assert len(app.bench.examined) == 1  # type: ignore[attr-defined]


async def test_without_a_model_rows_are_examined_all_the_same_and_it_says_so() -> None:
    app = RowsApp(draft_of(EXAMPLE, model=None), Workbench())
    async with app.run_test(size=(120, 40)) as pilot:
        await read(pilot, app)
        assert "No model is chosen yet" in flat(app)
        await go_to(pilot, app, "lengths")
        assert "there are no tokens to count" in flat(app)
        assert app.step.lacking() is None


async def test_memory_that_cant_be_known_says_why() -> None:
    class Unpriced(CardboardBench):
        def settled(self, draft: Draft) -> Any:
            raise Refusal(f"no shape is known of {HOSTILE}.")

    app = RowsApp(draft_of("/home/ada/rows.jsonl"), Unpriced())
    async with app.run_test(size=(80, 24)) as pilot:
        await read(pilot, app)
        await go_to(pilot, app, "lengths")
        assert "Memory isn't known: no shape is known of [bold]x[/bold]" in flat(app)
        assert not set("\x1b\u202e") & set(drawn(app))


async def test_a_file_that_vanishes_between_screens_is_told_and_the_draft_kept(somewhere: Path) -> None:
    bench, file = Workbench(), somewhere / "rows.jsonl"
    app = RowsApp(draft_of(file), bench)
    async with app.run_test(size=(80, 24)) as pilot:
        await read(pilot, app)
    former = file.read_text()
    file.unlink()
    app = RowsApp(draft_of(file), bench)
    async with app.run_test(size=(80, 24)) as pilot:
        await read(pilot, app)
        assert "can't be found any more. Press r" in flat(app)
        await pilot.press("r")
        await until(pilot, lambda: app.step.state.refusal)
        await rests(pilot)
        assert "there is no such file" in flat(app)
        assert app.step.draft.rows == Rows(file=str(file))
        file.write_text(former)
        await pilot.press("r")
        await until(pilot, lambda: app.step.state.rows is not None)
        await rests(pilot)
        assert "30 rows" in drawn(app)
        assert not app.answers


async def test_a_file_that_changed_since_is_told_and_read_again_by_a_key(somewhere: Path) -> None:
    bench, file = Workbench(), somewhere / "rows.jsonl"
    app = RowsApp(draft_of(file), bench)
    async with app.run_test(size=(80, 24)) as pilot:
        await read(pilot, app)
        assert "has changed" not in flat(app)
    file.write_text(file.read_text() + '{"prompt": "More?", "completion": "Yes."}\n')
    again = RowsApp(draft_of(file), bench)
    async with again.run_test(size=(80, 24)) as pilot:
        await read(pilot, again)
        assert "has changed since it was read. Press r" in flat(again)
        assert "30 rows" in drawn(again)
        await pilot.press("r")
        await until(pilot, lambda: "31 rows" in drawn(again))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\x00\x01\x02\xff" * 500, "no row can be read"),
        (b"", "holds no rows"),
        (b'{"prompt": "a", "chosen": "b", "rejected": "c"}\n' * 5, "preferences"),
        (f'{{"{HOSTILE}": 1}}\n'.replace("\x1b", "\\u001b").replace("\x00", "\\u0000").encode(), "in a known format"),
    ],
    ids=["binary", "empty", "preferences", "hostile-keys"],
)
async def test_rows_that_cant_be_taken_say_why(somewhere: Path, content: bytes, said: str) -> None:
    (somewhere / "bad.jsonl").write_bytes(content)
    app = RowsApp(draft_of(somewhere / "bad.jsonl"), Workbench())
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.step.state.refusal)
        await rests(pilot)
        assert said in flat(app)
        assert not set("\x1b\x00\u202e") & set(drawn(app))
        if app.step.state.keys:
            await go_to(pilot, app, "reading")
            await pilot.press("enter", "tab", "right")
            await pilot.pause()
            assert not set("\x1b\x00\u202e") & set(drawn(app))


async def test_a_helper_process_that_is_killed_is_told_and_tried_again() -> None:
    sentences = ["a process that reads the rows was killed, most likely because the memory didn't suffice."]

    def look(draft: Draft, told: Callable[[float], None]) -> Any:
        if sentences:
            raise Refusal(sentences.pop())
        return MadeUpExamined()

    app = RowsApp(draft_of("/home/ada/rows.jsonl"), CardboardBench(look))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.step.state.refusal)
        await rests(pilot)
        assert "was killed" in flat(app)
        await pilot.press("r")
        await read(pilot, app)
        assert "600 rows" in drawn(app)


async def test_a_fault_of_ours_costs_neither_the_screen_nor_the_draft() -> None:
    def look(draft: Draft, told: Callable[[float], None]) -> Any:
        raise KeyError(HOSTILE)

    app = RowsApp(draft_of("/home/ada/rows.jsonl"), CardboardBench(look))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.step.state.refusal)
        await rests(pilot)
        assert "nobody foresaw: KeyError" in flat(app)
        assert not set("\x1b\x00\u202e") & set(drawn(app))


async def test_a_data_set_that_never_comes_keeps_nobody_from_leaving(monkeypatch: pytest.MonkeyPatch) -> None:
    let_go = threading.Event()
    monkeypatch.setattr(hub, "ask_worker", lambda *_, **__: let_go.wait(60))
    app = RowsApp(draft_of("org/name"), Workbench())
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.step.state.unfetched)
        await pilot.press("r")
        await until(pilot, lambda: "being fetched" in flat(app))
        begin = time.monotonic()
    assert time.monotonic() - begin < 10
    let_go.set()


async def test_how_far_the_reading_is_can_be_seen_and_leaving_ends_it() -> None:
    ended = threading.Event()

    def look(draft: Draft, told: Callable[[float], None]) -> Any:
        try:
            while True:
                told(0.42)
                time.sleep(0.01)
        finally:
            ended.set()

    app = RowsApp(draft_of("/home/ada/rows.jsonl"), CardboardBench(look))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "42 %" in drawn(app))
        assert "being read" in (app.step.lacking() or "")
        app.pop_screen()
        await pilot.pause()
    assert ended.wait(5)


async def test_other_rows_end_the_reading_of_the_former(somewhere: Path) -> None:
    ended = threading.Event()

    def look(draft: Draft, told: Callable[[float], None]) -> Any:
        if draft.rows is None or draft.rows.file != "/slow.jsonl":
            return MadeUpExamined()
        try:
            while True:
                told(0.1)
                time.sleep(0.05)
        finally:
            ended.set()

    app = RowsApp(draft_of("/slow.jsonl", split=Split(share=0.2, by="x")), CardboardBench(look))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "10 %" in drawn(app))
        await pilot.press("f")
        await until(pilot, lambda: "bundled example rows" in drawn(app))
        await pilot.press("enter", "enter")
        await read(pilot, app)
        assert app.answers[-1].split == Split(share=0.2)
        await asyncio.to_thread(ended.wait, 5)
        assert ended.is_set()


async def test_escape_goes_back_from_picking_others_to_those_that_were_picked() -> None:
    app = RowsApp(draft_of("/home/ada/rows.jsonl"))
    async with app.run_test(size=(80, 24)) as pilot:
        await read(pilot, app)
        await pilot.press("f")
        await until(pilot, lambda: "bundled example rows" in drawn(app))
        await pilot.press("escape")
        await until(pilot, lambda: "540 trained" in flat(app))
        assert not app.turns
        await pilot.press("escape")
        await pilot.pause()
        assert app.turns == ["back"]
        titles = [title for title, *_ in app.step.commands()]
        assert "Rows: pick others" in titles


async def test_a_data_set_of_the_hub_is_fetched_only_after_a_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def dies(job: str, request: Any, answer: Any, **_: Any) -> Any:
        asked.append(request)
        raise JobFailed("the worker of the job fetch-rows was ended by SIGKILL", log_tail=f"Killed {HOSTILE}")

    monkeypatch.setattr(hub, "ask_worker", dies)
    app = RowsApp(bench=Workbench())
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "questions.jsonl" in drawn(app))
        await pilot.press(*"org/name")
        await until(pilot, lambda: "a data set to be fetched" in drawn(app))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, HubScreen))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.step)
        assert not asked
        assert not app.answers
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, HubScreen))
        app.screen.query_one("#limit").focus()
        await pilot.press(*"many", "enter")
        await pilot.pause()
        assert isinstance(app.screen, HubScreen)
        await pilot.press(*["backspace"] * 4, *"200", "enter")
        await until(pilot, lambda: app.step.state.refusal)
        await rests(pilot)
        assert "ended by SIGKILL" in flat(app)
        assert not set("\x1b\u202e") & set(drawn(app))
        assert app.step.draft.rows == Rows(file="org/name", limit=200)
        assert app.answers[-1].rows is None
        assert "3 Rows ✓" not in drawn(app)
        assert len(asked) == 1
        await pilot.press("r")
        await until(pilot, lambda: len(asked) == 2)


async def test_tab_on_what_nothing_begins_with_says_so_and_keeps_the_focus() -> None:
    app = RowsApp(Draft(model=MODEL, step="rows"))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("[")
        await until(pilot, lambda: 'Nothing there begins with "[".' in drawn(app))
        for key in ("tab", "down"):
            await pilot.press(key)
            await pilot.pause()
            assert isinstance(app.focused, picker.PathField)
        assert 'Nothing there begins with "[".' in notices(app)


@pytest.mark.parametrize("files", [3, 60])
async def test_each_file_takes_one_line_with_its_date(somewhere: Path, files: int) -> None:
    for number in range(files):
        (somewhere / f"part-{number}.jsonl").touch()
    app = RowsApp(Draft(model=MODEL, step="rows"))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "part-0.jsonl" in drawn(app))
        lines = [line for line in drawn(app).splitlines() if ".jsonl" in line]
        assert len(lines) >= 4
        assert all(re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d", line) for line in lines)


async def test_a_data_set_that_cannot_be_had_displaces_no_rows_and_escape_leads_back_to_them(somewhere: Path) -> None:
    def look(draft: Draft, told: Callable[[float], None]) -> Any:
        if draft.rows == Rows(file="nobody/nothing"):
            raise Refusal("nobody/nothing: the Hub has no such data set.")
        return MadeUpExamined()

    good = draft_of(somewhere / "rows.jsonl", split=Split(share=0.2), values={"training.length": 512})
    app = RowsApp(good, CardboardBench(look))
    async with app.run_test(size=(80, 24)) as pilot:
        await read(pilot, app)
        await pilot.press("f")
        app.step.query_one(picker.PathField).value = "nobody/nothing"
        await until(pilot, lambda: "a data set to be fetched" in drawn(app))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, HubScreen))
        await pilot.press("enter")
        await until(pilot, lambda: app.step.state.refusal)
        await rests(pilot)
        assert "no such data set" in flat(app)
        assert "Escape goes back to rows.jsonl." in flat(app)
        assert all((a.rows, a.split, a.values) == (good.rows, good.split, good.values) for a in app.answers)
        await pilot.press("escape")
        await read(pilot, app)
        assert not app.turns
        assert app.step.draft == good
        assert drawn(app).splitlines()[1].startswith(" rows.jsonl ·")
        app.step.post_message(picker.Picked("/gone.jsonl"))
        await until(pilot, lambda: app.step.draft.rows == Rows(file="/gone.jsonl") and app.step.state.rows is not None)
        assert app.answers[-1].rows == Rows(file="/gone.jsonl")


async def test_rows_of_a_draft_that_were_never_fetched_aren_t_fetched_by_opening(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hub, "ask_worker", lambda *_, **__: pytest.fail("it was fetched"))
    app = RowsApp(draft_of("org/name"), Workbench())
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.step.state.unfetched)
        await rests(pilot)
        assert "Nothing was fetched yet" in flat(app)
        assert "r fetches it" in (app.step.lacking() or "")


async def test_a_hundred_kilobytes_pasted_into_the_path_are_refused_whole() -> None:
    app = RowsApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "questions.jsonl" in drawn(app))
        app.step.query_one("#path").post_message(events.Paste("x/" * 50_000))
        await pilot.pause()
        assert "questions.jsonl" in drawn(app)
        assert any("Nothing was put in" in notice for notice in notices(app))
        await pilot.press(*"~nobody-of-that-name/x", "enter")
        await pilot.pause()
        assert any("no such user's home" in notice for notice in notices(app))
        assert not app.answers
        assert app.is_running


async def test_a_name_that_acts_can_be_picked_and_never_acts(somewhere: Path) -> None:
    name = HOSTILE.replace("/", "").replace("\x00", "") + ".jsonl"
    (somewhere / "rows.jsonl").rename(somewhere / name)
    app = RowsApp(bench=Workbench())
    async with app.run_test(size=(200, 40)) as pilot:
        await until(pilot, lambda: r"\x1b[31mred" in drawn(app))
        app.step.query_one("#entries").focus()
        entries = app.step.query_one("#entries", OptionList)
        entries.highlighted = next(
            n for n, said in enumerate(app.step.query_one("#pick")._shown()) if said.name == name
        )  # type: ignore[attr-defined]
        await pilot.press("enter")
        await read(pilot, app)
        assert app.answers[-1].rows == Rows(file=str(somewhere / name))
        assert "30 rows" in drawn(app)
        assert not set("\x1b\u202e") & set(drawn(app))


async def test_a_path_that_no_recipe_can_hold_is_refused_and_no_draft_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    odd.mkdir()
    write_rows(odd / "rows.jsonl", {"text": "a"})
    monkeypatch.chdir(odd)
    app = RowsApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: " rows.jsonl" in drawn(app))
        app.step.query_one("#entries").focus()
        await pilot.press("end", "enter")
        await pilot.pause()
        assert not app.answers
        assert any("isn't UTF-8" in notice for notice in notices(app))


async def test_every_part_explains_itself() -> None:
    app = RowsApp(draft_of("/home/ada/rows.jsonl"))
    async with app.run_test(size=(120, 40)) as pilot:
        await read(pilot, app)
        said: list[str] = []

        def explain() -> None:
            found = explained(app.screen)
            assert found is not None
            said.append(f"{found.title}: {found.text}")

        parts = app.step.query_one(Parts)
        for part in ("summary", "finding-exact-duplicates", "lengths", "split", "advice", "reading"):
            await go_to(pilot, app, part)
            explain()
            for _ in range(9):
                await pilot.press("tab")
                if app.focused is parts:
                    break
                explain()
        await pilot.press("f")
        await pilot.pause()
        explain()
        app.step.query_one("#entries").focus()
        await pilot.pause()
        explain()
        for title in (
            "Length",
            "Held-out rows",
            "Together by a column",
            "The same share of each",
            "Held-out rows of their own",
            "Format",
            "Columns by hand",
            "Only the first rows",
            "exact duplicates",
            "A row as the model sees it",
            "Where the rows lie",
            "What is here",
        ):
            assert any(text.startswith(f"{title}: ") for text in said), title
        assert any("A trained token is one that the model learns to say" in text for text in said)
