"""Several processes on the dashboard: one run, with the worst and the mean of them, and which of them failed."""

from __future__ import annotations

from typing import Any

import pytest
from textual.pilot import Pilot

from pegbox_methods.events import AnyEvent, Phase, Restarting, Resumed, WorkerEnded, WorkerFailed
from pegbox_runs.listing import ListedRun
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_state import fold
from pegbox_tui.app import WatchApp
from pegbox_tui.dashboard.view import View
from pegbox_tui.dashboard.words import headline
from pegbox_tui.runs_list.words import details
from tests.stories import STORY, started
from tests.together import across, failed, joined, member, told_together
from tests.tui.dashboards import EXPECTED, HOSTILE, NOW, drawn, gpu_run, gpu_step, run_of, text

pytestmark = pytest.mark.usefixtures("at_one_moment")
SMALL, MIDDLE = (80, 24), (120, 40)
LOST: tuple[AnyEvent, ...] = (
    failed(1, first=True, host="node-b", at=40),
    failed(0, at=40),
    WorkerFailed(
        kind="crash",
        what="rank 1 on node-b was killed by SIGKILL",
        where="training at step 40",
        remedy="Look at that machine.",
        step=40,
    ),
    WorkerEnded(attempt=1, exit_code=1, signal=None),
    Restarting(attempt=2, why="rank 1 on node-b was killed by SIGKILL", after_seconds=2.0, left=4),
    started(attempt=2),
    Resumed(step=40, folder="checkpoints/checkpoint-40", tokens=280, training_seconds=20.0),
    joined(member(0), member(1, "node-b")),
    Phase(phase="training"),
    across(gpu_step(41)),
)


@pytest.mark.parametrize(
    ("name", "size", "keys"),
    [
        ("running-80x24", SMALL, ()),
        ("running-120x40", MIDDLE, ()),
        ("memory-80x24", SMALL, ("3",)),
        ("lost-80x24", SMALL, ("5",)),
        ("lost-120x40", MIDDLE, ()),
    ],
)
def test_how_a_run_of_two_processes_looks(
    snap_compare: Any, name: str, size: tuple[int, int], keys: tuple[str, ...]
) -> None:
    events = [*told_together(gpu_run()), *(LOST if name.startswith("lost") else ())]

    async def shown(pilot: Pilot[Any]) -> None:
        await drawn(pilot, len(events))
        await pilot.press(*keys)
        await pilot.pause()

    assert snap_compare(WatchApp(run_of(*events, expected=EXPECTED)), terminal_size=size, run_before=shown)


async def test_machines_of_odd_names_and_thousands_of_processes_act_on_nothing() -> None:
    many = joined(*(member(rank, f"{rank}{HOSTILE}", f"cuda:0 ({rank % 7}{HOSTILE})") for rank in range(4096)))
    events = [*told_together(gpu_run(), first=many), *(failed(rank, host=HOSTILE) for rank in range(300))]
    events.append(failed(7, first=True, host=HOSTILE))
    app = WatchApp(run_of(*events))
    async with app.run_test(size=SMALL) as pilot:
        await drawn(pilot, len(events))
        top = text(app, "#headline")
        assert "4,096 processes, DDP" in top
        assert "\x1b" not in top
        await pilot.press("5")
        await pilot.pause()
        happened = text(app, "#timeline")
        assert "[@click=app.quit]x" in happened  # as text
        assert "\x1b" not in happened
        assert "lost the others" not in happened
        assert app.is_running


def test_the_headline_only_counts_processes_where_more_has_no_room() -> None:
    view = View("20260101-000000-lora-abcd", fold(told_together()), NOW)
    assert "2 processes, DDP on node-a (cuda:0, cuda:1)" in headline(view, 120)
    assert "2 processes, DDP · " in headline(view, 80)
    assert headline(View(view.run, fold(STORY), NOW), 80) == headline(View(view.run, fold(STORY), NOW))


def test_the_list_says_of_a_run_how_many_processes_carry_it(tmp_path: Any) -> None:
    alone = ListedRun(folder=RunFolder(tmp_path), status="running", method="lora", model="bundled")
    both = ListedRun(
        folder=RunFolder(tmp_path), status="running", method="lora", model="bundled", processes=2, engine="fsdp2"
    )
    assert "lora on bundled, 2 processes, FSDP2\n" in details(both).plain
    assert "lora on bundled\n" in details(alone).plain
