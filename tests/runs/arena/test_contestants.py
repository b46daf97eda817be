"""Who takes part, as it is named."""

from __future__ import annotations

import msgspec
import pytest

from pegbox_methods.recipe import Method, Model, Recipe, Rows, Seeds, Training
from pegbox_methods.refusal import Refusal
from pegbox_runs.arena.asking.contestants import contestants_named, contestants_of, seeds_of
from pegbox_runs.arena.spec import NAME

RECIPE = Recipe(
    model=Model(name="bundled"),
    rows=Rows(file="/rows.jsonl"),
    method=Method(name="lora", settings={"rank": 4}),
    training=Training(learning_rate=5e-4, weight_decay=0.1),
)


def refused(text: str, recipe: Recipe = RECIPE) -> str:
    with pytest.raises(Refusal) as caught:
        contestants_named(recipe, text)
    return caught.value.sentence


def test_methods_become_contestants_in_their_order_whatever_the_spaces() -> None:
    found = contestants_named(RECIPE, " lora, dora ,b = lora")
    assert [(name, one.method.name) for name, one in found.items()] == [
        ("lora", "lora"),
        ("dora", "dora"),
        ("b", "lora"),
    ]


def test_settings_and_rate_hold_for_the_recipes_own_method_alone() -> None:
    found = contestants_named(RECIPE, "lora,dora,b=lora")
    assert found["lora"] == found["b"] == RECIPE
    assert found["dora"].method.settings == {}
    assert found["dora"].training == msgspec.structs.replace(RECIPE.training, learning_rate=None)


def test_a_way_to_hold_the_base_that_a_method_can_not_take_is_left_to_it() -> None:
    plain = msgspec.structs.replace(RECIPE, model=Model(name="bundled", quantization="none"))
    found = contestants_named(plain, "lora,dora,qlora")
    assert [one.model.quantization for one in found.values()] == ["none", "none", "auto"]
    packed = msgspec.structs.replace(RECIPE, model=Model(name="bundled", quantization="nf4"))
    assert [one.model.quantization for one in contestants_named(packed, "lora,full,dora").values()] == [
        "nf4",
        "auto",
        "nf4",
    ]


def test_all_that_is_wrong_is_told_at_once_with_what_to_write() -> None:
    said = refused("lorra,lora,lora,B=lora,,=x,c=")
    assert 'no method is called "lorra"; did you mean "lora"?' in said
    assert "lora is there twice; give the second a name of its own, as in lora-2=lora" in said
    assert "B=lora: a contestant's name has small letters" in said
    assert said.count("expected METHOD or NAME=METHOD") == 3
    assert len(said.splitlines()) == 6


def test_names_do_not_reach_the_terminal_as_they_are() -> None:
    assert "\x1b" not in refused("\x1b[31mlora")


def test_more_than_fifty_are_a_sweep() -> None:
    assert "a comparison has 100 at most" in refused(",".join(f"c{number}=lora" for number in range(101)))


def test_recipes_are_named_by_their_files_or_by_their_method() -> None:
    dora = msgspec.structs.replace(RECIPE, method=Method(name="dora"))
    found = contestants_of(
        [
            (RECIPE, "/some/Fast one.toml"),
            (RECIPE, "runs/x/recipe.toml"),
            (dora, "runs/y/recipe.toml"),
            (dora, "03-dora.toml"),
            (RECIPE, f"{'x' * 60}.toml"),
            (RECIPE, f"other/{'x' * 60}.toml"),
        ]
    )
    assert [*found] == ["fast-one", "lora", "dora", "03-dora", "x" * 40, f"{'x' * 38}-2"]
    assert all(NAME.fullmatch(name) for name in found)


def test_collected_recipes_of_one_method_are_told_apart_by_rank_or_number() -> None:
    eight, sixteen = (
        msgspec.structs.replace(RECIPE, method=Method(name="lora", settings={"rank": rank})) for rank in (8, 16)
    )
    by_rank = contestants_of([(eight, "01-lora.toml"), (sixteen, "02-lora.toml")])
    assert [(name, one.method.settings["rank"]) for name, one in by_rank.items()] == [
        ("lora-rank-8", 8),
        ("lora-rank-16", 16),
    ]
    assert [*contestants_of([(eight, "01-lora.toml"), (eight, "02-lora.toml")])] == ["01-lora", "02-lora"]
    assert [*contestants_of([(eight, "01-lora.toml")])] == ["lora"]
    assert all(NAME.fullmatch(name) for name in (*by_rank, "01-lora"))


def test_recipes_that_are_not_alike_are_refused_by_file() -> None:
    longer = msgspec.structs.replace(RECIPE, training=Training(epochs=9))
    with pytest.raises(Refusal, match=r"b\.toml: training\.epochs = 9"):
        contestants_of([(RECIPE, "a.toml"), (longer, "b.toml")])
    with pytest.raises(Refusal, match="0 recipes are given"):
        contestants_of([])


def test_seeds_go_on_from_the_recipes_own_and_stay_in_range() -> None:
    assert seeds_of(RECIPE, 3) == (42, 43, 44)
    last = msgspec.structs.replace(RECIPE, seeds=Seeds(training=2**32 - 1))
    assert seeds_of(last, 2) == (2**32 - 1, 0)
    for count in (0, 101):
        with pytest.raises(Refusal, match="expected from 1 to 100"):
            seeds_of(RECIPE, count)
