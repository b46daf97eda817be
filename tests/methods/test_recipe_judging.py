"""The table [judging]: where its paths count from, and what it can't go without."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from pegbox_methods.recipe_file import read_recipe, recipe_from_table, recipe_text
from pegbox_methods.refusal import Refusal

SMALLEST = '[model]\nname = "bundled"\n[rows]\nfile = "rows.jsonl"\n'
BOTH = '[judging]\nrows = true\ngeneral = "general.jsonl"\nmetrics = ["rouge-l", "token-f1"]\nanswers = 7\n'


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    return path


def test_a_path_of_general_rows_counts_from_the_recipes_folder(tmp_path: Path) -> None:
    recipe = read_recipe(written(tmp_path, SMALLEST + BOTH))
    assert recipe.judging.general == str(tmp_path / "general.jsonl")


def test_the_word_for_our_own_general_rows_stays_though_a_file_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "bundled").mkdir()
    text = SMALLEST + BOTH.replace("general.jsonl", "bundled")
    assert read_recipe(written(tmp_path, text)).judging.general == "bundled"
    text = SMALLEST + BOTH.replace("general.jsonl", "./bundled")
    assert read_recipe(written(tmp_path, text)).judging.general == str(tmp_path / "bundled")


def test_a_path_on_the_command_line_counts_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    path = written(tmp_path, SMALLEST + BOTH)
    given = read_recipe(path, ["judging.general=other.jsonl"])
    assert given.judging.general == str(tmp_path / "here" / "other.jsonl")
    assert read_recipe(path, ["judging.general=bundled"]).judging.general == "bundled"


def test_a_recipe_with_judging_comes_back_as_it_was_written(tmp_path: Path) -> None:
    recipe = read_recipe(written(tmp_path, SMALLEST + BOTH))
    table = tomllib.loads(recipe_text(recipe))
    assert recipe_from_table(table, file="again", folder=Path("/nowhere")) == recipe


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('[judging]\ngeneral = "bundled"\n', "judging.general"),
        ('[judging]\nmetrics = ["rouge-l"]\n', "judging.metrics"),
        ('[judging]\nrows = true\nmetrics = ["rouge-l", "rouge-l"]\n', "judging.metrics"),
        ("[judging]\nrows = true\n[split]\nshare = 0\n", "judging.rows"),
        ('[judging]\nrows = true\nmetrics = ["bleu"]\n', "judging.metrics"),
        ("[judging]\nrows = true\nanswers = 0\n", "judging.answers"),
    ],
)
def test_what_cannot_be_is_refused_by_name(tmp_path: Path, text: str, key: str) -> None:
    with pytest.raises(Refusal) as caught:
        read_recipe(written(tmp_path, SMALLEST + text))
    assert key in caught.value.sentence


def test_held_out_rows_of_their_own_can_be_judged(tmp_path: Path) -> None:
    recipe = read_recipe(written(tmp_path, SMALLEST + '[judging]\nrows = true\n[split]\nfile = "held_out.jsonl"\n'))
    assert recipe.judging.rows
