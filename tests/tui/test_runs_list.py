"""The list of runs: drawn from made-up folders at two sizes, driven by keys and mouse."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from textual.geometry import Region
from textual.pilot import Pilot
from textual.widgets import Static

from pegbox.__main__ import main
from pegbox_methods.events import AnyEvent, Failed, Finished, Paused, Queued
from pegbox_methods.recipe import Method, Model, Output, Recipe, Rows
from pegbox_methods.refusal import Refusal
from pegbox_runs.commands import CommandReader, answer
from pegbox_runs.draft_hold import DraftHold
from pegbox_runs.drafts import Draft, draft_file, read_draft, write_draft
from pegbox_runs.event_log import EventWriter
from pegbox_runs.listing import ListedRun
from pegbox_runs.run_folder import RunFolder, all_runs, create
from pegbox_runs.summary import summarise, write_summary
from pegbox_runs.viewing import state_of
from pegbox_tui.dashboard.screen import DashboardScreen
from pegbox_tui.runs_app import RunsApp, browse_runs
from pegbox_tui.runs_list import columns, screen
from pegbox_tui.runs_list.columns import COLUMNS, loss, moment, placed, steps
from pegbox_tui.runs_list.order import SORTS, View, shown
from pegbox_tui.runs_list.screen import RunsScreen
from pegbox_tui.runs_list.states import STATES
from pegbox_tui.runs_list.table import RunsTable
from pegbox_tui.runs_list.words import NONE_SHOWN, NONE_YET, explanation
from pegbox_tui.shell.confirm import ConfirmScreen
from pegbox_tui.shell.key_line import parts_of
from tests.stories import STORY, environment, evaluation, started, step

HOSTILE = "[red]markup[/red] [@click=app.quit]x[/] \x1b[31mescape\x1b[0m \u202eabc"
DONE = Finished(reason="completed", steps=10, kept_step=3, adapter="adapter", seconds=61.0)
FAILED = Failed(what="the device ran out of memory", where="training at step 3", remedy="Lower it.")
LOST = msgspec.structs.replace(started(), supervisor_mark="another", worker_mark="another")


@pytest.fixture(autouse=True)
def in_greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let local time and year be the same everywhere and always, and looks come quickly."""
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setattr(columns, "this_year", lambda: 2026)
    monkeypatch.setattr(screen, "LOOK_SECONDS", 0.05)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(scope="module")
def surroundings() -> Any:
    return environment()


@pytest.fixture
def run_of(surroundings: Any) -> Callable[..., RunFolder]:
    """Make a run's folder of a fixed name, a minute of made-up time after its name."""

    def make(name: str, *events: AnyEvent, method: str = "lora", model: str = "bundled", **more: Any) -> RunFolder:
        recipe = Recipe(
            model=Model(name=model),
            rows=Rows(file=more.get("rows", "/data/rows.jsonl")),
            method=Method(name=method),
            output=Output(note=more.get("note", "")),
        )
        folder = create(recipe, surroundings)
        folder = RunFolder(folder.path.rename(folder.path.with_name(name)))
        begun = 1767225600.0 + 86400 * int(name[6:8])
        lines = []
        for number, event in enumerate(events, start=1):
            changes: dict[str, Any] = {"seq": number, "time": begun + 60 * number}
            if event.__struct_config__.tag == "started":
                changes |= {"method": method, "model": model}
            lines.append(msgspec.json.encode(msgspec.structs.replace(event, **changes)) + b"\n")
        folder.events.write_bytes(b"".join(lines))
        if events and isinstance(events[-1], Finished):
            write_summary(summarise(folder.id, state_of(folder)), folder.summary)
        return folder

    return make


@pytest.fixture
def several(run_of: Callable[..., RunFolder]) -> list[RunFolder]:
    """One of nearly each kind, oldest first."""
    queued = Queued(place=1, host=started().host, supervisor_pid=os.getpid(), supervisor_mark=started().supervisor_mark)
    return [
        run_of("20260101-080000-lora-aaaa", *STORY, DONE, note="first try, for Ada"),
        run_of("20260102-090000-dora-bbbb", *STORY, evaluation(9, 1.8), DONE, method="dora", model="Org/Small-135M"),
        run_of("20260103-100000-qlora-cccc", *STORY, FAILED, method="qlora", model="/models/big-7B/"),
        run_of("20260104-110000-lora-dddd", LOST, *STORY[1:], rows="/data/other.csv"),
        run_of("20260105-120000-lora-eeee", *STORY, Paused(step=3, memory="kept")),
        run_of("20260106-130000-adalora-ffff", *STORY, method="adalora", note="ranks that move"),
        run_of("20260107-140000-lora-gggg", queued),
    ]


def listed(app: RunsApp) -> RunsScreen:
    return next(shown for shown in app.screen_stack if isinstance(shown, RunsScreen))


def text(app: RunsApp, name: str) -> str:
    return str(listed(app).query_one(name, Static).render())


def lines(app: RunsApp) -> list[str]:
    """Give the lines of the list as they stand on the terminal."""
    table = listed(app).query_one(RunsTable)
    top = table.scroll_offset.y
    return [table.render_line(place - top).text.rstrip() for place in range(len(table._runs))]


async def until(pilot: Pilot[Any], wanted: Callable[[], bool]) -> None:
    for _ in range(500):
        if wanted():
            await pilot.pause()
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came to be")


async def all_listed(pilot: Pilot[Any], count: int) -> None:
    await until(pilot, lambda: listed(pilot.app)._whole and len(listed(pilot.app)._runs) == count)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
@pytest.mark.parametrize(
    "keys", [("down", "down", "down", "down"), ("o", "slash", *"lora")], ids=["listed", "filtered"]
)
def test_how_it_looks(snap_compare: Any, several: list[RunFolder], size: tuple[int, int], keys: list[str]) -> None:
    (several[0].path.parent / "letters").mkdir()

    async def ready(pilot: Pilot[Any]) -> None:
        await all_listed(pilot, len(several) + 1)
        await pilot.press(*keys)
        await pilot.pause()

    assert snap_compare(RunsApp(), terminal_size=size, run_before=ready)


async def test_all_runs_are_there_newest_first_with_state_in_words(several: list[RunFolder]) -> None:
    app = RunsApp()
    async with app.run_test() as pilot:
        await all_listed(pilot, 7)
        assert [line.split()[1 if line[0] == " " else 2] for line in lines(app)] == [
            *("queued", "running", "paused", "lost", "failed", "finished", "finished")
        ]
        assert text(app, "#headline") == "Runs: 7 · newest first"
        await pilot.press("end")
        await pilot.pause()
        assert "first try, for Ada" in text(app, "#chosen")
        assert "20260101-080000-lora-aaaa" in text(app, "#chosen")
        await pilot.press("up", "up")
        assert "failed while training at step 3: the device ran out of memory" in text(app, "#chosen")


async def test_keys_sort_filter_and_leave_out_what_does_not_run(several: list[RunFolder]) -> None:
    app = RunsApp()
    async with app.run_test() as pilot:
        await all_listed(pilot, 7)
        await pilot.press("o")
        assert "by state" in text(app, "#headline")
        assert "● running" in lines(app)[0]
        await pilot.press("o")
        assert "3.00 to 1.80" in lines(app)[0]
        await pilot.press("o", "o", "o", "r")
        assert text(app, "#headline") == "Runs: 3 of 7 · newest first · only running ones"
        await pilot.press("r", "slash", *"ADA q")  # q is a letter here
        await pilot.pause()
        assert text(app, "#headline") == 'Runs: 0 of 7 · newest first · with "ADA q"'
        assert text(app, "#chosen") == NONE_SHOWN
        await pilot.press("backspace", "backspace", "enter")
        await pilot.pause()
        assert [("adalora" in line) for line in lines(app)] == [True, False], "found by method and by note"
        assert app.focused is listed(app).query_one(RunsTable)
        await pilot.press("escape")
        assert text(app, "#headline") == "Runs: 7 · newest first"
        await pilot.press("escape")
    assert app.return_value is None


async def test_enter_opens_the_dashboard_and_leaving_it_leads_back_to_the_same_place(several: list[RunFolder]) -> None:
    app = RunsApp()
    async with app.run_test() as pilot:
        await all_listed(pilot, 7)
        await pilot.press("o", "o", "down", "enter")
        await until(pilot, lambda: isinstance(app.screen, DashboardScreen))
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen) and bool(listed(app)._runs))
        await all_listed(pilot, 7)
        assert "lowest evaluation loss first" in text(app, "#headline")
        assert lines(app)[1].startswith("> ")


async def test_a_click_chooses_a_double_click_opens(several: list[RunFolder]) -> None:
    app = RunsApp()
    async with app.run_test() as pilot:
        await all_listed(pilot, 7)
        await pilot.click(RunsTable, offset=(10, 3))
        assert [line[0] for line in lines(app)] == [" ", " ", " ", ">", " ", " ", " "]
        await pilot.click(RunsTable, offset=(10, 15))
        assert lines(app)[3].startswith(">"), "below the last line there is nothing"
        await pilot.click(RunsTable, offset=(10, 5), times=2)
        await until(pilot, lambda: isinstance(app.screen, DashboardScreen))
        assert app.screen._folder.id == several[1].id  # type: ignore[attr-defined]


async def test_a_run_is_repeated_once_an_unfinished_draft_may_be_forgotten(several: list[RunFolder]) -> None:
    app = RunsApp()
    async with app.run_test() as pilot:
        await all_listed(pilot, 7)
        await pilot.press("end", "e")
    assert app.return_value == several[0]
    write_draft(Draft(model=Model(name="another")))
    app = RunsApp()
    async with app.run_test() as pilot:
        await all_listed(pilot, 7)
        await pilot.press("down", "e")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        await all_listed(pilot, 7)
        assert lines(app)[1].startswith("> ")
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("y")
    assert app.return_value == several[5]


def test_what_is_repeated_becomes_the_draft(several: list[RunFolder], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RunsApp, "run", lambda self: several[1])
    assert browse_runs()
    draft = read_draft()
    assert draft is not None
    assert (draft.method, draft.model, draft.step) == ("dora", Model(name="Org/Small-135M"), "settings")
    monkeypatch.setattr(RunsApp, "run", lambda self: None)
    assert not browse_runs()


def test_a_run_is_not_repeated_over_the_draft_of_a_window_that_is_open(
    several: list[RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RunsApp, "run", lambda self: several[1])
    window = DraftHold()
    assert window.take() is None
    with pytest.raises(Refusal, match="another window of Pegbox"):
        browse_runs()
    assert not draft_file().exists()
    window.release()
    draft_file().write_text("{")
    assert browse_runs()
    assert [path.read_text() for path in draft_file().parent.glob("draft-unread-*")] == ["{"]


async def test_what_cannot_be_opened_or_repeated_says_why(run_of: Callable[..., RunFolder]) -> None:
    folder = run_of("20260101-080000-lora-aaaa", *STORY)
    (folder.path.parent / "zzz").mkdir()
    folder.recipe.write_text("[[")
    app = RunsApp()
    async with app.run_test() as pilot:
        await all_listed(pilot, 2)
        await pilot.press("enter")
        await until(pilot, lambda: len(app._notifications) == 1)
        await pilot.press("down", "e")
        await until(pilot, lambda: len(app._notifications) == 2)
        said = [note.message for note in app._notifications]
        assert "no run of Pegbox, or a damaged one: there is no recipe.toml" in said[0]
        assert "not valid TOML" in said[1]
        assert isinstance(app.screen, RunsScreen)


def sent(folder: RunFolder) -> list[str]:
    return [command.command for command in CommandReader(folder.commands).new()]


async def test_a_run_is_asked_once_the_person_is_sure(several: list[RunFolder]) -> None:
    app = RunsApp()
    async with app.run_test() as pilot:
        await all_listed(pilot, 7)
        for count, (folder, key, name) in enumerate(
            ((several[6], "s", "stop"), (several[5], "p", "pause"), (several[4], "p", "resume"))
        ):
            await pilot.press(*["down"] * min(count, 1), key)
            assert isinstance(app.screen, ConfirmScreen)
            await pilot.press("n", key)
            await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
            assert sent(folder) == []
            await pilot.press("y")
            await until(pilot, lambda folder=folder, name=name: sent(folder) == [name])
        (command,) = CommandReader(folder.commands).new()
        EventWriter(folder.events).emit(answer(command, f"it will {HOSTILE}", taken=True))
        await until(pilot, lambda: bool(app._notifications))
        (note,) = app._notifications
        assert "it will [red]markup[/red]" in note.message
        assert "\x1b" not in note.message
    assert sum(len(sent(one)) for one in several) == 3


async def test_a_run_that_is_over_is_asked_for_nothing(several: list[RunFolder]) -> None:
    app = RunsApp()
    async with app.run_test() as pilot:
        await all_listed(pilot, 7)
        await pilot.press("end", "s", "p", *["up"] * 2, "s")
        await until(pilot, lambda: len(app._notifications) == 3)
        assert isinstance(app.screen, RunsScreen)
    assert not any(map(sent, several))


async def test_a_run_that_was_lost_is_continued_once_the_person_is_sure(
    several: list[RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    continued: list[RunFolder] = []
    monkeypatch.setattr("pegbox_runs.continuing.continue_run", continued.append)
    app = RunsApp()
    async with app.run_test() as pilot:
        await all_listed(pilot, 7)
        await pilot.press("down", "down", "down", "p")
        assert isinstance(app.screen, ConfirmScreen)
        await pilot.press("y")
        await until(pilot, lambda: continued == [several[3]])


async def test_the_key_line_names_what_can_be_done_with_the_chosen_run(several: list[RunFolder]) -> None:
    app = RunsApp()
    async with app.run_test(size=(120, 40)) as pilot:
        await all_listed(pilot, 7)

        def keys() -> dict[str, str]:
            return {part.shown: part.does for part in parts_of(app.screen)}

        assert (keys()["s"], keys()["p"]) == ("Stop", "Pause"), "queued"
        await pilot.press("down", "down")
        assert keys()["p"] == "Resume"
        assert "d" not in keys(), "it goes on"
        await pilot.press("down")
        assert (keys()["p"], keys()["d"]) == ("Continue", "Delete")
        assert "s" not in keys(), "it is lost"
        await pilot.press("end")
        assert "p" not in keys(), "it is finished"


async def test_deleting_names_what_goes_and_asks(several: list[RunFolder]) -> None:
    folder = several[0]
    folder.adapter.mkdir()
    (folder.adapter / "weights").write_bytes(bytes(2_000_000))
    (folder.checkpoints / "checkpoint-2").mkdir()
    app = RunsApp()
    async with app.run_test() as pilot:
        await all_listed(pilot, 7)
        await pilot.press("end", "d")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        question = str(app.screen.query_one("#question Static", Static).render())
        assert "1.9 MiB go for good: its result, the adapter, 1 checkpoint, its recipe, its log" in question
        await pilot.press("enter")  # the harmless answer has the focus
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        assert folder.recipe.exists()
        await pilot.press("delete")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("y")
        await all_listed(pilot, 6)
        assert lines(app)[-1].startswith("> "), "the cursor stays in the list"
        await until(pilot, lambda: bool(app._notifications))
    assert folder not in all_runs()


async def test_a_run_that_goes_on_is_not_deleted(several: list[RunFolder]) -> None:
    app = RunsApp()
    async with app.run_test() as pilot:
        await all_listed(pilot, 7)
        await pilot.press("down", "d")
        await until(pilot, lambda: bool(app._notifications))
        assert isinstance(app.screen, RunsScreen)
        assert "Stop it first" in next(iter(app._notifications)).message
    assert len(all_runs()) == 7


async def test_only_the_line_that_changed_is_drawn_anew(
    several: list[RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = RunsApp()
    async with app.run_test() as pilot:
        await all_listed(pilot, 7)
        table = listed(app).query_one(RunsTable)
        drawn: list[object] = []
        refresh = table.refresh

        def noted(*regions: Region, **given: Any) -> RunsTable:
            drawn.append([(region.y, region.height) for region in regions] or "all")
            return refresh(*regions, **given)

        monkeypatch.setattr(table, "refresh", noted)
        looks = 0
        take = RunsScreen.on_runs_listed

        def counted(self: RunsScreen, message: Any) -> None:
            nonlocal looks
            looks += 1
            take(self, message)

        monkeypatch.setattr(RunsScreen, "on_runs_listed", counted)
        await until(pilot, lambda: looks >= 3)
        assert drawn == []
        EventWriter(several[5].events).emit(step(4))
        await until(pilot, lambda: "4/10" in lines(app)[1])
        assert drawn == [[(1, 1)]]


async def test_a_run_that_begins_leaves_the_cursor_on_its_run(
    several: list[RunFolder], run_of: Callable[..., RunFolder]
) -> None:
    app = RunsApp()
    async with app.run_test() as pilot:
        await all_listed(pilot, 7)
        await pilot.press("down")
        run_of("20260108-080000-lora-hhhh", *STORY)
        await all_listed(pilot, 8)
        assert lines(app)[2].startswith("> ● running")
        assert "20260106" in text(app, "#chosen")


async def test_names_from_outside_are_shown_and_never_act(run_of: Callable[..., RunFolder]) -> None:
    folder = run_of("20260101-080000-lora-aaaa", *STORY, model=HOSTILE, rows=f"/data/{HOSTILE}", note=HOSTILE * 9)
    folder.path.rename(folder.path.with_name("20260101-[red]x\x1b[2J日本"))
    app = RunsApp()
    async with app.run_test(size=(200, 60)) as pilot:
        await all_listed(pilot, 1)
        drawn = "\n".join("".join(part.text for part in strip) for strip in app.screen._compositor.render_strips())
        assert r"[red]x\x1b[2J日本" in drawn
        assert r"note [red]markup[/red] [@click=app.quit]x[/] \x1b[31mescape" in drawn
        assert not {"\x1b", "\u202e"} & set(drawn)
        await pilot.press("d")
        await pilot.pause()
        assert not any("\x1b" in note.message for note in app._notifications)


async def test_where_there_is_nothing_it_says_how_to_begin(home: Path) -> None:
    app = RunsApp()
    async with app.run_test() as pilot:
        await until(pilot, lambda: text(app, "#chosen") == NONE_YET)
        await pilot.press("enter", "d", "e", "s", "p", "down", "o", "q")
    assert app.return_value is None


async def test_a_folder_of_runs_that_cannot_be_read_is_told_and_tried_again(home: Path) -> None:
    home.mkdir()
    (home / "runs").write_text("a file")
    app = RunsApp()
    async with app.run_test() as pilot:
        await until(pilot, lambda: "can't be read: Not a directory" in text(app, "#chosen"))
        (home / "runs").unlink()
        await until(pilot, lambda: text(app, "#chosen") == NONE_YET)


async def test_a_folder_that_disappears_while_its_deletion_is_asked_is_told(several: list[RunFolder]) -> None:
    app = RunsApp()
    async with app.run_test() as pilot:
        await all_listed(pilot, 7)
        await pilot.press("end", "d")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        shutil.rmtree(several[0].path)
        await pilot.press("y")
        await until(pilot, lambda: bool(app._notifications))
        assert "holds no recipe.toml" in next(iter(app._notifications)).message


async def test_a_long_log_is_read_while_keys_go_on_working(
    run_of: Callable[..., RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pegbox_runs.listing.PORTION_CHUNKS", 1)
    monkeypatch.setattr("pegbox_runs.line_tail.CHUNK_BYTES", 2048)
    monkeypatch.setattr(screen, "READING_SECONDS", 0.0)
    monkeypatch.setattr(screen, "BREATH_SECONDS", 0.05)
    run_of("20260102-080000-lora-long", *STORY, *(step(number) for number in range(4, 60)))
    run_of("20260101-080000-lora-aaaa", *STORY, DONE)
    app = RunsApp()
    async with app.run_test() as pilot:
        await all_listed(pilot, 2)
        assert "reading" in lines(app)[0]
        await pilot.press("down")
        assert lines(app)[1].startswith("> ✓ finished")
        await until(pilot, lambda: "● running" in lines(app)[0] and "59/10" in lines(app)[0])


def test_the_command_opens_it_only_in_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--screen"]) == 2
    assert "--screen needs a terminal at both ends" in capsys.readouterr().err


async def test_a_thousand_runs_open_within_a_second(home: Path, run_of: Callable[..., RunFolder]) -> None:
    model = run_of("20260101-080000-lora-aaaa", *STORY, DONE)
    files = {file.name: file.read_bytes() for file in (model.recipe, model.events, model.summary)}
    for number in range(1000):
        folder = home / "runs" / f"20250101-{number:06}-lora-aaaa"
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)
    app = RunsApp()
    began = time.monotonic()
    async with app.run_test() as pilot:
        await until(pilot, lambda: len(listed(app)._runs) >= 30)
        first = time.monotonic() - began
        await all_listed(pilot, 1001)
        took = time.monotonic() - began
        await pilot.press("end")
        assert lines(app)[-1].startswith("> ")
    assert first < 2
    assert took < 4  # a machine that does other things as well; alone it takes half a second


def test_every_state_and_every_column_is_explained() -> None:
    run = ListedRun(folder=RunFolder(Path("/x")), status="lost")
    said = explanation(run)
    for status, state in STATES.items():
        assert f"{state.sign} {status}: {state.meaning}" in said.text
    for column in COLUMNS:
        assert f"{column.title}: {column.meaning}" in said.text
    assert said.title == "A run that was lost"
    assert said.text.startswith("? lost: It told no end")
    assert len({state.meaning for state in STATES.values()}) == len(STATES)


def test_columns_give_way_where_the_terminal_is_narrow() -> None:
    names = {width: [column.name for column, _ in placed(width)] for width in (40, 79, 119, 199)}
    assert names[79] == ["state", "started", "method", "model", "steps", "loss"]
    assert names[119] == names[199] == [column.name for column in COLUMNS]
    assert names[40] == ["state", "model", "steps", "loss"][: len(names[40])] or "state" in names[40]
    for width in (79, 119, 199):
        assert sum(cells + 1 for _, cells in placed(width)) + 1 <= width


def test_a_moment_has_its_year_where_that_is_not_this_one() -> None:
    assert moment(1767225600.0 + 3600) == "01 Jan 01:00"
    assert moment(0.0) == "01 Jan 1970"
    assert moment(None) == moment(1e300) == moment(float("nan")) == "-"


def test_figures_of_any_size_fit_their_columns() -> None:
    run = ListedRun(
        folder=RunFolder(Path("/x")),
        status="running",
        steps=1_234_567,
        steps_planned=2_000_000,
        untrained_loss=12.345,
        best_loss=1e9,
    )
    assert steps(run) == "1.23M/2M"
    assert loss(run) == "12.3 to 1e+09"


@pytest.mark.parametrize("sort", SORTS)
def test_every_order_keeps_the_newest_first_among_equals_and_takes_what_is_unknown_last(sort: Any) -> None:
    folders = [RunFolder(Path(f"/{letter}")) for letter in "dcba"]
    runs = [ListedRun(folder=folder, status="lost") for folder in folders]
    known = ListedRun(folder=RunFolder(Path("/0")), status="running", method="x", model="y", best_loss=1.0)
    found = [run.id for run in shown([*runs, known], View(sort=sort))]
    assert found == (["d", "c", "b", "a", "0"] if sort == "newest" else ["0", "d", "c", "b", "a"])
