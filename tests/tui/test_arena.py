"""The arena: drawn from a comparison's folder alone, driven by keys and mouse, asking for what a person wants."""

from __future__ import annotations

import shutil
from typing import Any

import msgspec
import pytest
from textual.pilot import Pilot

from pegbox_methods.events import Paused, Phase
from pegbox_methods.refusal import Refusal
from pegbox_runs import viewing
from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.arena.directing import start as directing
from pegbox_runs.arena.results import Interval, write_results
from pegbox_runs.arena.watching import watch as watching
from pegbox_runs.arena.watching.watch import Watched
from pegbox_runs.commands import CommandReader, answer
from pegbox_tui.arena import following, screen
from pegbox_tui.arena.app import ArenaApp
from pegbox_tui.arena.keys import PAGES
from pegbox_tui.arena.view import SORTS
from pegbox_tui.dashboard.screen import DashboardScreen
from pegbox_tui.shell.confirm import ConfirmScreen
from pegbox_tui.shell.explaining import explained
from pegbox_tui.shell.key_line import parts_of
from pegbox_tui.shell.look import Look
from tests.runs.arena.arena_folders import (
    DONE,
    ODD,
    OUT_OF_MEMORY,
    STOPPED,
    ends,
    fails,
    found,
    four,
    made,
    stands,
    tell,
    trains,
)
from tests.runs.arena.made_up_results import contestant, many, results
from tests.stories import started
from tests.tui.arenas import app_of, arena, known, order, said
from tests.tui.wizard_steps import drawn, reaches, rests, shows, words_of

WIDE = (120, 40)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no look and no draw wait for the next."""
    monkeypatch.setattr(screen, "DRAW_SECONDS", 0.0)
    monkeypatch.setattr(watching, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(watching, "ALIVE_SECONDS", 0.02)
    monkeypatch.setattr(viewing, "ALIVE_SECONDS", 0.02)
    monkeypatch.setattr(following, "TRY_AGAIN_SECONDS", 0.02)


async def until(pilot: Pilot[Any], app: ArenaApp, **wanted: Any) -> None:
    """Wait until the arena shows a moment with these."""
    await reaches(
        pilot, lambda: all(getattr(arena(app).watched, key) == value for key, value in wanted.items()), lambda: wanted
    )


async def test_the_list_sorts_itself_as_results_come_in() -> None:
    folder = made("lora", "dora", search=False)
    app = app_of(folder)
    async with app.run_test() as pilot:
        await known(pilot)
        await rests(pilot)
        assert order(app) == ["lora", "dora"]
        ends(folder, "lora.seed-1", loss=1.6)
        found(folder, stands("lora", 1.6, 1))
        await shows(pilot, "1.6000")
        ends(folder, "dora.seed-1", loss=1.5)
        found(folder, stands("dora", 1.5, 1), stands("lora", 1.6, 2, 2), winner="dora")
        await shows(pilot, "2/2 entries", "best")
        await rests(pilot)
        assert order(app) == ["dora", "lora"]
        assert "+0.1000" in said(app, "#board")


async def test_who_cannot_be_told_apart_is_called_tied_and_shares_a_place() -> None:
    app = app_of(four())
    async with app.run_test() as pilot:
        await known(pilot)
        await rests(pilot)
        first, second, *_ = said(app, "#board").splitlines()
        assert first.split()[2] == second.split()[1] == "1"
        assert "tied" in first
        assert "tied" in second


async def test_a_failure_says_its_reason_in_its_row_and_what_to_do_on_its_card() -> None:
    app = app_of(four())
    async with app.run_test() as pilot:
        await known(pilot)
        await shows(pilot, "✗ out of memory: the device ran out of memory")
        assert order(app)[-1] == "full"
        await pilot.press("end", "4")
        await shows(pilot, "contestant full", OUT_OF_MEMORY.remedy)


async def test_a_running_entry_has_a_bar_and_a_loss_that_is_only_so_far() -> None:
    folder = made("lora", "dora", search=False)
    trains(folder, "dora.seed-1", done=40)
    app = app_of(folder)
    async with app.run_test() as pilot:
        await shows(pilot, "50 %", "dora seed 1, 40/80")
        assert order(app) == ["dora", "lora"]
        assert "~1.7030" in said(app, "#board")
        await shows(pilot, "and judging left")


def judges(folder: ComparisonFolder, entry: str) -> None:
    trains(folder, entry, done=80)
    tell(folder.entry(entry), Phase(phase="judging", detail="the weights of step 80"))


async def test_judging_is_said_where_its_steps_would_stand_still() -> None:
    folder = made("lora", "dora", search=False)
    judges(folder, "dora.seed-1")
    app = app_of(folder)
    async with app.run_test() as pilot:
        await shows(pilot, "● judging", "dora seed 1, judging")
        assert "100 %" not in said(app, "#board")


@pytest.mark.parametrize(("last", "shown"), [(None, "pausing"), (Paused(step=40, memory="kept"), "paused")])
async def test_a_pause_holds_once_what_runs_has_paused(last: Paused | None, shown: str) -> None:
    folder = made("lora", search=False)
    trains(folder, "lora.seed-1", done=40)
    tell(folder, Paused(step=0, memory="kept"))
    if last is not None:
        tell(folder.entry("lora.seed-1"), last)
    app = app_of(folder)
    async with app.run_test() as pilot:
        await known(pilot)
        await rests(pilot)
        assert said(app, "#headline").startswith(shown)


async def test_what_a_running_seed_is_at_is_whole_on_80_columns() -> None:
    folder = made("lora", search=False)
    trains(folder, "lora.seed-1", done=40)
    app = app_of(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await known(pilot)
        await pilot.press("4")
        await shows(pilot, "training, step 40 of 80, loss ", " left")


async def test_one_point_compares_nothing() -> None:
    folder = made("lora", search=False)
    ends(folder, "lora.seed-1")
    found(folder, stands("lora", 1.5, 1))
    app = app_of(folder)
    async with app.run_test() as pilot:
        await known(pilot)
        await pilot.press("3")
        await shows(pilot, "lora is the only contestant: one point compares nothing")


async def test_a_search_shows_the_tries_of_the_chosen_one_with_their_losses() -> None:
    folder = made("lora", "dora", search=True)
    ends(folder, "lora.trial-0-rate-0.0003", of=10, loss=2.2)
    ends(folder, "lora.trial-0-rate-0.001", of=10, loss=1.9)
    app = app_of(folder)
    async with app.run_test() as pilot:
        await known(pilot)
        await pilot.press("2")
        await shows(pilot, "lora tries, rate and loss: 1 3e-4 2.2000 2 1e-3 1.9000")
        await pilot.press("4")
        await shows(pilot, "try 1", "for 10 steps: loss 2.2000")


def sent(folder: ComparisonFolder) -> list[str]:
    return [command.command for command in CommandReader(folder.commands).new()]


@pytest.mark.parametrize(("key", "sure"), [("y", True), ("n", False), ("escape", False), ("enter", False)])
async def test_stopping_is_asked_before_and_its_answer_is_shown(key: str, sure: bool) -> None:
    folder = four()
    app = app_of(folder)
    async with app.run_test() as pilot:
        await known(pilot)
        await rests(pilot)
        await pilot.press("exclamation_mark")
        assert isinstance(app.screen, ConfirmScreen)
        await pilot.press(key)
        if not sure:
            await rests(pilot)
            assert sent(folder) == []
            return
        await reaches(pilot, lambda: sent(folder) == ["stop"])
        (command,) = CommandReader(folder.commands).new()
        tell(folder, answer(command, "it stops after this step", taken=True))
        await shows(pilot, "stop: it stops after this step")


async def test_a_stopped_one_is_continued_and_followed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = four()
    tell(folder, STOPPED)
    app = app_of(folder)
    begun: list[ComparisonFolder] = []

    def start(given: ComparisonFolder) -> None:
        begun.append(given)
        tell(given, started(method="comparison"))

    monkeypatch.setattr(directing, "start_director", start)
    async with app.run_test() as pilot:
        await shows(pilot, "stopped", "c Continue")
        await pilot.press("exclamation_mark")
        await shows(pilot, "isn't running, so nobody would hear that")
        await pilot.press("c", "y")
        await shows(pilot, "running", "! Stop")
        assert begun == [folder]
        ends(folder, "rslora.seed-1")
        await shows(pilot, "4/4 entries")


async def test_a_refusal_to_go_on_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: ComparisonFolder) -> None:
        raise Refusal("another process carries it")

    monkeypatch.setattr(directing, "start_director", refuse)
    folder = four()
    tell(folder, STOPPED)
    app = app_of(folder)
    async with app.run_test() as pilot:
        await shows(pilot, "c Continue")
        await pilot.press("c", "y")
        await shows(pilot, "another process carries it")


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
async def test_leaving_tells_the_comparison_nothing(key: str) -> None:
    folder = four()
    app = app_of(folder)
    async with app.run_test() as pilot:
        await known(pilot)
        await pilot.press(key)
    assert isinstance(app.return_value, Watched)
    assert app.return_value.state.status == "running"
    assert sent(folder) == []


async def test_it_leaves_at_the_end_if_told_so() -> None:
    folder = four()
    app = app_of(folder, leave_at_end=True)
    async with app.run_test() as pilot:
        await known(pilot)
        tell(folder, DONE)
        await reaches(pilot, lambda: app.return_value is not None)
    assert isinstance(app.return_value, Watched)
    assert app.return_value.state.status == "finished"


async def test_enter_opens_the_dashboard_of_a_training_and_escape_leads_back_to_the_same_view() -> None:
    app = app_of(four())
    async with app.run_test() as pilot:
        await known(pilot)
        await rests(pilot)
        await pilot.press("x", "down", "down", "enter")
        await reaches(pilot, lambda: isinstance(app.screen, DashboardScreen))
        await shows(pilot, "rslora.seed-1")
        await pilot.press("escape")
        await known(pilot)
        assert (arena(app).view.chosen, arena(app).view.cost) == ("rslora", "time")


async def test_enter_on_what_was_never_begun_says_so() -> None:
    app = app_of(made("lora", "dora", search=False))
    async with app.run_test() as pilot:
        await known(pilot)
        await rests(pilot)
        await pilot.press("enter")
        await shows(pilot, "nothing of it was begun yet")


async def test_every_page_sort_and_cost_can_be_reached_by_keys() -> None:
    app = app_of(four())
    async with app.run_test() as pilot:
        await known(pilot)
        await rests(pilot)
        for number, (pane, title) in enumerate(PAGES, start=1):
            await pilot.press(str(number))
            await shows(pilot, f"[{number} {title}]")
            assert app.screen.focused is app.screen.query_one(f"#{pane}")
            explanation = explained(app.screen)
            assert explanation is not None
            assert len(explanation.text) > 100
        seen = set()
        for _ in SORTS:
            seen.add(arena(app).view.sort)
            await pilot.press("s")
        assert seen == set(SORTS)
        await pilot.press("3")
        for cost in ("peak memory", "training time", "adapter's size", "forgetting"):
            await shows(pilot, f"loss by {cost}")
            await pilot.press("x")
        assert len(list(arena(app).commands())) > 15


@pytest.mark.parametrize(("look", "sign"), [(Look(), "≤2.0 GiB"), (Look(ascii=True), "<2.0 GiB")])
async def test_the_memory_of_a_process_is_told_as_an_upper_bound(look: Look, sign: str) -> None:
    folder = made("lora", "dora")
    made_up = (contestant("lora", 1.4, 1, 1, device_peak=None), contestant("dora", 1.5, 2, 2, device_peak=None))
    write_results(results(*made_up), folder)
    app = app_of(folder, look)
    async with app.run_test(size=(120, 40)) as pilot:
        await known(pilot)
        await shows(pilot, sign)
        await pilot.press("4")
        await shows(pilot, "memory at most 2.0 GiB")
        await pilot.press("3")
        await shows(pilot, "loss by peak memory, at most, GiB", "by these upper bounds")


async def test_tab_turns_pages_where_one_pane_is_seen_and_else_moves_the_keys() -> None:
    app = app_of(four())
    async with app.run_test() as pilot:
        await known(pilot)
        await pilot.press("tab")
        assert arena(app).view.page == 1
        await pilot.press("shift+tab", "shift+tab")
        assert arena(app).view.page == len(PAGES) - 1
        await pilot.press("1")
        await pilot.resize_terminal(*WIDE)
        await rests(pilot)
        await pilot.press("tab")
        assert arena(app).view.page == 0
        assert app.screen.focused is app.screen.query_one("#curves")


async def test_the_mouse_chooses_opens_and_sorts() -> None:
    app = app_of(four())
    async with app.run_test() as pilot:
        await known(pilot)
        await rests(pilot)
        await pilot.click("#board", offset=(5, 1))
        await rests(pilot)
        assert arena(app).view.chosen == "dora"
        column = app.screen.query_one("#heads").content_region
        title = drawn(app).splitlines()[column.y].index("memory")
        await pilot.click(offset=(title + 2, column.y))
        await rests(pilot)
        assert arena(app).view.sort == "memory"
        await pilot.click("#note", offset=(5, 1))
        await shows(pilot, "[5 Verdict]", "Before you believe it")
        await pilot.press("1")
        await rests(pilot)
        await pilot.click("#board", offset=(5, 0), times=2)
        await reaches(pilot, lambda: isinstance(app.screen, DashboardScreen))


async def test_left_and_right_take_one_seed_alone_and_enter_opens_it() -> None:
    folder = made("lora", search=False, seeds=(7, 8))
    trains(folder, "lora.seed-7", done=80)
    trains(folder, "lora.seed-8", done=20)
    app = app_of(folder)
    async with app.run_test() as pilot:
        await known(pilot)
        await pilot.press("2")
        await shows(pilot, "all 2 seeds")
        await pilot.press("right", "right")
        await shows(pilot, "seed 8 alone")
        await pilot.press("right")
        await shows(pilot, "all 2 seeds")
        await pilot.press("left", "enter")
        await shows(pilot, "lora.seed-8")


async def test_names_and_words_from_outside_are_shown_and_never_act() -> None:
    folder = made("lora", search=False)
    fails(folder, "lora.seed-1", msgspec.structs.replace(OUT_OF_MEMORY, what=ODD, remedy=ODD))
    found(folder, stands("lora", 1.5, 1, remarks=(ODD,), method=ODD), recommendation=ODD, remarks=(ODD,), machine=ODD)
    app = app_of(folder)
    async with app.run_test(size=(200, 60)) as pilot:
        await known(pilot)
        await rests(pilot)
        for page in "12345":
            await pilot.press(page)
            await rests(pilot)
            assert "\x1b" not in drawn(app)
        assert "[red]markup[/red]" in words_of(app)
        assert "\\x1b[31mescape" in words_of(app)


@pytest.mark.parametrize("broken", [b"", b"{", b'{"form": 1}', b"\xff"])
async def test_without_results_the_entries_alone_are_shown(broken: bytes) -> None:
    folder = four()
    folder.results.write_bytes(broken)
    app = app_of(folder)
    async with app.run_test() as pilot:
        await known(pilot)
        await shows(pilot, "3/4 entries", "Nothing can be said yet")
        for page in "2345":
            await pilot.press(page)
            await rests(pilot)
        assert arena(app).watched.results is None


async def test_a_folder_that_is_deleted_leaves_what_was_seen() -> None:
    folder = four()
    app = app_of(folder)
    async with app.run_test() as pilot:
        await known(pilot)
        await shows(pilot, "1.4312")
        shutil.rmtree(folder.path)
        await shows(pilot, "deleted", "1.4312")
        assert [part.does for part in parts_of(app.screen) if part.does in {"Stop", "Continue"}] == []


async def test_a_comparison_that_nobody_carries_is_lost_and_can_be_continued() -> None:
    folder = four()
    tell(folder, started(method="comparison", supervisor_mark="gone", worker_mark="gone"))
    app = app_of(folder)
    async with app.run_test() as pilot:
        await shows(pilot, "lost", "c Continue")


async def test_a_file_that_cannot_be_read_is_said() -> None:
    folder = four()
    folder.comparison.write_text("contestants = 3\n")
    app = app_of(folder)
    async with app.run_test(size=WIDE) as pilot:
        await shows(pilot, "what was asked for can't be read")
        for key in ("down", "s", "x", "right", "enter", "2", "3", "4", "5", "z"):
            await pilot.press(key)
        await rests(pilot)


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (110, 34), (200, 60)])
async def test_fifty_contestants_are_shown_at_any_size(size: tuple[int, int]) -> None:
    record = many(points=20)
    folder = made(*(one.name for one in record.contestants), seeds=(1, 2, 3, 4, 5), search=False)
    for one in record.contestants:
        for seed in one.seeds:
            folder.entry(seed.entry).path.mkdir()
    found(folder, *(msgspec.structs.replace(one, trials=()) for one in record.contestants), seeds=(1, 2, 3, 4, 5))
    app = app_of(folder)
    async with app.run_test(size=size) as pilot:
        await shows(pilot, "250/250 entries")
        await pilot.press("end")
        await rests(pilot)
        assert arena(app).view.chosen == record.contestants[-1].name
        assert any(line.lstrip().startswith("> X") for line in drawn(app).splitlines())
        for page in "2345":
            await pilot.press(page)
            await rests(pilot)
        await pilot.resize_terminal(80, 24)
        await rests(pilot)


@pytest.mark.parametrize("look", [Look(ascii=True), Look(ascii=True, calm=True, dark=False)])
async def test_ascii_means_ascii(look: Look) -> None:
    app = app_of(four(), look)
    async with app.run_test(size=WIDE) as pilot:
        await known(pilot)
        for page in "12345":
            await pilot.press(page)
            await rests(pilot)
            assert drawn(app).isascii()


async def test_an_interval_without_ends_and_a_loss_that_is_no_number_break_nothing() -> None:
    folder = made("lora", "dora", search=False)
    odd = stands("lora", 1.6, 2, loss=Interval(value=1e300), forgetting=None, adapter_bytes=None)
    found(folder, stands("dora", 1.5, 1, loss=Interval(value=1.5)), odd)
    app = app_of(folder)
    async with app.run_test(size=(200, 60)) as pilot:
        await known(pilot)
        for key in ("down", "x", "x", "x", "s", "s", "z"):
            await pilot.press(key)
            await rests(pilot)
        assert "1.5000" in said(app, "#board")
