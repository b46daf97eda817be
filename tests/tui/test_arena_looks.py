"""How the arena looks, page by page, on small, middle and large terminals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.arena.outcomes import possible_entries
from pegbox_runs.arena.results import write_results
from pegbox_runs.arena.spec import read_comparison
from pegbox_tui.arena import screen
from pegbox_tui.arena.view import Scene
from pegbox_tui.shell.look import Look
from tests.runs.arena.arena_folders import DIVERGED, ends, fails, four, made
from tests.runs.arena.made_up_results import usual
from tests.tui.arenas import app_of, known
from tests.tui.dashboards import NOW
from tests.tui.wizard_steps import rests

PLACE = Path("/home/ada/comparison")
"""What the card says of the folder, wherever it is."""
SMALL, MIDDLE, LARGE = (80, 24), (120, 40), (200, 60)


@pytest.fixture(autouse=True)
def at_one_moment(one_clock: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an arena see all at once, in a known folder, and let no draw wait for the next."""
    monkeypatch.setattr(screen, "DRAW_SECONDS", 0.0)
    monkeypatch.setattr(screen, "now", lambda: NOW + 2)
    monkeypatch.setattr(screen, "Scene", lambda watched, view, moment, _: Scene(watched, view, moment, PLACE))


def searching() -> ComparisonFolder:
    """Make one of which only tries are known."""
    folder = made("lora", "dora", "ia3", search=True, seeds=(1, 2))
    for rate, loss in (("0.0003", 2.2), ("0.001", 1.9), ("0.003", 2.0)):
        ends(folder, f"lora.trial-0-rate-{rate}", of=10, loss=loss)
    return folder


def complete() -> ComparisonFolder:
    """Make one that has all kinds of results, three seeds and a search."""
    record = usual()
    names = [one.name for one in record.contestants]
    folder = made(*names, seeds=record.seeds, search=True, rates=dict.fromkeys(names, 2e-4))
    write_results(record, folder)
    for one in record.contestants:
        tries = [id_ for id_ in possible_entries(read_comparison(folder)) if id_.startswith(f"{one.name}.trial-")]
        known = [trial for trial in tries if "-rate-0.0006" not in trial or "trial-0" in trial]
        for entry in (*(seed.entry for seed in one.seeds), *(known if one.seeds else ())):
            folder.entry(entry).path.mkdir()
        if one.seeds:
            fails(folder, f"{one.name}.trial-0-rate-0.0006", DIVERGED)
    fails(folder, "full.trial-0-rate-0.0002")
    return folder


@pytest.mark.parametrize(
    ("name", "make", "size", "keys", "look"),
    [
        ("running-80x24", four, SMALL, (), Look()),
        ("running-120x40", four, MIDDLE, (), Look()),
        ("running-200x60", four, LARGE, (), Look()),
        ("searching-80x24", searching, SMALL, ("2",), Look()),
        ("complete-80x24", complete, SMALL, (), Look()),
        ("complete-120x40", complete, MIDDLE, ("down",), Look()),
        ("curves", complete, SMALL, ("2", "right"), Look()),
        ("costs", complete, SMALL, ("3", "x"), Look()),
        ("card", complete, SMALL, ("4",), Look()),
        ("failed-card", four, SMALL, ("end", "4"), Look()),
        ("verdict", complete, SMALL, ("5",), Look()),
        ("light", four, SMALL, (), Look(dark=False)),
        ("ascii", four, MIDDLE, (), Look(ascii=True)),
        ("help", four, SMALL, ("question_mark",), Look()),
    ],
)
def test_how_it_looks(
    snap_compare: Any,
    name: str,
    make: Callable[[], ComparisonFolder],
    size: tuple[int, int],
    keys: tuple[str, ...],
    look: Look,
) -> None:
    async def shown(pilot: Pilot[Any]) -> None:
        await known(pilot)
        await rests(pilot)
        await pilot.press(*keys)
        await rests(pilot)

    assert snap_compare(app_of(make(), look), terminal_size=size, run_before=shown)
