"""A comparison on a real Ray cluster of two nodes comes to the same though one of them is lost on the way."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from pegbox_methods.events import Restarting, Resumed
from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.arena.results import read_results
from pegbox_runs.checkpoints import newest_good
from pegbox_runs.viewing import state_of
from tests.commands import events_of, pegbox, wait_until, write_recipe_text
from tests.runs.arena.directed import await_end, outcomes_of
from tests.runs.fleet.ray_here import two_nodes

pytestmark = [pytest.mark.slow, pytest.mark.skipif(find_spec("ray") is None, reason="Ray isn't installed")]


def test_a_comparison_on_two_nodes_survives_the_loss_of_one(tmp_path: Path, home: Path) -> None:
    recipe = write_recipe_text(
        tmp_path,
        training={"max_steps": 10, "length": 64},
        evaluation={"every": 2, "samples": 0},
        judging={"rows": True},
    )
    with two_nodes() as (on, _, second):
        words = ("--methods", "lora,b=lora", "--seeds", "1", "--no-search", "--on", on, "--json")
        begun = pegbox("compare", str(recipe), *words, "--detach", home=home, OMP_NUM_THREADS="1")
        assert begun.returncode == 0, begun.stderr
        assert "2 at once, 2 nodes, 1 core" in begun.stderr
        folder = ComparisonFolder(Path(json.loads(begun.stdout.splitlines()[0])["folder"]))
        wait_until(lambda: len(second.posts()) == 1)
        lost = folder.entry(second.posts()[0].name)
        wait_until(lambda: newest_good(lost)[0] is not None)
        second.lose()
        assert await_end(folder).status == "finished"
    outcomes = outcomes_of(folder)
    assert [one.state for one in outcomes.values()] == ["done", "done"]
    (again,) = [event for event in events_of(lost) if isinstance(event, Restarting)]
    assert "the worker was lost: " in again.why
    assert [event.step > 0 for event in events_of(lost) if isinstance(event, Resumed)] == [True]
    (other,) = {*outcomes} - {lost.id}
    assert state_of(lost).loss == state_of(folder.entry(other)).loss, "as those of the one that nobody disturbed"
    results = read_results(folder)
    assert results is not None
    assert results.complete
