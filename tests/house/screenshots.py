"""Draws the pictures in docs/screens from the app itself: `python -m tests.house.screenshots`.

Machine, model, run, clock and ids are made up and fixed, so that the same app draws the same pictures everywhere.
"""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from textual.pilot import Pilot

from pegbox_methods.recipe import Model, RowSource, Split
from pegbox_runs.drafts import Draft
from pegbox_runs.models import BUNDLED
from pegbox_tui.app import WatchApp
from pegbox_tui.arena.app import ArenaApp
from pegbox_tui.dashboard.screen import DashboardScreen
from pegbox_tui.rows.app import RowsApp
from pegbox_tui.rows.examined_rows import RowsAsked, look_at
from pegbox_tui.rows.screen import RowsScreen
from pegbox_tui.runs_app import RunsApp
from pegbox_tui.shell.app import PegboxApp
from pegbox_tui.wizard.machine.screen import MachineStep
from pegbox_tui.wizard.settings.screen import SettingsStep
from tests.house.picture_comparison import comparison_so_far
from tests.house.picture_story import BEGUN, DRAFT, STEP_SECONDS, PictureBench, earlier_runs, live_run, story
from tests.tui.cardboard import StepApp, drawn

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "screens"
SIZE = (120, 36)
PATIENCE_SECONDS = 30.0
ADDRESSES = re.compile(r"\s*@font-face \{.*?\}|\s*<!--.*?-->", re.DOTALL)
"""Where fonts would be fetched from, and who drew it."""


class Picture(NamedTuple):
    """A screen, and when it is ready."""

    app: Callable[[], PegboxApp[Any]]
    ready: Callable[[PegboxApp[Any]], bool]
    keys: tuple[str, ...] = ()
    """Pressed then."""


def rows_app() -> RowsApp:
    """Look at the bundled rows as the bundled model sees them."""
    asked = RowsAsked(
        source=RowSource(file=str(BUNDLED / "rows.jsonl")), split=Split(), held_out=None, model=Model(name="bundled")
    )
    return RowsApp("rows.jsonl", lambda told: look_at(asked, told))


def runs_app() -> RunsApp:
    """List the run that goes on, and those before."""
    earlier_runs()
    live_run()
    return RunsApp()


def _rows_are_there(app: PegboxApp[Any]) -> bool:
    return isinstance(app.screen, RowsScreen) and app.screen.row is not None


def _history_is_there(app: PegboxApp[Any]) -> bool:
    return isinstance(app.screen, DashboardScreen) and app.screen.state.last_seq >= len(story())


def _comparison_is_there(app: PegboxApp[Any]) -> bool:
    return "rslora seed 7" in drawn(app)


PICTURES: dict[str, Picture] = {
    "machine": Picture(lambda: StepApp(MachineStep(Draft(), PictureBench())), lambda app: "bitsandbytes" in drawn(app)),
    "settings": Picture(lambda: StepApp(SettingsStep(DRAFT, PictureBench())), lambda app: "GiB" in drawn(app)),
    "rows": Picture(rows_app, _rows_are_there),
    "dashboard": Picture(lambda: WatchApp(live_run()), _history_is_there),
    "arena": Picture(lambda: ArenaApp(comparison_so_far()), _comparison_is_there, keys=("down",)),
    "runs": Picture(runs_app, lambda app: "Runs: 6" in drawn(app), keys=("down",)),
}


def picture(name: str) -> str:
    """Draw one. Returns: SVG that loads nothing from anywhere."""
    with _fixed_surroundings():
        return asyncio.run(_drawn(PICTURES[name]))


async def _drawn(wanted: Picture) -> str:
    app = wanted.app()
    async with app.run_test(size=SIZE) as pilot:
        await _until(pilot, wanted.ready)
        await pilot.press(*wanted.keys)
        await _settled(pilot)
        svg = app.export_screenshot(title="Pegbox")
    return "\n".join(line.rstrip() for line in ADDRESSES.sub("", svg).splitlines()) + "\n"


async def _until(pilot: Pilot[Any], ready: Callable[[PegboxApp[Any]], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not ready(pilot.app):
        assert time.monotonic() < deadline, drawn(pilot.app)
        await asyncio.sleep(0.02)


async def _settled(pilot: Pilot[Any]) -> None:
    """Wait until nothing on the screen moves any more."""
    seen, same = "", 0
    while same < 5:
        await pilot.pause()
        await asyncio.sleep(0.05)
        now = drawn(pilot.app)
        same = same + 1 if now == seen else 0
        seen = now


@contextmanager
def _fixed_surroundings() -> Iterator[None]:
    """Let time, place and pace be the same everywhere."""
    with (
        tempfile.TemporaryDirectory() as home,
        mock.patch.dict(os.environ, {"PEGBOX_HOME": home, "TZ": "UTC", "HF_HUB_OFFLINE": "1"}),
        mock.patch("pegbox_tui.dashboard.screen.now", return_value=BEGUN + STEP_SECONDS * len(story())),
        # A draw that waits for its time would find the picture taken.
        mock.patch("pegbox_tui.dashboard.screen.DRAW_SECONDS", 0.0),
        mock.patch("pegbox_tui.dashboard.screen.CHART_SECONDS", 0.0),
        mock.patch("pegbox_tui.arena.screen.now", return_value=BEGUN),
        mock.patch("pegbox_tui.arena.screen.DRAW_SECONDS", 0.0),
        mock.patch("pegbox_tui.runs_list.columns.this_year", return_value=2026),
    ):
        time.tzset()
        try:
            yield
        finally:
            os.environ.pop("TZ")
            time.tzset()


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name in PICTURES:
        path = FOLDER / f"{name}.svg"
        path.write_text(picture(name), encoding="utf-8")
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
