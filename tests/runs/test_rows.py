"""Rows: read from any accepted file, or refused with place and what would be accepted, and parted."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from pegbox_methods.recipe import Model, Recipe, Rows, Split
from pegbox_methods.refusal import Refusal
from pegbox_runs.rows.example import Example, PlainText
from pegbox_runs.rows.files import read_rows
from pegbox_runs.rows.formats import read_examples
from pegbox_runs.rows.loading import load_rows
from pegbox_runs.rows.split import split
from tests.alpaca import BESIDE

ROWS = [{"instruction": f"Question {i}, with a comma?", "input": "", "output": f"Answer\n{i} “ü”"} for i in range(5)]


def as_json(path: Path) -> None:
    path.write_text(json.dumps(ROWS))


def as_jsonl(path: Path) -> None:
    path.write_text("\n\n".join(json.dumps(row) for row in ROWS) + "\n")


def as_csv(path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(ROWS[0]))
        writer.writeheader()
        writer.writerows(ROWS)


def as_parquet(path: Path) -> None:
    parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("rows.json", as_json),
        ("rows.jsonl", as_jsonl),
        ("rows.csv", as_csv),
        ("rows.parquet", as_parquet),
        ("lines.json", as_jsonl),
        ("ROWS.JSONL", as_jsonl),
    ],
)
def test_each_kind_of_file_gives_the_same_rows(tmp_path: Path, name: str, write: Any) -> None:
    path = tmp_path / name
    write(path)
    assert [row for _, row in read_rows(path)] == ROWS
    assert len(read_rows(path, limit=2)) == 2


def test_a_byte_order_mark_and_windows_line_ends_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + b"\r\n".join(json.dumps(row).encode() for row in ROWS))
    assert [row for _, row in read_rows(path)] == ROWS


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("rows.jsonl", b"", "the file holds no rows"),
        ("rows.json", b" \n", "the file holds no rows"),
        ("rows.json", b"[]", "the file holds no rows"),
        ("rows.csv", b"", "the file holds no rows"),
        ("rows.csv", b"text\n", "the file holds no rows"),
        ("rows.xlsx", b"x", "rows of kind '.xlsx'; accepted are .json, .jsonl, .csv, .parquet"),
        ("rows.jsonl", b'{"text": "a"}\n{"text": \n', "line 2 is not valid JSON"),
        ("rows.jsonl", b'{"text": "a"}\n"b"\n', "line 2 is not an object"),
        ("rows.json", b'[{"text": "a"}, ', "not valid JSON at line 1"),
        ("rows.json", b'{"rows": []}', "expected a list of rows"),
        ("rows.json", b"[1]", "row 1 is not an object"),
        ("rows.json", b"[" * 100_000, "nested too deeply"),
        ("rows.jsonl", b'{"text": ' + b"1" * 5000 + b"}\n", "line 1 is not readable JSON"),
        ("rows.jsonl", b'{"text": "\xff"}\n', "not UTF-8"),
        ("rows.csv", b"prompt,completion\na,b\nc\n", "line 3 hasn't the 2 columns of the first line"),
        ("rows.csv", b"prompt,completion\na,b,c\n", "line 2 hasn't the 2 columns of the first line"),
        ("rows.parquet", b"PAR1 and then nothing", "not a readable Parquet file"),
    ],
)
def test_a_file_that_holds_no_rows_says_where_and_what(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(Refusal) as caught:
        read_rows(path)
    assert str(path) in caught.value.sentence
    assert says in caught.value.sentence


def test_a_file_that_is_not_there_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("{}")
    with pytest.raises(Refusal, match=r'no such file of rows. did you mean "rows.jsonl"'):
        read_rows(tmp_path / "row.jsonl")
    with pytest.raises(Refusal, match=r"is a folder"):
        read_rows(tmp_path)


texts = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20).filter(lambda text: text.strip())
examples = st.lists(texts.map(PlainText), max_size=40)


@given(examples, st.floats(0, 0.9), st.integers(0, 2**32 - 1))
def test_splitting_is_a_partition_with_equal_rows_on_one_side(rows: list[Example], share: float, seed: int) -> None:
    trained, held_out = split(rows, share, seed)
    assert sorted((*trained, *held_out), key=str) == sorted(rows, key=str)
    assert not set(trained) & set(held_out)
    distinct = len(set(rows))
    if share and distinct > 1:
        assert len(set(held_out)) == min(distinct - 1, max(1, round(share * distinct)))


@given(examples, st.integers(0, 5), st.randoms())
def test_the_order_of_rows_does_not_change_their_side(rows: list[Example], seed: int, chance: Any) -> None:
    shuffled = list(rows)
    chance.shuffle(shuffled)
    assert set(split(rows, 0.3, seed)[1]) == set(split(shuffled, 0.3, seed)[1])


def test_another_seed_holds_out_other_rows() -> None:
    rows: list[Example] = [PlainText(str(i)) for i in range(100)]
    assert split(rows, 0.2, 1)[1] != split(rows, 0.2, 2)[1]


def recipe_for(path: Path, **split_values: Any) -> Recipe:
    return Recipe(model=Model(name="bundled"), rows=Rows(file=str(path)), split=Split(**split_values))


def test_held_out_rows_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n{"text": "b"}\n')
    (tmp_path / "b.jsonl").write_text('{"text": "c"}\n')
    loaded = load_rows(recipe_for(tmp_path / "a.jsonl", share=0.0, file=str(tmp_path / "b.jsonl")))
    assert len(loaded.trained) == 2
    assert loaded.held_out == [PlainText("c")]
    assert loaded.sha256 != loaded.held_out_sha256


def test_one_row_cannot_be_split(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n{"text": "a"}\n')
    with pytest.raises(Refusal, match=r"only one distinct row"):
        load_rows(recipe_for(tmp_path / "a.jsonl"))
    assert len(load_rows(recipe_for(tmp_path / "a.jsonl", share=0.0)).trained) == 2


def test_every_one_of_the_real_alpaca_rows_is_understood() -> None:
    if not BESIDE.is_file():
        pytest.skip("the Alpaca rows are third-party and don't lie beside this checkout")
    name, rows = read_examples("alpaca_en.json", read_rows(BESIDE), "auto")
    assert (name, len(rows)) == ("alpaca", 999)
    trained, held_out = split(rows, 0.1, 42)
    assert len(trained) + len(held_out) == 999
