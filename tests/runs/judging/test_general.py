"""The rows by which forgetting is measured: ours are whole; what can't be read is refused before a run exists."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from pegbox_methods.recipe import Judging, Model, Recipe, Rows
from pegbox_methods.refusal import Refusal
from pegbox_runs.judging.general import GENERAL_ROWS, general_recipe, refuse_bad_general
from pegbox_runs.models import BUNDLED
from pegbox_runs.preflight import check
from pegbox_runs.rows.example import Conversation
from pegbox_runs.rows.loading import load_rows


def recipe(judging: Judging) -> Recipe:
    return Recipe(model=Model(name="bundled"), rows=Rows(file=str(BUNDLED / "rows.jsonl"), limit=20), judging=judging)


def test_our_general_rows_are_64_short_conversations_each_of_its_own() -> None:
    general = general_recipe(recipe(Judging(rows=True, general="bundled")))
    assert general is not None
    loaded = load_rows(general)
    rows = list(loaded.trained)
    assert (len(rows), len(loaded.held_out)) == (64, 0)
    assert all(isinstance(row, Conversation) and len(row.messages) == 2 for row in rows)
    assert len({row.messages[0].content for row in rows if isinstance(row, Conversation)}) == 64
    assert all(len(line) < 500 for line in GENERAL_ROWS.read_text(encoding="utf-8").splitlines())


def test_our_general_rows_have_nothing_to_do_with_the_bundled_ones() -> None:
    ours = {json.loads(line)["messages"][0]["content"] for line in GENERAL_ROWS.read_text().splitlines()}
    theirs = {json.loads(line)["messages"][0]["content"] for line in (BUNDLED / "rows.jsonl").read_text().splitlines()}
    assert not ours & theirs


def test_general_rows_are_cut_as_the_runs_own_and_know_nothing_of_its_split_or_seeds() -> None:
    asked = recipe(Judging(rows=True, general="bundled"))
    other = msgspec.structs.replace(asked, rows=Rows(file="/elsewhere", limit=3))
    assert general_recipe(asked) == general_recipe(other)
    first = general_recipe(asked)
    assert first is not None
    assert first.training.length == asked.training.length
    assert first.split.share == 0


@pytest.mark.parametrize("judging", [Judging(), Judging(rows=True), Judging(general="bundled")])
def test_where_none_are_asked_for_there_are_none(judging: Judging) -> None:
    assert general_recipe(recipe(judging)) is None
    refuse_bad_general(recipe(judging))


@pytest.mark.parametrize("content", [None, "", '{"messages": 3}\n'])
def test_general_rows_that_cannot_be_read_are_refused_before_a_run_exists(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "general.jsonl"
    if content is not None:
        file.write_text(content)
    with pytest.raises(Refusal, match=r"^judging\.general: ") as caught:
        check(recipe(Judging(rows=True, general=str(file))), file="recipe.toml")
    assert str(file) in caught.value.sentence


def test_a_row_that_cannot_be_read_is_only_left_out(tmp_path: Path) -> None:
    file = tmp_path / "general.jsonl"
    file.write_text('{"prompt": "One and one?", "completion": " Two."}\n' * 2 + '{"prompt": "Two", "completion": ""}\n')
    refuse_bad_general(recipe(Judging(rows=True, general=str(file))))
