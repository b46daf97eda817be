"""Going on with a run that nobody carries: what is refused, and what is written down."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence

import msgspec
import pytest

from pegbox_methods.events import Change, Event, Failed, Finished, Replanned
from pegbox_methods.recipe import Devices, Recipe, Training
from pegbox_methods.recipe_file import read_recipe, write_recipe
from pegbox_methods.refusal import Refusal
from pegbox_runs import continuing
from pegbox_runs.changes import current_recipe
from pegbox_runs.continuing import continue_run
from pegbox_runs.crew.lacking import lacking_devices
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.supervision.owner import Ownership
from pegbox_runs.supervision.telling import tell
from pegbox_runs.viewing import state_of
from tests.runs.made_up_machines import machine
from tests.runs.supervised import newest
from tests.stories import RECIPE, STORY, made, started

DEAD = started(supervisor_mark="of a dead one", worker_mark="of a dead one")
COMPLETED = Finished(reason="completed", steps=3, kept_step=2, adapter="adapter", seconds=6.0)
STOPPED = msgspec.structs.replace(COMPLETED, reason="stopped")


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the runs that were launched; none is."""
    ids: list[str] = []

    def launch(folders: Sequence[RunFolder]) -> None:
        for folder in folders:
            Ownership.take(folder).release()  # nobody may hold it any more
            ids.append(folder.id)

    monkeypatch.setattr(continuing, "launch", launch)
    return ids


def run(*end: Event, recipe: Recipe = RECIPE) -> RunFolder:
    """A run of three steps, three tenths of an epoch, whose processes are gone."""
    folder = made()
    write_recipe(recipe, folder.recipe)
    tell(folder, DEAD, *STORY[1:], *end)
    return folder


@pytest.mark.parametrize(
    "end",
    [[STOPPED], [msgspec.structs.replace(STOPPED, reason="aborted")], [Failed(what="w", where="w", remedy="r")], []],
)
def test_a_run_that_ended_before_its_time_goes_on_as_it_is(launched: list[str], end: list[Event]) -> None:
    folder = run(*end)
    continue_run(folder)
    assert launched == [folder.id]
    assert not folder.changes.exists()


def test_a_finished_run_goes_on_only_for_more(launched: list[str]) -> None:
    folder = run(COMPLETED, recipe=msgspec.structs.replace(RECIPE, training=Training(epochs=0.3)))
    with pytest.raises(Refusal, match=r"has finished: 3 steps, 0\.3 epochs\. Give --epochs or --max-steps"):
        continue_run(folder)
    with pytest.raises(Refusal, match=r"has done 0\.3 epochs; --epochs must be more"):
        continue_run(folder, epochs=0.3)
    with pytest.raises(Refusal, match=r"has done 3 steps; --max-steps must be more"):
        continue_run(folder, max_steps=3)
    with pytest.raises(Refusal, match=r"has done all its 0\.3 epochs, which end it\. Give --epochs"):
        continue_run(folder, max_steps=50)
    assert launched == []
    assert state_of(folder).replanned == ()
    continue_run(folder, epochs=2)
    assert launched == [folder.id]
    expected = (Change(key="training.epochs", before=0.3, after=2.0),)
    assert newest(folder, Replanned).changes == expected
    assert newest(folder, Replanned).why == "asked"
    assert "training.epochs is 2.0 in place of 0.3" in newest(folder, Replanned).text
    assert current_recipe(folder).training.epochs == 2.0
    assert read_recipe(folder.recipe).training.epochs == 0.3


def test_a_limit_of_steps_outweighs_more_epochs(launched: list[str]) -> None:
    folder = run(COMPLETED, recipe=msgspec.structs.replace(RECIPE, training=Training(max_steps=3)))
    with pytest.raises(Refusal, match="ends after 3 steps whatever its epochs"):
        continue_run(folder, epochs=5)
    continue_run(folder, max_steps=9)
    assert newest(folder, Replanned).changes == (Change(key="training.max_steps", before=3, after=9),)
    assert launched == [folder.id]


def test_changes_add_up_over_several_goings_on(launched: list[str]) -> None:
    folder = run(STOPPED)
    continue_run(folder, sets=["training.micro_batch=2", "training.accumulation=8"])
    continue_run(folder, sets=["training.micro_batch=1", 'training.optimizer="adamw_8bit"'])
    recipe = current_recipe(folder)
    assert (recipe.training.micro_batch, recipe.training.accumulation) == (1, 8)
    assert recipe.training.optimizer == "adamw_8bit"
    assert [change.before for change in newest(folder, Replanned).changes] == [2, "adamw"]


NESTED = b"[" * 5000 + b"]" * 5000
"""Deeper than Python goes."""


@pytest.mark.parametrize("line", [b"{", b"\xff", b'{"more":' + NESTED + b"}"], ids=["torn", "no-text", "nested"])
def test_a_line_of_changes_that_holds_none_is_named(launched: list[str], line: bytes) -> None:
    folder = run(STOPPED)
    folder.changes.write_bytes(line + b"\n")
    with pytest.raises(Refusal, match=r"changes\.jsonl, line 1: holds no change of the recipe"):
        continue_run(folder, epochs=5)
    assert launched == []


def test_what_is_already_so_is_no_change(launched: list[str]) -> None:
    folder = run(STOPPED)
    continue_run(folder, sets=["training.micro_batch=4"])
    assert launched == [folder.id]
    assert not folder.changes.exists()


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("model.name=other", "keeps its model"),
        ("method.settings.rank=4", "keeps its method"),
        ("rows.limit=3", "keeps its rows"),
        ("split.share=0.5", "keeps its split"),
        ("seeds.training=1", "keeps its seeds"),
        ("training.micro_batch=0", "micro_batch"),
        ("training.nonsense=1", "nonsense"),
    ],
)
def test_what_would_make_another_run_of_it_is_refused(launched: list[str], override: str, said: str) -> None:
    folder = run(STOPPED)
    with pytest.raises(Refusal, match=said):
        continue_run(folder, sets=[override])
    assert launched == []
    assert not folder.changes.exists()
    assert not folder.owner.exists()


def test_a_run_that_somebody_carries_is_refused_and_left_as_it_is(launched: list[str]) -> None:
    folder = run()
    ownership = Ownership.take(folder)
    with pytest.raises(Refusal, match=f"running already: process {os.getpid()} on"):
        continue_run(folder, epochs=9)
    ownership.release()
    assert launched == []
    assert not folder.changes.exists()


def test_a_run_that_has_just_ended_is_waited_for(launched: list[str]) -> None:
    """Its end is in the log before its supervisor has let go of it."""
    folder = run(STOPPED)
    ownership = Ownership.take(folder)
    threading.Timer(0.3, ownership.release).start()
    continue_run(folder)
    assert launched == [folder.id]


def test_a_living_worker_without_a_supervisor_keeps_the_run_from_being_changed(launched: list[str]) -> None:
    folder = made()
    tell(folder, started(supervisor_mark="of a dead one"))  # the worker is this process
    with pytest.raises(Refusal, match="running already"):
        continue_run(folder, epochs=9)
    assert launched == []


def test_a_run_that_never_began_can_be_begun(launched: list[str]) -> None:
    folder = made()
    continue_run(folder)
    assert launched == [folder.id]


@pytest.mark.parametrize("key", ["training.length=64", 'training.order="packed"', 'training.precision="float16"'])
def test_what_makes_another_experiment_is_no_change_of_a_run(launched: list[str], key: str) -> None:
    with pytest.raises(Refusal, match=r"which makes another run. Start that with `pegbox train`"):
        continue_run(run(STOPPED), sets=[key])
    assert launched == []


def test_a_change_without_a_value_is_refused(launched: list[str]) -> None:
    with pytest.raises(Refusal, match=r"--set nonsense: expected SECTION.KEY=VALUE"):
        continue_run(run(STOPPED), sets=["nonsense"])


def test_a_person_decides_whether_a_run_whose_checkpoints_are_all_spoilt_begins_anew(launched: list[str]) -> None:
    folder = run(STOPPED)
    spoilt = folder.checkpoints / "checkpoint-3"
    spoilt.mkdir(parents=True)
    with pytest.raises(Refusal, match=r"no checkpoint of .* can be used; the newest is checkpoint-3: .*begin it anew"):
        continue_run(folder)
    assert launched == []
    spoilt.rmdir()
    continue_run(folder)
    assert launched == [folder.id]


def test_another_number_of_processes_may_carry_the_rest(launched: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = run(STOPPED, recipe=msgspec.structs.replace(RECIPE, devices=Devices(processes=2)))
    with pytest.raises(Refusal, match=r"training\.accumulation = 4: can't be parted among devices\.processes = 3"):
        continue_run(folder, sets=["devices.processes=3"])
    monkeypatch.setattr(continuing, "probe", lambda: machine(cores=2))
    with pytest.raises(Refusal, match="no GPU, and 2 cores"):
        continue_run(folder, sets=["devices.processes=4"])
    continue_run(folder, sets=["devices.processes=1"])
    assert launched == [folder.id]
    assert newest(folder, Replanned).changes == (Change(key="devices.processes", before=2, after=1),)
    assert not current_recipe(folder).devices.launched


def test_a_run_goes_on_only_where_a_machine_has_what_its_recipe_asks_for(
    launched: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(continuing, "probe", lambda: machine(cores=2))
    shared = run(STOPPED, recipe=msgspec.structs.replace(RECIPE, devices=Devices(processes=2, engine="fsdp2")))
    with pytest.raises(
        Refusal, match=r"recipe.toml: devices\.engine = 'fsdp2': shards the base model among GPUs"
    ) as told:
        continue_run(shared)
    (fault,) = lacking_devices(current_recipe(shared).devices, machine(cores=2), file=str(shared.recipe))
    assert told.value.faults == (fault,)  # what `pegbox train` says
    four = run(STOPPED, recipe=msgspec.structs.replace(RECIPE, devices=Devices(processes=4)))
    with pytest.raises(Refusal, match="no GPU, and 2 cores"):
        continue_run(four)
    assert launched == []
    continue_run(shared, sets=["devices.engine=auto"])
    assert launched == [shared.id]
