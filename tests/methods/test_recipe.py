"""Recipes: every field documented, every fault named, and TOML in and out without loss."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import inspect

from pegbox_methods.recipe import Evaluation, Method, MixedRows, Model, Output, Recipe, Rows, Seeds, Split, Training
from pegbox_methods.recipe_file import (
    complete_recipe,
    read_recipe,
    recipe_from_table,
    recipe_schema,
    recipe_text,
    write_recipe,
)
from pegbox_methods.refusal import Refusal
from pegbox_methods.registry import find_card

PARTS = (Model, Rows, MixedRows, Split, Method, Training, Evaluation, Output, Seeds)
SMALLEST = '[model]\nname = "bundled"\n[rows]\nfile = "rows.jsonl"\n'


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    return path


def refusal(tmp_path: Path, text: str, *overrides: str) -> Refusal:
    with pytest.raises(Refusal) as caught:
        read_recipe(written(tmp_path, text), overrides)
    return caught.value


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_every_field_has_a_description_and_every_number_a_range_and_a_unit(part: type[msgspec.Struct]) -> None:
    schemas = recipe_schema()["$defs"][part.__name__]["properties"]
    for field in msgspec.structs.fields(part):
        schema = schemas[field.name]
        assert len(schema["description"]) > 10, field.name
        numeric = [kind for kind in (schema, *schema.get("anyOf", ())) if kind.get("type") in {"integer", "number"}]
        for kind in numeric:
            assert kind["unit"], field.name
            assert "maximum" in kind, field.name
            assert "minimum" in kind or "exclusiveMinimum" in kind, field.name


def test_two_keys_are_enough(tmp_path: Path) -> None:
    recipe = read_recipe(written(tmp_path, SMALLEST))
    assert recipe.model.name == "bundled"
    assert recipe.method.name == "lora"
    assert recipe.rows.file == str(tmp_path / "rows.jsonl")


def test_a_file_of_held_out_rows_stands_in_place_of_the_default_share(tmp_path: Path) -> None:
    recipe = read_recipe(written(tmp_path, f'{SMALLEST}[split]\nfile = "held_out.jsonl"\n'))
    assert recipe.split.share == 0.0


def test_a_hub_id_stays_one_unless_a_folder_is_called_so(tmp_path: Path) -> None:
    text = SMALLEST.replace("rows.jsonl", "org/name") + '[[rows.mix]]\nfile = "org/general"\nshare = 0.1\n'
    (tmp_path / "org/general").mkdir(parents=True)
    rows = read_recipe(written(tmp_path, text)).rows
    assert (rows.file, rows.mix[0].file) == ("org/name", str(tmp_path / "org/general"))


def test_a_home_nobody_has_is_refused(tmp_path: Path) -> None:
    assert "no such user's home" in refusal(tmp_path, SMALLEST.replace("rows.jsonl", "~nobody-here/x")).sentence


def test_a_recipe_is_frozen(tmp_path: Path) -> None:
    recipe = read_recipe(written(tmp_path, SMALLEST))
    with pytest.raises(AttributeError):
        recipe.training = Training()  # type: ignore[misc]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("[training]\nepocs = 3", 'training.epocs = 3: unknown key; did you mean "epochs"?'),
        ("[trainig]\nepochs = 3", 'trainig: unknown key; did you mean "training"?'),
        ('[training]\nmicro_batch = "four"', "training.micro_batch = 'four': expected a whole number from 1 to 4,096"),
        ("[training]\nlearning_rate = -1.0", "training.learning_rate = -1.0: expected a number above 0 to 10"),
        ("[training]\nlearning_rate = nan", "training.learning_rate = nan: expected a number above 0 to 10"),
        ("[training]\nepochs = inf", "training.epochs = inf: expected a number above 0 to 1,000"),
        ('[training]\nschedule = "cosin"', 'expected one of "constant", "cosine", "linear"'),
        ("[training]\nmicro_batch = true", "training.micro_batch = True: expected a whole number"),
        ("[split]\nshare = 0.95", "split.share = 0.95: expected a number from 0 to 0.9"),
        ("training = 3", "training = 3: expected a table [training]"),
        ("mix = 3", "rows.mix = 3: expected a list of tables"),
        ("mix = [3]", "rows.mix[1] = 3: expected a table [[rows.mix]]"),
        ('[[rows.mix]]\nfile = "b"\nwieght = 2', 'rows.mix[1].wieght = 2: unknown key; did you mean "weight"?'),
        ("[[rows.mix]]\nweight = 200.0", "rows.mix[1].weight = 200.0: expected a number above 0 to 100"),
        ('columns = { answer = "x" }', "expected a table of a text that isn't empty for any of completion, history"),
        ('allow = ["all"]', 'expected a list, each one of "end-not-learned", "few-trained-tokens"'),
        ('[model.x]\ny = "z"', "model.x: unknown key; known: chat_template, name, quantization, revision"),
    ],
)
def test_a_fault_names_file_key_value_and_what_would_be_accepted(tmp_path: Path, line: str, says: str) -> None:
    top = f"{line}\n{SMALLEST}" if line.startswith("training =") else f"{SMALLEST}{line}\n"
    sentence = refusal(tmp_path, top).sentence
    assert str(tmp_path / "recipe.toml") in sentence
    assert says in sentence


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    faults = refusal(tmp_path, "[training]\nepocs = 3\nmicro_batch = 0\n").faults
    assert [fault.key for fault in faults] == ["model", "rows", "training.epocs", "training.micro_batch"]


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ('[split]\nfile = "held_out.jsonl"\nshare = 0.1', "split.share"),
        ('[split]\nfile = "held_out.jsonl"\nby = "author"', "split.by"),
        ('[split]\nfile = "held_out.jsonl"\nstratify = "label"', "split.stratify"),
        ('[split]\nby = "author"\nstratify = "label"', "split.stratify"),
        ('[[rows.mix]]\nfile = "b.jsonl"\nweight = 2.0\nshare = 0.1', "rows.mix[1].share"),
        ('[[rows.mix]]\nfile = "b.jsonl"\nshare = 0.5\n[[rows.mix]]\nfile = "c.jsonl"\nshare = 0.5', "rows.mix"),
    ],
)
def test_contradictions_are_refused(tmp_path: Path, line: str, key: str) -> None:
    assert [fault.key for fault in refusal(tmp_path, f"{SMALLEST}{line}\n").faults] == [key]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[model\n", "not valid TOML"),
        ("?", "not valid TOML"),
        ("a = " + "[" * 100_000, "not valid TOML"),
        ("", "model: missing; expected a table"),
        (SMALLEST.replace("bundled", ""), "expected a text that isn't empty"),
    ],
)
def test_what_is_no_recipe_is_refused(tmp_path: Path, text: str, says: str) -> None:
    assert says in refusal(tmp_path, text).sentence


def test_a_recipe_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"can't read the recipe: No such file"):
        read_recipe(tmp_path / "nowhere.toml")


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_bytes(b'[model]\nname = "\xff"\n')
    with pytest.raises(Refusal, match=r"not UTF-8 at byte 16"):
        read_recipe(path)


def test_byte_order_mark_and_windows_line_ends_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_bytes(b"\xef\xbb\xbf" + SMALLEST.replace("\n", "\r\n").encode())
    assert read_recipe(path).model.name == "bundled"


def test_overrides_change_values_and_are_checked_like_them(tmp_path: Path) -> None:
    path = written(tmp_path, SMALLEST)
    recipe = read_recipe(path, ["training.epochs=3", "method.name=lora", "method.settings.rank=4"])
    assert recipe.training.epochs == 3.0
    assert recipe.method.settings == {"rank": 4}
    assert "training.epochs = 'x'" in refusal(tmp_path, SMALLEST, "training.epochs=x").sentence
    assert "expected SECTION.KEY=VALUE" in refusal(tmp_path, SMALLEST, "training.epochs").sentence
    assert "is a value in the recipe" in refusal(tmp_path, SMALLEST, "model.name.x=1").sentence


def test_a_path_in_an_override_counts_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    recipe = read_recipe(written(tmp_path, SMALLEST), ["rows.file=mine.jsonl"])
    assert recipe.rows.file == str(elsewhere / "mine.jsonl")


def test_the_home_folder_is_not_written_into_a_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    recipe = read_recipe(written(tmp_path, SMALLEST))
    assert 'file = "~/rows.jsonl"' in recipe_text(recipe)
    write_recipe(recipe, tmp_path / "again.toml")
    assert read_recipe(tmp_path / "again.toml") == recipe


def test_defaults_are_written_out_so_that_a_later_version_repeats_the_run(tmp_path: Path) -> None:
    table = tomllib.loads(recipe_text(read_recipe(written(tmp_path, SMALLEST))))
    assert table["training"]["schedule"] == "cosine"
    assert "max_steps" not in table["training"]


def test_the_method_fills_in_its_settings_and_learning_rate(tmp_path: Path) -> None:
    card = find_card("lora")
    recipe = complete_recipe(read_recipe(written(tmp_path, SMALLEST)), card, file="recipe.toml")
    assert recipe.training.learning_rate == card.learning_rate
    assert recipe.method.settings == {"rank": 16, "alpha": 32.0, "dropout": 0.05, "targets": "all-linear"}


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("ranc = 4", 'method.settings.ranc = 4: unknown setting; did you mean "rank"?'),
        ("rank = 0", "method.settings.rank = 0: expected a whole number from 1 to 4096"),
        ("rank = true", "method.settings.rank = True: expected a whole number"),
        ("dropout = 1.5", "method.settings.dropout = 1.5: expected a number from 0 to 0.9"),
        ("targets = []", '"all-linear" or "attention", or a list of module names'),
        ('targets = "q_proj"', '"all-linear" or "attention", or a list of module names'),
    ],
)
def test_a_methods_settings_are_checked_by_its_card(tmp_path: Path, setting: str, says: str) -> None:
    recipe = read_recipe(written(tmp_path, f"{SMALLEST}[method.settings]\n{setting}\n"))
    with pytest.raises(Refusal) as caught:
        complete_recipe(recipe, find_card("lora"), file="recipe.toml")
    assert says in caught.value.sentence


def _strategy(kind: inspect.Type) -> st.SearchStrategy[Any]:
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    match kind:
        case inspect.UnionType():
            return st.one_of(*map(_strategy, kind.types))
        case inspect.NoneType():
            return st.none()
        case inspect.LiteralType():
            return st.sampled_from(kind.values)
        case inspect.IntType():
            return st.integers(kind.ge or 0, kind.le)
        case inspect.FloatType():
            low = kind.ge if kind.ge is not None else kind.gt
            return st.floats(low, kind.le, exclude_min=kind.gt is not None, allow_subnormal=False)
        case inspect.StrType():
            # "/" begins an absolute path, which reading leaves as it is.
            return st.text(max_size=20).map(lambda text: "/" + text.replace("/", "").replace(".", "").replace("\0", ""))
        case inspect.VarTupleType():
            return st.lists(_strategy(kind.item_type), max_size=2).map(tuple)
        case inspect.StructType():
            return _part(kind.cls)
        case inspect.DictType() if kind.key_type != inspect.StrType():
            return st.dictionaries(_strategy(kind.key_type), _strategy(kind.value_type), max_size=2)
        case _:
            return st.dictionaries(st.sampled_from("abc"), st.integers(0, 9), max_size=2)


def _part(part: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    return st.builds(part, **{f.name: _strategy(inspect.type_info(f.type)) for f in msgspec.structs.fields(part)})


def _weighted_or_shared(rows: Rows) -> Rows:
    """Take one of the two from each source, and so little that enough is left of the recipe's own rows."""
    mixed = [
        msgspec.structs.replace(source, share=None)
        if source.weight is not None
        else msgspec.structs.replace(source, share=source.share and source.share / 2)
        for source in rows.mix
    ]
    return msgspec.structs.replace(rows, mix=tuple(mixed))


@given(training=_part(Training), seeds=_part(Seeds), output=_part(Output), rows=_part(Rows).map(_weighted_or_shared))
def test_any_recipe_survives_a_round_trip_through_toml(
    training: Training, seeds: Seeds, output: Output, rows: Rows
) -> None:
    recipe = Recipe(model=Model(name="bundled"), rows=rows, training=training, seeds=seeds, output=output)
    table = tomllib.loads(recipe_text(recipe))
    assert recipe_from_table(table, file="recipe.toml", folder=Path("/")) == recipe
