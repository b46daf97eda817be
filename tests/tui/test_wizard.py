"""The wizard around its steps: going on and back, the draft, what breaks, what it leaves behind."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.cells import cell_len
from textual.app import ComposeResult
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Static

from pegbox_methods.events import Finished
from pegbox_methods.recipe import Model, Rows
from pegbox_runs import launch
from pegbox_runs.drafts import Draft, PlannedCard, draft_file, read_draft, write_draft
from pegbox_runs.event_log import EventWriter
from pegbox_runs.listing import ListedRun, ListedStatus
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_state import fold
from pegbox_runs.summary import summarise, write_summary
from pegbox_runs.viewing import state_of
from pegbox_tui.shell.confirm import ConfirmScreen
from pegbox_tui.shell.fields import Field
from pegbox_tui.wizard import opening
from pegbox_tui.wizard.app import WizardApp
from pegbox_tui.wizard.broken import BrokenStep
from pegbox_tui.wizard.messages import RunsBegan
from pegbox_tui.wizard.parting import Parting
from pegbox_tui.wizard.runs_line import runs_in_a_line
from pegbox_tui.wizard.step import StepScreen
from pegbox_tui.wizard.take_up import TakeUpScreen
from pegbox_tui.wizard.trail import Trail, part_at, trail_parts
from pegbox_tui.wizard.words import KEPT, age_in_words, draft_in_words, goes_on, left_as
from pegbox_tui.wizard.workbench import Workbench
from tests.stories import STORY, made
from tests.tui import cardboard_steps
from tests.tui.cardboard_steps import CardboardStep

PATIENCE_SECONDS = 10.0


class ColdBench(Workbench):
    """Counts how often it is warmed up, and starts nothing."""

    warmed = 0

    def warm_up(self) -> None:
        self.warmed += 1


@pytest.fixture(autouse=True)
def cardboard(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, screen in cardboard_steps.SCREENS.items():
        monkeypatch.setitem(opening.SCREENS, name, screen)


@pytest.fixture
def finished_run(home: Path) -> RunFolder:
    folder = made()
    log = EventWriter(folder.events)
    for event in (*STORY, Finished(reason="completed", steps=10, kept_step=3, adapter="adapter", seconds=61.0)):
        log.emit(event)
    log.close()
    write_summary(summarise(folder.id, state_of(folder)), folder.summary)
    return folder


def wizard() -> WizardApp:
    return WizardApp(bench=ColdBench())


def step(app: WizardApp) -> str | None:
    return app.screen.step if isinstance(app.screen, StepScreen) else None


async def until(condition: Callable[[], Any]) -> None:
    """Wait for a state, as long as a busy machine may need."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_runs_that_go_on_or_are_lost_are_told_of_on_the_first_screen_in_a_line(home: Path) -> None:
    folder = made()
    log = EventWriter(folder.events)
    for event in STORY:
        log.emit(event)
    log.close()
    for draft in (None, Draft(model=Model(name="org/tiny"))):
        if draft is not None:
            write_draft(draft)
        app = wizard()
        async with app.run_test(size=(80, 24)) as pilot:
            await until(lambda: "1 run goes on: lora on bundled, 30 %" in lines_on_top(app))  # noqa: B023 - awaited here
            assert "ctrl+r shows it" in lines_on_top(app)
            await pilot.press("q")


def lines_on_top(app: WizardApp) -> str:
    strips = app.screen._compositor.render_strips()[:2]
    return "\n".join("".join(part.text for part in strip) for strip in strips)


def test_runs_in_a_line() -> None:
    def run(status: ListedStatus, steps: int = 0) -> ListedRun:
        folder = RunFolder(Path("/r"))
        return ListedRun(folder=folder, status=status, method="lora", model="org/[b]x", steps=steps, steps_planned=100)

    assert runs_in_a_line([run("finished"), run("damaged")]) == ""
    assert runs_in_a_line([run("running", 26)]) == "1 run goes on: lora on [b]x, 26 %; ctrl+r shows it."
    assert runs_in_a_line([run("paused", 1), run("queued"), run("lost")]) == (
        "2 runs go on: lora on [b]x, 1 %, and another; 1 is lost; ctrl+r shows them."
    )
    assert runs_in_a_line([run("lost", 5), run("lost")]) == (
        "2 runs are lost: lora on [b]x, 5 %, and another; ctrl+r shows them."
    )


async def name_model(pilot: Pilot[Parting], name: str) -> None:
    pilot.app.screen.query_one(Field).value = name
    await pilot.pause()


async def test_what_one_step_said_in_passing_is_not_shown_over_the_next(home: Path) -> None:
    app = wizard()
    async with app.run_test(size=(80, 24)) as pilot:
        app.screen.notify("of the machine", timeout=60)
        await pilot.pause()
        assert len(app._notifications) == 1
        await pilot.press("ctrl+n")
        assert step(app) == "model"
        assert not len(app._notifications)


async def test_on_and_back_by_keys_loses_nothing(home: Path) -> None:
    app = wizard()
    async with app.run_test(size=(80, 24)) as pilot:
        assert step(app) == "machine"
        await pilot.press("ctrl+n")
        assert step(app) == "model"
        await pilot.press("ctrl+n")
        assert step(app) == "model"
        assert "Name a model first." in {note.message for note in app._notifications}
        await name_model(pilot, "org/tiny")
        await pilot.press("ctrl+n", "ctrl+n")
        assert step(app) == "goal"
        await pilot.press("escape", "escape")
        assert step(app) == "model"
        assert app.screen.query_one(Field).value == "org/tiny"
        await pilot.press("1")
        assert step(app) == "machine"
        await pilot.press("4")
        assert step(app) == "goal"
        await pilot.press("6")
        assert step(app) == "goal"
        assert any("Review comes later" in note.message for note in app._notifications)
        await pilot.press("1", "escape")
        assert step(app) == "machine"
        await until(lambda: read_draft() == app.draft)
        await pilot.press("q")
    assert app.return_value == Parting((KEPT,))
    left = read_draft()
    assert left is not None
    assert (left.step, left.reached, left.model) == ("machine", "goal", Model(name="org/tiny"))


async def test_digits_in_a_field_are_letters() -> None:
    app = wizard()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("tab", "1", "q")
        assert app.screen.query_one(Field).value == "1q"


async def test_the_line_on_top_works_by_mouse() -> None:
    app = wizard()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.click(Trail, offset=(76, 0))
        assert step(app) == "model"
        await pilot.click(Trail, offset=(4, 0))
        assert step(app) == "machine"
        await pilot.click(Trail, offset=(15, 0))
        assert step(app) == "model"
        await pilot.click(Trail, offset=(68, 0))
        assert step(app) == "machine"


@pytest.mark.parametrize("width", [78, 118, 198])
def test_the_line_on_top_fits_and_says_where_one_is(width: int) -> None:
    full = Draft(
        step="goal",
        reached="review",
        planned=PlannedCard(gpu="RTX 4090"),
        model=Model(name="HuggingFaceTB/SmolLM2-135M-Instruct-with-a-very-long-name"),
        rows=Rows(file="/somewhere/語語語語/rows.jsonl"),
    )
    for draft in (Draft(), full):
        parts = trail_parts(draft, "goal", width)
        line = "".join(part.text for part in parts)
        assert cell_len(line) == width
        assert "[4 Goal]" in line
        assert line.endswith("→")
        assert part_at(parts, line.index("2")) == "model"
        assert part_at(parts, width - 1) == "next"
    assert "2 Model ✓" in line
    if width > 100:
        assert "plan: RTX 4090" in line or "plan: RTX" in line


async def test_a_draft_that_was_left_is_taken_up_or_forgotten(home: Path) -> None:
    left = Draft(
        step="goal", reached="settings", model=Model(name="org/[red]tiny"), rows=Rows(file="escape\x1b[0m.jsonl")
    )
    write_draft(left)
    os.utime(draft_file(), (time.time() - 600, time.time() - 600))
    app = wizard()
    async with app.run_test(size=(80, 24)) as pilot:
        assert isinstance(app.screen, TakeUpScreen)
        said = "\n".join(str(static.render()) for static in app.screen.query(Static))
        assert "10 minutes ago" in said
        assert "[red]tiny" in said
        assert "escape\\x1b[0m.jsonl" in said
        await pilot.press("question_mark", "escape", "enter")
        assert step(app) == "goal"
        assert app.draft == left
        assert app.screen.query_one(Field).value == "org/[red]tiny"
    app = wizard()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("n")
        assert step(app) == "machine"
        await until(lambda: not draft_file().exists())
        await pilot.press("q")
    assert app.return_value == Parting()


@pytest.mark.parametrize("content", [b"", b"{", b'{"step": "nowhere"}', b"\xff\xfe", b'{"step": "goal", "new": 1}'])
async def test_a_draft_that_cannot_be_read_is_no_draft(content: bytes, home: Path) -> None:
    home.mkdir()
    draft_file().write_bytes(content)
    app = wizard()
    async with app.run_test(size=(80, 24)) as pilot:
        assert step(app) == "machine"
        await name_model(pilot, "org/tiny")
        await until(draft_file().exists)
        (said,) = [note.message for note in app._notifications if "can't be read" in note.message]
    (aside,) = home.glob("draft-unread-*.json")
    assert aside.read_bytes() == content
    assert str(aside) in said


async def test_of_two_windows_the_second_says_whose_draft_is_not_kept_and_leaves_the_firsts_alone(home: Path) -> None:
    first, second = wizard(), wizard()
    async with first.run_test(size=(80, 24)) as pilot:
        await name_model(pilot, "org/first")
        await until(lambda: first.keeper.settle(1) and draft_file().exists())
        async with second.run_test(size=(80, 24)) as other:
            assert step(second) == "machine"
            await until(lambda: any("isn't kept: another window" in note.message for note in second._notifications))
            await name_model(other, "org/second")
            second.action_anew()
            await until(lambda: isinstance(second.screen, ConfirmScreen))
            await other.press("y")
            await name_model(other, "org/second")
            await other.press("ctrl+c")
        assert second.return_value is not None
        assert "isn't kept: another window" in second.return_value.lines[0]
        left = read_draft()
        assert left is not None
        assert left.model == Model(name="org/first")
    third = wizard()
    async with third.run_test(size=(80, 24)):
        assert isinstance(third.screen, TakeUpScreen)


async def test_over_the_dashboard_the_palette_offers_none_of_the_wizards_ways(
    home: Path, finished_run: RunFolder
) -> None:
    app = wizard()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("ctrl+p")
        assert {"Go to Machine", "Begin anew"} <= {title for title, _, _ in app.commands()}
        await pilot.press("escape")
        app.screen.post_message(RunsBegan([finished_run]))
        await until(lambda: type(app.screen).__name__ == "DashboardScreen")
        await pilot.press("ctrl+p")
        assert app.screen.is_modal
        offered = {title for title, _, _ in app.commands()}
        assert not {"Go to Machine", "Begin anew"} & offered
        assert "Runs" in offered


async def test_what_breaks_over_a_broken_step_is_taken_away_and_the_wizard_lives_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(opening.SCREENS, "model", "pegbox_tui.wizard.not_there:Step")

    class Breaks(Screen[None]):
        def on_mount(self) -> None:
            raise ValueError("oh no")

    app = wizard()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("ctrl+n")
        assert isinstance(app.screen, BrokenStep)
        app.push_screen(Breaks())
        await until(lambda: any("That screen broke" in note.message for note in app._notifications))
        assert isinstance(app.screen, BrokenStep)
        await pilot.press("escape")
        assert step(app) == "machine"


async def test_a_home_that_cannot_be_written_is_said_once_and_stops_nobody(home: Path) -> None:
    home.write_text("a file where the folder should be")
    app = wizard()
    async with app.run_test(size=(80, 24)) as pilot:
        for name in ("a", "b", "c"):
            await name_model(pilot, name)
            await until(lambda: app.keeper.fault and app.keeper.settle(1.0))
        await pilot.pause()
        assert [note.message for note in app._notifications if "can't be kept" in note.message] == [app.keeper.fault]
        await pilot.press("ctrl+n", "ctrl+n")
        assert step(app) == "rows"
        await pilot.press("q")
    assert app.return_value is not None
    assert "can't be kept" in app.return_value.lines[0]


class Raises(CardboardStep):
    """A step that breaks in one of its parts."""

    step = "model"


def breaks_in(part: str) -> type[StepScreen]:
    def fail(*_: Any) -> Any:
        raise ValueError("[red]oh no\x1b[0m")

    class Unseen(Static):
        render = fail

    def compose_step(self: StepScreen) -> ComposeResult:
        yield Unseen()

    made: dict[str, Any] = {"compose_step": compose_step} if part == "render" else {part: fail}
    return type("Broken", (Raises,), made)


@pytest.mark.parametrize("part", ["__init__", "compose_step", "on_mount", "render", "on_input_changed"])
async def test_a_step_that_breaks_says_so_and_the_others_live_on(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cardboard_steps, "Cardboardmodel", breaks_in(part), raising=False)
    app = wizard()
    async with app.run_test(size=(80, 24)) as pilot:
        await name_model(pilot, "org/tiny")
        app.simulate_key("ctrl+n")  # the pilot would wait for a widget that died
        await until(lambda: isinstance(app.screen, BrokenStep))
        await pilot.pause()
        said = "\n".join(str(static.render()) for static in app.screen.query(Static))
        assert "The step “Model” can't be shown" in said
        assert "ValueError: [red]oh no\\x1b[0m" in said
        await pilot.press("ctrl+n")
        assert isinstance(app.screen, BrokenStep)
        monkeypatch.undo()
        for name, screen in cardboard_steps.SCREENS.items():
            opening.SCREENS[name] = screen
        await pilot.press("escape")
        assert step(app) == "machine"
        assert app.draft.model == Model(name="org/tiny")


async def test_a_step_whose_module_is_missing_is_tried_again_by_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(opening.SCREENS, "model", "pegbox_tui.wizard.not_there:Step")
    app = wizard()
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("ctrl+n")
        assert isinstance(app.screen, BrokenStep)
        monkeypatch.setitem(opening.SCREENS, "model", cardboard_steps.SCREENS["model"])
        await pilot.press("r")
        assert isinstance(app.screen, CardboardStep)


async def test_begun_runs_end_the_draft_and_open_the_dashboard(home: Path, finished_run: RunFolder) -> None:
    app = wizard()
    async with app.run_test(size=(80, 24)) as pilot:
        await name_model(pilot, "org/tiny")
        await until(draft_file().exists)
        app.screen.post_message(RunsBegan([finished_run]))
        await until(lambda: type(app.screen).__name__ == "DashboardScreen")
        await until(lambda: not draft_file().exists())
        await pilot.press("q")
    assert app.return_value is not None
    assert finished_run.id in app.return_value.lines[0]


async def test_a_run_can_be_opened_and_repeated_from_any_step(home: Path, finished_run: RunFolder) -> None:
    from pegbox_tui.runs_list.choice import RunChoice

    app = wizard()
    async with app.run_test(size=(80, 24)) as pilot:
        await name_model(pilot, "org/tiny")
        await pilot.press("ctrl+r")
        assert type(app.screen).__name__ == "RunsScreen"
        app.screen.dismiss(RunChoice("repeat", finished_run))
        await until(lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("y")
        await until(lambda: step(app) == "settings")
        assert app.draft.model == Model(name="bundled")
        await pilot.press("ctrl+r")
        app.screen.dismiss(RunChoice("open", finished_run))
        await until(lambda: type(app.screen).__name__ == "DashboardScreen")
        await pilot.press("q")
        await until(lambda: type(app.screen).__name__ == "RunsScreen")
        app.screen.dismiss(None)
        await until(lambda: step(app) == "settings")


async def test_all_runs_are_a_key_away_from_the_run_that_was_begun(home: Path, finished_run: RunFolder) -> None:
    from pegbox_tui.runs_list.choice import RunChoice

    app = wizard()
    async with app.run_test(size=(80, 24)) as pilot:
        app.screen.post_message(RunsBegan([finished_run]))
        await until(lambda: type(app.screen).__name__ == "DashboardScreen")
        own = app.screen
        await pilot.press("ctrl+r")
        await until(lambda: type(app.screen).__name__ == "RunsScreen")
        await pilot.press("escape")
        await until(lambda: app.screen is own)
        await pilot.press("ctrl+r")
        app.screen.dismiss(RunChoice("open", finished_run))
        await until(lambda: app.screen is own)
        await pilot.press("ctrl+r")
        app.screen.dismiss(RunChoice("open", made()))
        await until(lambda: type(app.screen).__name__ == "DashboardScreen" and app.screen is not own)
        await pilot.press("ctrl+r")
        await until(lambda: type(app.screen).__name__ == "RunsScreen")
        app.screen.dismiss(RunChoice("repeat", finished_run))
        await until(lambda: step(app) == "settings")
        assert own not in app.screen_stack


def test_how_a_run_was_left_is_said() -> None:
    state = fold(STORY)
    assert left_as("a", None) == left_as("a", state) == goes_on("a")
    lost = left_as("a", msgspec.structs.replace(state, status="lost"))
    assert "has ended" not in lost
    assert "`pegbox resume a` goes on from its beginning" in lost
    assert "was deleted" in left_as("a", msgspec.structs.replace(state, deleted=True))
    done = Finished(reason="completed", steps=10, kept_step=3, adapter="adapter", seconds=61.0)
    assert left_as("a", fold([done], state)) == "The run has ended. `pegbox watch a` shows it again."


@pytest.mark.parametrize(("planned", "warmed"), [(None, 1), (PlannedCard(gpu="RTX 4090"), 0)])
async def test_a_worker_is_warmed_up_from_the_goal_on_but_not_for_a_card_that_is_not_here(
    planned: PlannedCard | None, warmed: int
) -> None:
    app, bench = wizard(), ColdBench()
    app.bench = bench
    app.draft = Draft(planned=planned, model=Model(name="org/tiny"))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("ctrl+n", "ctrl+n")
        await until(lambda: step(app) == "rows")
        await app.workers.wait_for_complete()
        assert bench.warmed == 0
        await pilot.press("ctrl+n")
        await until(lambda: step(app) == "goal")
        await app.workers.wait_for_complete()
        assert bench.warmed == warmed


class PretendedSupervisor(launch.WarmSupervisor):
    """Waits as one does, and imports nothing."""

    def __init__(self) -> None:
        super().__init__(["sleep", "60"])


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Workbench]:
    monkeypatch.setattr(launch, "WarmSupervisor", PretendedSupervisor)
    made = Workbench()
    yield made
    if made._supervisor is not None:
        made._supervisor._kill()


def test_a_warm_supervisor_is_started_once_and_its_death_does_no_harm(bench: Workbench) -> None:
    assert bench.supervisor() is None
    bench.warm_up()
    first = bench.supervisor()
    assert first is not None
    bench.warm_up()
    assert bench.supervisor() is first
    first._kill()
    assert bench.supervisor() is None
    bench.warm_up()
    assert bench.supervisor() not in {None, first}


def test_after_leaving_nothing_is_warmed_up_or_asked_any_more(bench: Workbench) -> None:
    bench.warm_up()
    supervisor = bench.supervisor()
    bench.close()
    assert bench.supervisor() is None
    assert supervisor is not None
    assert not supervisor.waits
    bench.warm_up()
    assert bench.supervisor() is None
    assert isinstance(bench.torch(), str)


def test_the_age_of_a_draft_is_said_as_people_do() -> None:
    assert [age_in_words(seconds) for seconds in (-5, 3, 60, 125, 3600, 200_000)] == [
        "a moment ago",
        "a moment ago",
        "1 minute ago",
        "2 minutes ago",
        "1 hour ago",
        "2 days ago",
    ]


def test_what_a_draft_holds_is_listed() -> None:
    draft = Draft(step="rows", model=Model(name="a/b"), rows=Rows(file="x/y.jsonl"), values={"training.length": 512})
    assert draft_in_words(draft).splitlines() == [
        "Model        b",
        "Rows         y.jsonl",
        "By hand      1 value set",
        "You were at  Rows",
    ]
