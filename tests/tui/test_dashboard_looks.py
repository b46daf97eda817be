"""How the dashboard looks, page by page, on small, middle and large terminals."""

from __future__ import annotations

from typing import Any

import pytest
from textual.pilot import Pilot

from pegbox_methods.events import AnyEvent, CommandAnswer, Notice
from pegbox_tui.app import WatchApp
from pegbox_tui.shell.look import Look
from tests.stories import STORY, step
from tests.tui.dashboards import DONE, EVENTFUL, EXPECTED, FAILED, PAUSED, drawn, gpu_run, run_of

pytestmark = pytest.mark.usefixtures("at_one_moment")
SMALL, MIDDLE, LARGE = (80, 24), (120, 40), (200, 60)
LOG = "".join(f"line {number} of what a library printed\n" for number in range(200))


@pytest.mark.parametrize("size", [SMALL, MIDDLE], ids=["80x24", "120x40"])
@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("waiting", None),
        ("finished", (Notice(text="3 rows are longer than training.length."), DONE)),
        ("failed", (FAILED,)),
        ("eventful", EVENTFUL),
        ("paused", (CommandAnswer(command="pause", id="a", taken=True, text="it pauses", latency=0.1), PAUSED)),
    ],
)
def test_how_it_looks(snap_compare: Any, size: tuple[int, int], name: str, more: tuple[AnyEvent, ...] | None) -> None:
    events = STORY[:2] if more is None else [*STORY, *(step(i) for i in range(4, 8)), *more]

    async def caught_up(pilot: Pilot[Any]) -> None:
        await drawn(pilot, len(events))

    assert snap_compare(WatchApp(run_of(*events)), terminal_size=size, run_before=caught_up)


@pytest.mark.parametrize(
    ("name", "size", "keys", "look"),
    [
        ("running-80x24", SMALL, (), Look()),
        ("running-120x40", MIDDLE, (), Look()),
        ("running-200x60", LARGE, (), Look()),
        ("light", SMALL, (), Look(dark=False)),
        ("ascii", SMALL, ("left",), Look(ascii=True)),
        ("zoomed", SMALL, ("left", "left", "plus", "l"), Look()),
        ("rates-120x40", MIDDLE, ("g",), Look()),
        ("answers", SMALL, ("2",), Look()),
        ("memory", SMALL, ("3",), Look()),
        ("memory-120x40", MIDDLE, ("3",), Look()),
        ("ranks", SMALL, ("4",), Look()),
        ("advice", SMALL, ("5",), Look()),
        ("log", SMALL, ("6",), Look()),
    ],
)
def test_how_a_run_on_a_gpu_looks(
    snap_compare: Any, name: str, size: tuple[int, int], keys: tuple[str, ...], look: Look
) -> None:
    events = gpu_run()

    async def shown(pilot: Pilot[Any]) -> None:
        await drawn(pilot, len(events))
        await pilot.press(*keys)
        for worker in [worker for worker in pilot.app.workers if worker.group == "log"]:
            await worker.wait()
        await pilot.pause()

    app = WatchApp(run_of(*events, expected=EXPECTED, log=LOG), look=look)
    assert snap_compare(app, terminal_size=size, run_before=shown)
