"""The recipes of a comparison: alike in model, rows and split, kept one by one, never half."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from pegbox_methods.recipe import Method, Model, Output, Recipe, Rows, Split, Training
from pegbox_methods.refusal import Refusal
from pegbox_runs.arena.asking.fairness import differences
from pegbox_runs.comparison import add, collected, comparison_folder, forget, take_out


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEGBOX_HOME", str(tmp_path / "home"))


def recipe(method: str = "lora", **changes: object) -> Recipe:
    plain = Recipe(model=Model(name="bundled"), rows=Rows(file="/tmp/rows.jsonl"), method=Method(name=method))
    return msgspec.structs.replace(plain, **changes)


def test_recipes_are_kept_in_the_order_in_which_they_were_added() -> None:
    assert [add(recipe(name)).name for name in ("lora", "dora", "lora-plus")] == [
        "01-lora.toml",
        "02-dora.toml",
        "03-lora-plus.toml",
    ]
    there, said = collected()
    assert [one.recipe.method.name for one in there] == ["lora", "dora", "lora-plus"]
    assert said == ()
    take_out("02-dora.toml")
    assert add(recipe("dora")).name == "04-dora.toml"
    forget(tuple(one.name for one in collected()[0]))
    assert collected() == ((), ())


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (recipe(model=Model(name="org/other")), "model.name is org/other, there it is bundled"),
        (recipe(rows=Rows(file="/tmp/other.jsonl")), "rows.file is /tmp/other.jsonl, there it is /tmp/rows.jsonl"),
        (recipe(rows=Rows(file="/tmp/rows.jsonl", limit=5)), "rows.limit is 5, there it is None"),
        (recipe(split=Split(share=0.2)), "split.share is 0.2, there it is 0.1"),
        (recipe(training=Training(epochs=5)), "training.epochs is 5, there it is 2.0"),
    ],
)
def test_a_recipe_that_could_not_be_compared_is_refused_with_the_difference(other: Recipe, said: str) -> None:
    add(recipe())
    with pytest.raises(Refusal, match="must share model, rows, split") as refused:
        add(other)
    assert said in refused.value.sentence
    assert len(collected()[0]) == 1


def test_how_a_method_holds_the_base_model_is_its_own_business() -> None:
    add(recipe())
    add(recipe("qlora", model=Model(name="bundled", quantization="nf4")))
    assert not list(differences(*(one.recipe for one in collected()[0])))


def test_the_very_same_recipe_is_refused_also_under_another_note() -> None:
    add(recipe())
    with pytest.raises(Refusal, match=r"this very recipe already, as 01-lora\.toml"):
        add(recipe(output=Output(note="once more")))
    add(recipe(training=Training(learning_rate=1e-3)))


def test_a_file_that_can_not_be_read_is_told_and_stands_in_nobodys_way() -> None:
    add(recipe())
    (comparison_folder() / "02-dora.toml").write_text("this is no TOML")
    (comparison_folder() / "notes.txt").write_text("left alone")
    there, said = collected()
    assert [one.name for one in there] == ["01-lora.toml"]
    assert len(said) == 1
    assert "not valid TOML" in said[0]
    assert add(recipe("dora")).name == "03-dora.toml"


def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    outside = tmp_path / "home" / "precious.toml"
    outside.parent.mkdir(parents=True)
    outside.write_text("x")
    with pytest.raises(Refusal):
        take_out("../precious.toml")
    assert outside.exists()


def test_a_folder_that_can_not_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file where the folder should be")
    with pytest.raises(Refusal, match="can't be kept"):
        add(recipe())
