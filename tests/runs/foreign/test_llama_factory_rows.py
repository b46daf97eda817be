"""Data sets that dataset_info.json describes: read as LLaMA-Factory reads them, or left with the reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pegbox_runs.foreign.carrying import Imported
from pegbox_runs.foreign.importing import import_recipe

FACTORY = {"model_name_or_path": "org/model", "stage": "sft", "finetuning_type": "lora"}


def imported(folder: Path, described: dict[str, Any], **more: Any) -> Imported:
    """Import a recipe for data sets of these descriptions."""
    (folder / "rows.json").write_text("[]")
    info = {name: {"file_name": "rows.json", **one} for name, one in described.items()}
    (folder / "dataset_info.json").write_text(json.dumps(info))
    recipe = folder / "recipe.yaml"
    told = {**FACTORY, "dataset": ",".join(described), "dataset_dir": str(folder), **more}
    recipe.write_text(yaml.safe_dump(told))
    return import_recipe(recipe)


@pytest.mark.parametrize("formatting", ["sharegpt", "openai"])
def test_chats_are_read_as_chats_in_both_of_its_formattings(tmp_path: Path, formatting: str) -> None:
    plain, named = (
        imported(tmp_path, {"chats": {"formatting": formatting, **more}}).recipe.rows
        for more in ({}, {"columns": {"messages": "talk", "system": None}})
    )
    assert (plain.format, plain.columns) == ("auto", {"messages": "conversations"})
    assert (named.format, named.columns) == ("auto", {"messages": "talk"})


@pytest.mark.parametrize(
    ("described", "said"),
    [
        ({"formatting": "bwsa"}, "formatting bwsa"),
        ({"formatting": "openai", "columns": {"system": "s"}}, "don't name messages"),
        ({"columns": {"response": "a"}}, "don't name prompt or query"),
    ],
)
def test_a_description_that_isnt_understood_is_left_with_the_reason(
    tmp_path: Path, described: dict[str, Any], said: str
) -> None:
    found = imported(tmp_path, {"odd": described})
    (entry,) = [entry for entry in found.entries if entry.key == "dataset"]
    assert entry.fate == "left"
    assert said in entry.why


@pytest.mark.parametrize(
    ("described", "columns"),
    [
        ({}, {"prompt": "instruction", "input": "input", "completion": "output"}),
        ({"columns": {"prompt": "q", "response": "a"}}, {"prompt": "q", "completion": "a"}),
        ({"columns": {"query": "q", "response": "a"}}, {"prompt": "q", "completion": "a"}),
        ({"columns": {"prompt": "q", "query": "", "response": "a"}}, {"prompt": "q", "completion": "a"}),
    ],
)
def test_usual_columns_are_there_only_where_none_is_named(
    tmp_path: Path, described: dict[str, Any], columns: dict[str, str]
) -> None:
    assert imported(tmp_path, {"rows": described}).recipe.rows.columns == columns


@pytest.mark.parametrize("written", ["1e3", "1000", 1000.0, 1000])
def test_a_number_of_rows_is_one_for_each_data_set_however_it_is_written(tmp_path: Path, written: object) -> None:
    rows = imported(tmp_path, {"one": {}, "two": {}}, max_samples=written).recipe.rows
    assert (rows.limit, [one.limit for one in rows.mix]) == (1000, [1000])


def test_no_warm_up_steps_leave_it_to_the_ratio(tmp_path: Path) -> None:
    found = imported(tmp_path, {"one": {}}, warmup_steps=0, warmup_ratio=0.1)
    assert found.recipe.training.warmup == 0.1
    assert {entry.key: entry.fate for entry in found.entries}["warmup_steps"] == "translated"
    steps = imported(tmp_path, {"one": {}}, warmup_steps=10, warmup_ratio=0.1, max_steps=50)
    assert steps.recipe.training.warmup == 0.2
    assert imported(tmp_path, {"one": {}}, warmup_steps=0).recipe.training.warmup == 0.0
