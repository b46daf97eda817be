"""A comparison on a real Slurm of two nodes, on this machine alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pegbox_methods.events import Resumed, Started, WorkerEnded
from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.arena.results import read_results
from pegbox_runs.viewing import state_of
from tests.commands import events_of, pegbox, wait_until, write_recipe_text
from tests.runs.arena.directed import await_end, outcomes_of
from tests.slurm_here import NODES, slurm_here

STEPS = 16


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_node_that_dies_costs_its_entry_what_came_after_its_last_checkpoint(tmp_path: Path, home: Path) -> None:
    training = {"max_steps": STEPS, "length": 64, "micro_batch": 2, "accumulation": 1, "learning_rate": 2e-3}
    recipe = write_recipe_text(
        tmp_path,
        rows={"limit": 100},
        training=training,
        evaluation={"every": 5, "samples": 0},
    )
    with slurm_here() as slurm:
        words = ("--methods", "lora,b=lora", "--seeds", "1", "--no-search", "--on", "slurm", "--detach", "--json")
        done = pegbox("compare", str(recipe), *words, home=home)
        assert done.returncode == 0, done.stderr
        folder = ComparisonFolder(Path(json.loads(done.stdout.splitlines()[-1])["folder"]))
        hit = folder.entry("b.seed-42")
        wait_until(lambda: hit.events.exists() and (state_of(hit).steps_done >= 6 or state_of(hit).ended is not None))
        assert state_of(hit).steps_done >= 6, state_of(hit).ended
        jobs = slurm.asked("squeue", "--noheader", "--format=%j %N").splitlines()
        node = next(line.split()[1] for line in jobs if line.startswith("pegbox-b.seed-42 "))
        assert {line.split()[1] for line in jobs} <= set(NODES)
        slurm.kill_node(node)
        end = await_end(folder)
    assert end.status == "finished", (end.ended, folder.log.read_text()[-2000:])
    results = read_results(folder)
    assert results is not None
    assert results.complete
    told = events_of(hit)
    assert [type(event) for event in told].count(Started) == 2
    assert [event.step >= 5 for event in told if isinstance(event, Resumed)] == [True]
    lost = next(event for event in told if isinstance(event, WorkerEnded))
    assert f"{node} was lost" in lost.evidence
    losses = [one.judged.after.held_out.nats for one in outcomes_of(folder).values() if one.judged is not None]
    assert losses[0] == losses[1], "the one that was disturbed comes to what the other does"
