"""What goes wrong while somebody looks: the dashboard says so, shows what it knows, and never breaks."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import msgspec
import pytest

from pegbox_methods.events import Load, Notice, Restarting, Resumed, Sample, WorkerEnded
from pegbox_runs.event_log import EventWriter
from pegbox_runs.run_folder import RunFolder
from pegbox_tui.app import WatchApp
from pegbox_tui.dashboard import following, logs, screen
from pegbox_tui.dashboard.chart.series import METRICS
from pegbox_tui.dashboard.log_panel import LogPanel
from pegbox_tui.dashboard.pages import PAGES
from tests.stories import STORY, evaluation, started, step
from tests.tui.dashboards import DONE, HOSTILE, dashboard, drawn, gpu_run, run_of, seen, text, until


@pytest.fixture(autouse=True)
def drawn_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no draw wait for the next."""
    monkeypatch.setattr(screen, "DRAW_SECONDS", 0.0)
    monkeypatch.setattr(screen, "CHART_SECONDS", 0.0)


async def test_text_from_outside_is_shown_and_never_acts() -> None:
    sample = Sample(step=0, index=0, question=HOSTILE, answer=HOSTILE, expected=HOSTILE)
    folder = run_of(started(method=HOSTILE, model=HOSTILE), *STORY[1:], sample, Notice(text=HOSTILE), log=HOSTILE)
    app = WatchApp(folder)
    async with app.run_test(size=(200, 60)) as pilot:
        await drawn(pilot, len(STORY) + 2)
        await until(pilot, lambda: "markup" in text(app, "#log"), "the log")
        assert "\x1b" not in seen(app)
        for name in ("#answers", "#timeline", "#log"):
            assert "[red]markup[/red] [@click=app.quit]x[/]" in text(app, name), name
            assert r"\x1b[31mescape" in text(app, name), name
        assert app.is_running


async def test_a_folder_that_disappears_leaves_the_last_state_on_the_screen() -> None:
    folder = run_of(*STORY)
    app = WatchApp(folder)
    async with app.run_test() as pilot:
        await drawn(pilot, len(STORY))
        shutil.rmtree(folder.path)
        await pilot.press("6")
        await until(pilot, lambda: "worker.log can't be read: No such file" in text(app, "#log"), "word of it")
        assert "step 3/10" in text(app, "#progress")
        await pilot.press("up", "home", "end", "pageup", "1", "left")
        assert "step 3" in text(app, "#chart")


async def test_a_worker_that_dies_while_it_is_watched_is_called_lost() -> None:
    gone = {"supervisor_pid": 2**22 - 1, "worker_pid": 2**22 - 1, "supervisor_mark": "x", "worker_mark": "x"}
    app = WatchApp(run_of(started(**gone), *STORY[1:]))
    async with app.run_test() as pilot:
        await until(pilot, lambda: dashboard(app).state.status == "lost", "the loss")
        assert text(app, "#headline").startswith("lost")
        assert "neither the run's supervisor nor its worker lives" in text(app, "#news")
        assert "pegbox resume" in text(app, "#news")
        await pilot.press("s")
        assert "isn't running" in text(app, "#asked")


KILLED = (
    WorkerEnded(attempt=1, exit_code=None, signal="SIGKILL"),
    Restarting(attempt=2, why="the worker was killed by SIGKILL", after_seconds=1.0, left=4),
    started(attempt=2),
    Resumed(step=0, folder=None),
)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
async def test_a_worker_that_was_killed_before_a_checkpoint_stays_told_whatever_comes_after(
    size: tuple[int, int],
) -> None:
    notices = [Notice(text=f"{number} rows are odd.") for number in range(8)]
    said = "worker 1 was killed (SIGKILL) at step 3; begun again from step 0: 3 steps are taken anew"
    events = [*STORY[:2], *notices, *STORY[2:], *KILLED, *notices, *STORY[2:8]]
    app = WatchApp(run_of(*events))
    async with app.run_test(size=size) as pilot:
        await drawn(pilot, len(events))
        shown = "#news" if size[0] == 80 else "#timeline"
        assert said in " ".join(text(app, shown).split())
        assert "begun again" in seen(app)
        await pilot.press("5")
        await until(pilot, lambda: said in " ".join(text(app, "#timeline").split()), "the lasting line")
        assert text(app, "#timeline").startswith("worker 1 was killed")
        assert text(app, "#timeline").count("3 rows are odd.") == 1, "each worker tells it"


async def test_damaged_lines_are_told_and_the_rest_is_shown() -> None:
    folder = run_of(*STORY)
    with folder.events.open("ab") as file:
        file.write(b'{"event":"step","loss":null}\n\xff\xfe{not json\n')
    EventWriter(folder.events).emit(step(4))
    app = WatchApp(folder)
    async with app.run_test() as pilot:
        await until(pilot, lambda: dashboard(app).state.steps_done == 4, "the step behind the damage")
        await pilot.press("5")
        await until(pilot, lambda: text(app, "#timeline").count("is damaged and left out") == 2, "word of the damage")


async def test_a_log_that_cannot_be_read_is_told_and_read_again_once_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "TRY_AGAIN_SECONDS", 0.02)
    folder = run_of(*STORY)
    app = WatchApp(folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await drawn(pilot, len(STORY))
        aside = folder.events.rename(folder.path / "aside")
        folder.events.mkdir()
        await until(pilot, lambda: "can't be read: Is a directory; tried again" in text(app, "#asked"), "the reason")
        assert "can't be read: Is a directory; tried again every few seconds" in seen(app)
        assert "step 3/10" in text(app, "#progress"), "what is known stays"
        folder.events.rmdir()
        aside.rename(folder.events)
        EventWriter(folder.events).emit(step(4))
        await until(pilot, lambda: "step 4/10" in text(app, "#progress"), "the step behind it")


async def test_a_resize_at_any_moment_breaks_nothing() -> None:
    events = gpu_run()
    app = WatchApp(run_of(*events, DONE, log="a\n" * 500))
    async with app.run_test() as pilot:
        for number, size in enumerate(((40, 10), (80, 24), (81, 5), (1, 1), (300, 90), (120, 34), (20, 60), (80, 24))):
            await pilot.resize_terminal(*size)
            await pilot.press(str(number % len(PAGES) + 1), "left", "plus", "g")
        await until(pilot, lambda: dashboard(app).state.over, "the end")
        await pilot.press("1")
        await pilot.pause()
        assert "finished" in seen(app)


@pytest.mark.parametrize("loss", [1e9, 0.0, -5.0, 1e308])
async def test_any_loss_is_drawn(loss: float) -> None:
    folder = run_of(*STORY, msgspec.structs.replace(step(4), loss=loss))
    app = WatchApp(folder)
    async with app.run_test() as pilot:
        await drawn(pilot, len(STORY) + 1)
        await pilot.press("l", "left")
        assert "step 4" in text(app, "#chart")


async def test_the_most_absurd_figures_end_nothing() -> None:
    odd = (
        {"loss": 5e-324, "tokens_per_second": 1e308, "step_seconds": 1e308, "epoch": 1e308},
        {"loss": 0.0, "tokens_per_second": 1e308, "step_seconds": 1e308, "gradient_norm": 1e308},
    )
    steps = [msgspec.structs.replace(step(number), **odd[number % 2]) for number in range(4, 11)]
    looks = [msgspec.structs.replace(evaluation(number, 0.0), seconds=1e308) for number in (9, 10)]
    app = WatchApp(run_of(*STORY, *steps, *looks))
    async with app.run_test(size=(120, 40)) as pilot:
        await drawn(pilot, len(STORY) + len(steps) + len(looks))
        assert "step 10/10" in text(app, "#progress")
        for _ in METRICS:
            await pilot.press("l", "g", "left")
        await pilot.press(*(str(number + 1) for number in range(len(PAGES))))
        assert app.is_running


async def test_tabs_become_spaces_before_they_reach_the_terminal() -> None:
    app = WatchApp(run_of(*STORY, log="short\tline\n" + "\t" * 30 + "behind the edge\n"))
    async with app.run_test() as pilot:
        await drawn(pilot, len(STORY))
        await pilot.press("6")
        await until(pilot, lambda: "behind the edge" in seen(app), "the log")
        dashboard(app)._say("said\twith a tab")
        await pilot.pause()
        assert "short   line" in seen(app)
        assert "said    with a tab" in seen(app)
        assert "\t" not in seen(app)


async def test_a_recipe_and_a_forecast_that_cannot_be_read_are_done_without() -> None:
    folder = run_of(*STORY)
    folder.recipe.write_bytes(b"\xff not TOML")
    folder.forecast.write_bytes(b'{"memory": "much"}')
    app = WatchApp(folder)
    async with app.run_test() as pilot:
        await drawn(pilot, len(STORY))
        await pilot.press("3")
        assert "no forecast is kept with this run" in text(app, "#memory")


async def test_a_device_that_tells_nothing_is_said_to() -> None:
    quiet = Load(step=3, device_use=None, temperature_c=None, power_w=None, power_limit_w=None)
    app = WatchApp(run_of(*STORY, quiet))
    async with app.run_test() as pilot:
        await drawn(pilot, len(STORY) + 1)
        assert "GPU use        not told" in text(app, "#figures")


async def test_a_run_that_begins_anew_shows_its_beginning() -> None:
    folder = run_of(*STORY, Resumed(step=0, folder=None))
    app = WatchApp(folder)
    async with app.run_test() as pilot:
        await drawn(pilot, len(STORY) + 1)
        assert "step 0/10" in text(app, "#progress")
        assert "for " in text(app, "#chart")


def huge_log(folder: RunFolder) -> Path:
    """Make a log of a GB, of which only the end takes room on the disk."""
    with folder.log.open("wb") as file:
        file.write(b"the first line\n")
        file.seek(2**30)
        file.write(b"\n" + b"".join(b"line %d\n" % number for number in range(40_000)))
    return folder.log


async def test_a_log_of_a_gigabyte_is_read_from_its_end_and_backwards_in_parts() -> None:
    folder = run_of(*STORY)
    path = huge_log(folder)
    app = WatchApp(folder)
    async with app.run_test() as pilot:
        await drawn(pilot, len(STORY))
        await pilot.press("6")
        panel = app.screen.query_one(LogPanel)
        await until(pilot, lambda: "line 39999" in seen(app), "the end of the log")
        assert panel._part.end - panel._part.begin <= logs.WINDOW_BYTES
        begin = panel._part.begin
        panel.action_scroll_to_line(0)
        top = seen(app).splitlines()[4].strip().split()[1]
        await pilot.press("up")
        await until(pilot, lambda: panel._part.begin < begin, "the part before")
        assert abs(int(seen(app).splitlines()[4].strip().split()[1]) - int(top)) < 10
        await pilot.press("home")
        await until(pilot, lambda: "the first line" in seen(app), "the beginning")
        with path.open("ab") as file:
            file.write(b"the newest line\n")
        await pilot.press("end")
        await until(pilot, lambda: "the newest line" in seen(app), "the end again")


def test_progress_bars_show_their_last_state_and_long_lines_are_cut(tmp_path: Path) -> None:
    path = tmp_path / "worker.log"
    path.write_bytes(b" 1%\r 50%\r100%\r\n" + b"x" * 10**5 + b"\n\x1b[2Jclean\xff\nno newline")
    part = logs.read_part(path)
    assert part.lines == ("100%", "x" * logs.LINE_CHARACTERS, r"\x1b[2Jclean�", "no newline")
    assert part.at_end


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_log_that_may_not_be_read_says_why(tmp_path: Path) -> None:
    path = tmp_path / "worker.log"
    path.write_text("x")
    path.chmod(0)
    assert "Permission denied" in (logs.read_part(path).trouble or "")
