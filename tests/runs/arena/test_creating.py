"""From what is asked to a comparison's folder: what is refused before it exists, and what it holds then."""

from __future__ import annotations

import dataclasses
import json
import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pegbox_hardware.disk import Disk
from pegbox_methods.recipe import Devices, Judging, Method, Model, Output, Recipe, Rows, Seeds, Split, Training
from pegbox_methods.recipe_file import read_recipe
from pegbox_methods.refusal import Refusal
from pegbox_methods.registry import find_card
from pegbox_runs import preflight
from pegbox_runs.arena.asking import checking, costs, creating
from pegbox_runs.arena.asking.budget import Budget
from pegbox_runs.arena.asking.creating import (
    CheckedComparison,
    Wanted,
    check_comparison,
    contestants_named,
    contestants_of,
    create_comparison,
)
from pegbox_runs.arena.comparison_folder import all_comparisons, comparisons_root, find_comparison
from pegbox_runs.arena.schedule import due
from pegbox_runs.arena.spec import read_comparison
from pegbox_runs.environment import Environment
from pegbox_runs.models import BUNDLED
from pegbox_runs.preflight import check
from pegbox_runs.viewing import state_of

ROWS = str(BUNDLED / "rows.jsonl")
RECIPE = Recipe(model=Model(name="bundled"), rows=Rows(file=ROWS))


def wanted(methods: str = "lora,dora", recipe: Recipe = RECIPE, **changes: Any) -> Wanted:
    return Wanted(contestants=contestants_named(recipe, methods), **{"seeds": (42,), **changes})


def changed(**parts: Any) -> Recipe:
    return msgspec.structs.replace(RECIPE, **parts)


def refused(asked: Wanted) -> str:
    with pytest.raises(Refusal) as caught:
        check_comparison(asked)
    assert not comparisons_root().exists()
    return caught.value.sentence


@pytest.fixture
def few_rows(tmp_path: Path) -> Any:
    """Write so many rows into a file of their own."""

    def write(count: int, name: str = "rows.jsonl") -> str:
        rows = [{"prompt": f"What is {number}?", "completion": f"It is {number}."} for number in range(count)]
        file = tmp_path / name
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(file)

    return write


def test_a_comparison_is_checked_planned_and_complete() -> None:
    found = check_comparison(wanted("lora,dora,b=lora", seeds=(1, 2)))
    assert found.asked.contestants == ("lora", "dora", "b")
    assert (found.asked.steps, found.asked.trial_steps, found.asked.search) == (46, 6, True)
    assert found.entries == 3 * (5 + 2)
    assert found.held_out == 40
    assert found.remarks == ()
    assert found.recipes["dora"].training.learning_rate is not None
    assert found.recipes["dora"].method.settings["rank"] == 16
    assert found.disk_bytes > 0
    assert found.shared.method == RECIPE.method
    assert found.shared.training.learning_rate is None
    assert found.seconds is None or 0 < found.seconds.low < found.seconds.likely < found.seconds.high


def test_what_is_planned_is_what_a_run_would_take() -> None:
    checked = check(RECIPE, file="r")
    found = check_comparison(wanted("lora"))
    assert found.recipes["lora"] == checking.judged_recipe(checked.recipe)


def test_forgetting_is_measured_unless_the_recipe_says_how_it_is_judged() -> None:
    assert check_comparison(wanted()).shared.judging == Judging(rows=True, general="bundled")
    own = Judging(rows=True, metrics=("rouge-l",))
    assert check_comparison(wanted(recipe=changed(judging=own))).recipes["dora"].judging == own


@pytest.fixture
def eight_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this machine pass for one that can part a base model."""
    monkeypatch.setattr(preflight, "lacking", lambda *_, **__: [])


SHARDED: dict[str, Any] = {"training": Training(accumulation=4), "devices": Devices(processes=2, engine="fsdp2")}


@pytest.mark.usefixtures("eight_gpus")
def test_trainings_on_a_sharded_base_are_compared_as_others_are() -> None:
    found = check_comparison(wanted("lora,rslora,qlora", recipe=changed(**SHARDED)))
    assert {recipe.devices.engine for recipe in found.recipes.values()} == {"fsdp2"}


@pytest.mark.usefixtures("eight_gpus")
def test_a_sharded_base_that_its_method_changes_is_refused_since_nobody_could_judge_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    card = dataclasses.replace(find_card("lora"), cannot={"base": "it writes into it"})
    monkeypatch.setattr(preflight, "find_card", lambda _: card)
    said = refused(wanted("lora", recipe=changed(**SHARDED)))
    assert "devices.engine = 'fsdp2': no process holds the whole base model" in said
    assert "it writes into it" in said
    assert "pegbox evaluate" in said


def test_rows_are_looked_through_once_however_many_take_part(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Recipe] = []
    load = checking.load_rows
    monkeypatch.setattr(checking, "load_rows", lambda recipe: (seen.append(recipe), load(recipe))[1])
    check_comparison(wanted("lora,dora,rslora,adalora"))
    assert len(seen) == 1


def test_what_is_wrong_with_any_contestant_is_told_at_once() -> None:
    recipes = contestants_named(RECIPE, "lora,hra,b=dora")
    recipes["hra"] = changed(method=Method(name="hra", settings={"rank": "many"}))
    recipes["b"] = changed(method=Method(name="dora", settings={"targets": ["query"]}))
    recipes["c"] = changed(method=Method(name="lorra"))
    said = refused(Wanted(contestants=recipes, seeds=(1,)))
    assert "hra: method.settings.rank = 'many': expected a whole number" in said
    assert "b: method.settings.targets = 'query': the model has no such matrix" in said
    assert 'c: no method is called "lorra"; did you mean "lora"?' in said
    assert "\nlora:" not in f"\n{said}"


def test_an_unserviceable_method_is_refused_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    from pegbox_runs import conditions

    monkeypatch.setattr(conditions, "bitsandbytes_is_here", lambda: False)
    said = refused(wanted("lora,qlora"))
    assert "qlora: method.name = 'qlora': it packs the base model into 4 bits with bitsandbytes, which isn't" in said


def test_what_is_wrong_with_all_is_told_once() -> None:
    said = refused(wanted("lora,dora,rslora", changed(model=Model(name="/nowhere"))))
    assert said.count("there is no such model folder") == 1
    assert "lora" not in said


def test_several_recipes_that_are_not_alike_are_refused_by_file() -> None:
    other = changed(split=Split(share=0.2))
    asked = Wanted(contestants={"a": RECIPE, "b": other}, seeds=(1,), files={"a": "a.toml", "b": "dir/b.toml"})
    assert "dir/b.toml: split.share = 0.2: in a.toml it is 0.1" in refused(asked)
    with pytest.raises(Refusal, match=r"b\.toml: split\.share"):
        contestants_of([(RECIPE, "a.toml"), (other, "b.toml")])


@pytest.mark.parametrize(("count", "said"), [(0, "no rows are held out"), (1, "one row is held out")])
def test_without_rows_to_tell_by_nothing_is_begun(count: int, said: str, few_rows: Any) -> None:
    split = Split(share=0.0, file=few_rows(count, "held.jsonl")) if count else Split(share=0.0)
    sentence = refused(wanted(recipe=changed(rows=Rows(file=few_rows(50)), split=split)))
    assert said in sentence
    assert "nothing could be told" in sentence
    assert "split.file" in sentence


def test_few_held_out_rows_are_a_remark(few_rows: Any) -> None:
    recipe = changed(
        rows=Rows(file=few_rows(400)),
        split=Split(share=0.0, file=few_rows(39, "held.jsonl")),
        judging=Judging(rows=True),
    )
    (remark,) = check_comparison(wanted(recipe=recipe)).remarks[:1]
    assert "Only" in remark
    assert "learning rates are chosen by the same rows" in remark
    assert "chosen" not in check_comparison(wanted(recipe=recipe, search=False)).remarks[0]


def test_a_disk_too_small_for_all_is_refused_with_both_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    full = Disk(what="comparisons", path="/", total=2**30, free=10 * 2**20, writable=True)
    monkeypatch.setattr(costs, "read_disk", lambda what, path: full)
    said = refused(wanted(seeds=(1, 2, 3)))
    assert "the disk is too small for all: adapters and checkpoints take about" in said
    assert "10 MiB is free" in said


def test_a_contestant_that_surely_lacks_memory_is_a_remark(monkeypatch: pytest.MonkeyPatch) -> None:
    price = creating.cost_of
    monkeypatch.setattr(creating, "cost_of", lambda *given: dataclasses.replace(price(*given), usable_bytes=2**20))
    found = check_comparison(wanted())
    assert any("lora needs" in one and "at the very least" in one for one in found.remarks)


def test_a_method_that_needs_more_steps_than_there_are_is_refused() -> None:
    recipe = changed(training=Training(max_steps=12))
    assert "this training takes 12 steps, and adalora needs at least 20" in refused(wanted("lora,adalora", recipe))


def test_budgets_of_steps_and_of_time_are_kept_with_what_was_asked() -> None:
    found = check_comparison(wanted(budget=Budget(steps=120)))
    assert (found.asked.steps, found.asked.trial_steps, found.asked.budget_steps) == (25, 5, 120)
    timed = check_comparison(wanted(budget=Budget(seconds=3600.0)))
    assert (timed.asked.steps, timed.asked.trial_steps, timed.asked.budget_seconds) == (46, 5, 3600.0)
    assert "the budget is too small" in refused_later(wanted(budget=Budget(steps=19)))


def refused_later(asked: Wanted) -> str:
    with pytest.raises(Refusal) as caught:
        check_comparison(asked)
    return caught.value.sentence


def test_a_time_in_which_not_even_the_tries_fit_names_who_takes_most(monkeypatch: pytest.MonkeyPatch) -> None:
    price = creating.cost_of
    slow = costs.Seconds(2.0, 1.0, 4.0)

    def priced(checked: Any, *given: Any) -> costs.Cost:
        factor = 3.0 if checked.card.name == "dora" else 1.0
        return dataclasses.replace(price(checked, *given), step=slow.times(factor), look=costs.NOTHING)

    monkeypatch.setattr(creating, "cost_of", priced)
    # 7 x 5 steps of tries and 10 of a training, at 1 and at 3 seconds a step.
    said = refused(wanted(budget=Budget(seconds=179.0)))
    assert "2 min 59 s is too small a budget" in said
    assert "take 3 min 00 s even at the fastest" in said
    assert "dora takes most, 2 min 15 s" in said
    assert "Allow more, leave dora out, or take --no-search." in said
    assert "Allow more, or leave dora out." in refused(wanted(budget=Budget(seconds=20.0), search=False))
    found = check_comparison(wanted(budget=Budget(seconds=180.0)))
    assert found.seconds == (180.0, 180.0, 180.0), "never more than is allowed"
    assert check_comparison(wanted(budget=Budget(seconds=90.0), gpus=("0", "1"), seeds=(1, 2))).asked.gpus == ("0", "1")


def test_what_is_forecast_is_all_steps_and_all_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    price = creating.cost_of
    step, look = costs.Seconds(1.0, 0.5, 2.0), costs.Seconds(10.0, 5.0, 20.0)
    monkeypatch.setattr(creating, "cost_of", lambda *given: dataclasses.replace(price(*given), step=step, look=look))
    plain = check_comparison(wanted("lora,dora", search=False, seeds=(1, 2, 3)))
    looks = 1 + 4 + 1  # before, four on the way, and row by row
    assert plain.seconds == costs.Seconds(*(2 * 3 * (46 * one + looks * 10 * one) for one in (1.0, 0.5, 2.0)))
    searched = check_comparison(wanted("lora,dora", seeds=(1, 2, 3)))
    tries = 2 * (7 * 6 + 5 * 3 * 10)
    assert searched.seconds is not None
    assert searched.seconds.likely == plain.seconds.likely + tries


def test_a_budget_of_weights_chooses_ranks_and_tells_of_who_has_none() -> None:
    found = check_comparison(wanted("lora,ia3", rank_budget=14_592 * 5))
    assert found.recipes["lora"].method.settings["rank"] == 5
    assert found.recipes["lora"].method.settings["alpha"] == 10.0
    assert "ia3 has no rank" in found.remarks[0]
    assert found.shared.method.settings == {}, "who joins later has a rank chosen too"
    said = refused(wanted("lora,dora", rank_budget=100))
    assert "lora: it trains 14,592" in said
    assert "dora: it trains 22,528" in said
    assert "expected a number of trainable weights" in refused(wanted(rank_budget=0))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seeds": ()}, "0 seeds: expected from 1 to 100"),
        ({"seeds": (1, 2, 1)}, "seed 1 is named twice"),
        ({"seeds": tuple(range(101))}, "101 seeds"),
        ({"gpus": ("0", "0")}, "GPU 0 is named twice"),
        ({"contestants": {}}, "0 contestants"),
        ({"contestants": {"Big\x1b": RECIPE}}, "Big\\x1b\": a contestant's name has small letters"),
    ],
)
def test_what_can_not_be_asked_is_refused(changes: dict[str, Any], said: str) -> None:
    assert said in refused(dataclasses.replace(wanted(), **changes))


def test_a_rate_that_a_search_would_raise_out_of_range_is_refused() -> None:
    fast = changed(training=Training(learning_rate=4.0))
    assert "lora: training.learning_rate = 4: a search tries 3 times as much too" in refused(wanted("lora", fast))
    check_comparison(wanted("lora", fast, search=False))


def test_general_rows_that_can_not_be_read_are_refused(tmp_path: Path) -> None:
    nowhere = Judging(rows=True, general=str(tmp_path / "nowhere.jsonl"))
    assert "judging.general" in refused(wanted(recipe=changed(judging=nowhere)))


def made(**changes: Any) -> CheckedComparison:
    return check_comparison(wanted(**changes))


def test_the_folder_is_private_whole_and_what_was_checked(home: Path) -> None:
    checked = made(seeds=(1, 2))
    folder = create_comparison(checked)
    assert folder.path.parent == home / "comparisons"
    assert "-compare-" in folder.id
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert sorted(path.name for path in folder.path.iterdir()) == [
        "commands.jsonl",
        "comparison.toml",
        "contestants",
        "entries",
        "environment.json",
        "events.jsonl",
        "recipe.toml",
        "worker.log",
    ]
    for path in folder.path.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    found = read_comparison(folder)
    assert (found.asked, found.recipes) == (checked.asked, checked.recipes)
    assert read_recipe(folder.recipe) == checked.shared
    assert msgspec.json.decode(folder.environment.read_bytes(), type=Environment).rows_sha256
    assert len(due(found, {})) == 6
    assert find_comparison("last") == folder
    assert state_of(folder).status == "new"


def test_comparisons_of_one_second_keep_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    checked = made()
    monkeypatch.setattr(time, "strftime", lambda _: "20260101-000000")
    begun = [create_comparison(checked).id for _ in range(4)]
    assert [folder.id for folder in all_comparisons()] == begun


def test_tokens_do_not_go_into_the_folder() -> None:
    token = "hf_" + "A1b2" * 8
    checked = made(recipe=changed(output=Output(note=f"with {token}")))
    folder = create_comparison(checked)
    for file in (path for path in folder.path.rglob("*") if path.is_file()):
        assert token.encode() not in file.read_bytes(), file
    assert read_comparison(folder).recipes["lora"].output.note == "with [hidden]"


def test_a_place_that_can_not_be_written_is_refused_and_nothing_is_left(home: Path) -> None:
    checked = made()
    home.mkdir()
    (home / "comparisons").write_text("")
    with pytest.raises(Refusal, match=r"can't write the comparison's folder: .*PEGBOX_HOME"):
        create_comparison(checked)


def test_a_folder_that_fails_half_way_is_removed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    checked = made()
    monkeypatch.setattr(creating, "write_comparison", full)
    with pytest.raises(Refusal, match="No space left on device"):
        create_comparison(checked)
    assert list((home / "comparisons").iterdir()) == []


def test_chance_of_the_split_is_shared_and_of_the_training_is_the_seeds() -> None:
    unlike = {"a": RECIPE, "b": changed(seeds=Seeds(training=7))}
    assert check_comparison(Wanted(contestants=unlike, seeds=(1,))).asked.seeds == (1,)
    assert "seeds.split" in refused_later(
        Wanted(contestants={"a": RECIPE, "b": changed(seeds=Seeds(split=7))}, seeds=(1,))
    )
