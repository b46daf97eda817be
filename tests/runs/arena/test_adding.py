"""A comparison that goes on with more: who joins it, and what is tried again."""

from __future__ import annotations

import dataclasses
import fcntl
from typing import Any

import msgspec
import pytest

from pegbox_methods.events import Failed
from pegbox_methods.recipe import Recipe, Split, Training
from pegbox_methods.recipe_file import read_recipe, write_recipe
from pegbox_methods.refusal import Refusal
from pegbox_runs.arena import spec
from pegbox_runs.arena.aside import FAILED, SPENT
from pegbox_runs.arena.asking import adding
from pegbox_runs.arena.asking.budget import Budget
from pegbox_runs.arena.asking.creating import (
    add_contestants,
    check_comparison,
    contestants_named,
    create_comparison,
    retry_failed,
)
from pegbox_runs.arena.comparison_folder import ComparisonFolder
from pegbox_runs.arena.entries import Entry, Outcome, entry_recipe
from pegbox_runs.arena.outcomes import read_outcomes
from pegbox_runs.arena.schedule import due
from pegbox_runs.arena.spec import read_comparison
from pegbox_runs.event_log import EventWriter
from pegbox_runs.supervision.owner import Ownership
from tests.runs.arena.made_up_comparisons import done, failed, losses
from tests.runs.arena.test_creating import RECIPE, changed, wanted
from tests.stories import started


def made(methods: str = "lora,dora", recipe: Recipe = RECIPE, **changes: Any) -> ComparisonFolder:
    return create_comparison(check_comparison(wanted(methods, recipe, **changes)))


def add(folder: ComparisonFolder, methods: str, **changes: Any) -> tuple[str, ...]:
    base = msgspec.structs.replace(read_recipe(folder.recipe), **changes)
    return add_contestants(folder, contestants_named(base, methods))


def refused(folder: ComparisonFolder, methods: str, **changes: Any) -> str:
    lock = folder.path / spec.LOCK
    before = {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file() and path != lock}
    with pytest.raises(Refusal) as caught:
        add(folder, methods, **changes)
    after = {path: path.read_bytes() for path in folder.path.rglob("*") if path.is_file()}
    after.pop(folder.path / spec.LOCK, None)
    assert after == before
    return caught.value.sentence


def test_who_joins_has_the_same_terms_and_those_who_are_there_stay_as_they_are() -> None:
    folder = made(seeds=(1, 2))
    before = read_comparison(folder)
    assert add(folder, "rslora,b=lora") == ()
    after = read_comparison(folder)
    assert after.asked.contestants == ("lora", "dora", "rslora", "b")
    assert dict(before.recipes).items() <= dict(after.recipes).items()
    assert msgspec.structs.replace(after.asked, contestants=before.asked.contestants) == before.asked
    assert after.recipes["rslora"].training.learning_rate is not None
    assert {entry.contestant for entry in due(after, {})} == {"lora", "dora", "rslora", "b"}


def test_what_the_first_method_decided_for_itself_is_not_handed_on() -> None:
    folder = made("prefix-tuning")
    alone = check_comparison(wanted("lora")).recipes["lora"]
    add(folder, "lora")
    assert read_comparison(folder).recipes["lora"] == alone


def test_a_name_that_is_there_and_terms_that_are_others_are_refused() -> None:
    folder = made()
    assert "has dora already; give the new one a name of its own, as in dora-2=METHOD" in refused(folder, "dora")
    said = refused(folder, "rslora", split=Split(share=0.3))
    assert f"rslora: split.share = 0.3: in {folder.id} it is 0.1" in said
    with pytest.raises(Refusal, match='no method is called "lorra"'):
        add_contestants(folder, {"c": changed(method=msgspec.structs.replace(RECIPE.method, name="lorra"))})
    assert "training.epochs" in refused(folder, "rslora", training=Training(epochs=7))


def test_a_method_that_needs_more_steps_than_the_others_had_is_refused() -> None:
    folder = made(recipe=changed(training=Training(epochs=8.0)))
    assert read_comparison(folder).asked.search
    short = made()
    assert "adalora: it needs at least 20 steps with its settings, and a try of a rate takes 6 here" in refused(
        short, "adalora"
    )
    assert add(folder, "adalora") == ()
    unsearched = made(search=False, budget=Budget(steps=30))
    assert "adalora: it needs at least 20 steps with its settings, and each training here takes 15" in refused(
        unsearched, "adalora"
    )


def test_a_method_that_needs_more_steps_than_a_pace_may_leave_is_refused() -> None:
    folder = made(search=False, budget=Budget(seconds=36000.0))
    assert read_comparison(folder).asked.steps >= 20
    assert "adalora: it needs at least 20 steps with its settings, and the try that shows its pace takes 5" in refused(
        folder, "adalora"
    )


@pytest.mark.parametrize(("other", "refused_too"), [("b=lora", False), ("rslora", True)])
def test_who_joins_at_the_same_time_as_another_is_lost_by_neither(
    other: str, refused_too: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made()
    price = adding.machine_for  # type: ignore[attr-defined]
    began: list[int] = []

    def slow(gpus: tuple[str, ...], **given: Any) -> Any:
        if not began:
            began.append(1)
            add(folder, other)  # another joins while this one is being checked
        return price(gpus, **given)

    monkeypatch.setattr(adding, "machine_for", slow)
    if refused_too:
        with pytest.raises(Refusal, match="has rslora already"):
            add(folder, "rslora")
    else:
        add(folder, "rslora")
    asked = read_comparison(folder).asked
    assert asked.contestants == (("lora", "dora", "rslora") if refused_too else ("lora", "dora", "b", "rslora"))


def test_it_is_written_by_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made()
    write = adding.write_comparison  # type: ignore[attr-defined]
    seen: list[int] = []

    def watched(*given: Any) -> None:
        with (folder.path / spec.LOCK).open("w") as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        seen.append(1)
        write(*given)

    monkeypatch.setattr(adding, "write_comparison", watched)
    add(folder, "rslora")
    assert seen


def test_a_budget_of_weights_holds_for_who_joins_and_that_of_steps_is_told() -> None:
    folder = made(rank_budget=14_592 * 5, budget=Budget(steps=400))
    (remark,) = add(folder, "rslora")
    assert "what rslora takes comes on top of it" in remark
    assert read_comparison(folder).recipes["rslora"].method.settings["rank"] == 5


def test_a_disk_too_small_for_who_joins_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made()
    price = adding.cost_of

    def heavy(*given: Any) -> Any:
        cost = price(*given)
        return dataclasses.replace(cost, disk=msgspec.structs.replace(cost.disk, adapter=2**60))

    monkeypatch.setattr(adding, "cost_of", heavy)
    assert "the disk is too small" in refused(folder, "rslora")


def entry(folder: ComparisonFolder, contestant: str, **what: Any) -> Entry:
    found = Entry(**{"contestant": contestant, "seed": 42, "steps": 46, "rate": 1e-4, "rung": None, **what})
    place = folder.entry(found.id)
    place.path.mkdir()
    place.checkpoints.mkdir()
    (place.checkpoints / "heavy").write_text("x")
    place.recipe.write_text("")
    place.events.write_text("told")
    return found


@pytest.fixture
def outcomes(monkeypatch: pytest.MonkeyPatch) -> dict[str, Outcome]:
    """What is told of entries, whatever lies in their folders."""
    told: dict[str, Outcome] = {}
    monkeypatch.setattr(adding, "read_outcomes", lambda folder, comparison: told)
    return told


def test_only_what_takes_a_contestant_out_is_due_again(outcomes: dict[str, Outcome]) -> None:
    folder = made()
    broken, fine = entry(folder, "lora"), entry(folder, "dora")
    wild = entry(folder, "dora", rung=0, rate=3e-4)
    wild_final = entry(folder, "dora", seed=43)
    halted = entry(folder, "dora", seed=44)
    for outcome in (
        failed(broken, wall_seconds=70.0),
        done(fine, losses(1.0)),
        failed(wild, diverged=True),
        failed(wild_final, diverged=True, wall_seconds=5.0),
        Outcome(entry=halted, state="stopped"),
    ):
        outcomes[outcome.entry.id] = outcome
    assert retry_failed(folder) == 2
    left = {path.name for path in folder.entries.iterdir()}
    assert left == {fine.id, wild.id, halted.id}
    aside = sorted((folder.path / FAILED).iterdir())
    assert [path.name.rpartition("-")[0] for path in aside] == sorted([broken.id, wild_final.id])
    assert all((path / "events.jsonl").read_text() == "told" for path in aside), "its log is kept"
    assert not any((path / "checkpoints").exists() for path in aside)
    assert read_comparison(folder).aside_seconds == 75.0
    (aside[0] / SPENT).write_text("{}")
    assert read_comparison(folder).aside_seconds in (5.0, 70.0)
    outcomes.clear()
    assert retry_failed(folder) == 0


def test_nothing_is_touched_while_somebody_carries_one_of_them(outcomes: dict[str, Outcome]) -> None:
    folder = made()
    free, carried = entry(folder, "lora"), entry(folder, "dora")
    outcomes.update({one.id: failed(one) for one in (free, carried)})
    ownership = Ownership.take(folder.entry(carried.id))
    try:
        with pytest.raises(Refusal, match="is running already"):
            retry_failed(folder)
        assert len(list(folder.entries.iterdir())) == 2
    finally:
        ownership.release()
    assert retry_failed(folder) == 2


def test_a_failure_in_a_real_log_is_found_and_is_due_once_more() -> None:
    folder = made(search=False)
    comparison = read_comparison(folder)
    first = due(comparison, {})[0]
    place = entry(folder, first.contestant, seed=first.seed)
    assert place.id == first.id
    run = folder.entry(first.id)
    run.events.unlink()
    write_recipe(entry_recipe(first, comparison.recipes[first.contestant]), run.recipe)
    writer = EventWriter(run.events)
    for event in (started(), Failed(what="it broke", where="training", remedy="mend it")):
        writer.emit(event)
    writer.close()
    assert read_outcomes(folder, comparison)[first.id].state == "failed"
    assert retry_failed(folder) == 1
    assert due(comparison, read_outcomes(folder, comparison))[0] == first
    assert retry_failed(folder) == 0


def test_a_comparison_that_can_not_be_written_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(adding, "write_comparison", full)
    assert "No space left on device. Nobody was added" in refused(folder, "rslora")
