"""`--go-on`: the same command, started again, takes its run up, and takes it from nobody who may live."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from pegbox_methods.events import Finished
from pegbox_methods.recipe import Recipe
from pegbox_methods.recipe_file import recipe_from_table
from pegbox_methods.refusal import Refusal
from pegbox_runs import continuing_again
from pegbox_runs.continuing_again import go_on_with, remember_job
from pegbox_runs.crew.nodes.place import Nodes, read_nodes
from pegbox_runs.models import BUNDLED
from pegbox_runs.preflight import check
from pegbox_runs.run_folder import RunFolder, create
from pegbox_runs.supervision.owner import OwnerRecord
from pegbox_runs.supervision.telling import tell


def recipe_of(steps: int = 4) -> Recipe:
    rows = {"file": str(BUNDLED / "rows.jsonl"), "limit": 40}
    table = {"model": {"name": "bundled"}, "rows": rows, "training": {"max_steps": steps}}
    return recipe_from_table(table, file="a test", folder=Path("/"))


@pytest.fixture
def run() -> RunFolder:
    checked = check(recipe_of(), file="a test")
    return create(checked.recipe, checked.environment())


@pytest.fixture(autouse=True)
def launched(monkeypatch: pytest.MonkeyPatch) -> list[RunFolder]:
    """Hold what would be started."""
    for name in continuing_again.JOB_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    held: list[RunFolder] = []
    monkeypatch.setattr("pegbox_runs.continuing.launch", held.extend)
    return held


def carried_elsewhere(run: RunFolder) -> None:
    record = OwnerRecord(host="another-machine", pid=7, process_mark="x")
    run.owner.write_bytes(msgspec.json.encode(record) + b"\n")


def test_an_unfinished_run_of_the_same_recipe_goes_on(run: RunFolder, launched: list[RunFolder]) -> None:
    nodes = Nodes(nodes=2, host="head", port=29500)
    assert go_on_with(recipe_of(), "a test", None) == run
    assert [folder.id for folder in launched] == [run.id]
    assert read_nodes(run) is None
    two = msgspec.structs.replace(recipe_of(5), devices=msgspec.structs.replace(recipe_of().devices, processes=2))
    two = msgspec.structs.replace(two, training=msgspec.structs.replace(two.training, accumulation=2))
    checked = check(two, file="a test", nodes=2)
    other = create(checked.recipe, checked.environment())
    assert go_on_with(two, "a test", nodes) == other
    assert read_nodes(other) == nodes


def test_another_recipe_or_a_completed_run_begins_anew(run: RunFolder, launched: list[RunFolder]) -> None:
    assert go_on_with(recipe_of(5), "a test", None) is None
    tell(run, Finished(reason="completed", steps=4, seconds=1.0, kept_step=4, adapter=None))
    assert go_on_with(recipe_of(), "a test", None) is None
    assert launched == []


def test_a_run_that_another_machine_carries_is_left_to_it(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    carried_elsewhere(run)
    with pytest.raises(Refusal, match="another-machine"):
        go_on_with(recipe_of(), "a test", None)
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    with pytest.raises(Refusal, match="another-machine"):
        go_on_with(recipe_of(), "a test", None)
    remember_job(run)
    monkeypatch.setenv("SLURM_JOB_ID", "13")
    with pytest.raises(Refusal, match="another-machine"):
        go_on_with(recipe_of(), "a test", None)
    assert run.owner.exists()


@pytest.mark.parametrize("variable", continuing_again.JOB_VARIABLES)
def test_the_very_same_job_takes_its_run_from_the_machine_it_was_on_before(
    run: RunFolder, launched: list[RunFolder], monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "12")
    remember_job(run)
    carried_elsewhere(run)
    assert go_on_with(recipe_of(), "a test", None) == run
    assert [folder.id for folder in launched] == [run.id]
