"""A glance at a source: which keys its rows have, and whether reading it would ask the network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pegbox_methods.recipe import RowSource
from pegbox_methods.refusal import Refusal
from pegbox_runs.rows import first_look
from pegbox_runs.rows.first_look import MOST_KEYS, keys_of_rows, must_be_fetched
from pegbox_runs.rows.hub import FetchedRows, FetchRows, hub_rows, hub_rows_here


def write(path: Path, *rows: object) -> RowSource:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return RowSource(file=str(path))


def fetched(asked: FetchRows) -> FetchedRows:
    (Path(asked.folder) / "rows.jsonl").write_text('{"text": "a"}\n')
    return FetchedRows(name=asked.name, subset="only", split=asked.split, commit="c0", rows=1)


def test_the_keys_of_the_first_rows_come_each_once_and_in_order(tmp_path: Path) -> None:
    asked = write(tmp_path / "rows.jsonl", {"b": 1, "a": 2}, {"a": 1, "[bold]\x1b": 3}, "no row")
    assert keys_of_rows(asked) == ("b", "a", "[bold]\x1b")


def test_only_the_first_rows_are_looked_at_and_only_so_many_keys_are_given(tmp_path: Path) -> None:
    late = [*({"a": n} for n in range(first_look.ROWS)), {"late": 1}]
    assert keys_of_rows(write(tmp_path / "rows.jsonl", *late)) == ("a",)
    wide = write(tmp_path / "wide.jsonl", {f"key{n}": n for n in range(5000)})
    assert len(keys_of_rows(wide)) == MOST_KEYS


def test_a_file_that_isn_t_there_has_no_keys_and_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="no such file"):
        keys_of_rows(RowSource(file=str(tmp_path / "rows.jsonl")))


def test_a_data_set_must_be_fetched_until_it_is_here(tmp_path: Path) -> None:
    asked = RowSource(file="org/name", limit=10)
    assert must_be_fetched(asked)
    assert hub_rows_here(asked) is None
    assert keys_of_rows(asked) == ()
    folder = hub_rows(asked, fetch=fetched)
    assert hub_rows_here(asked) == folder
    assert not must_be_fetched(asked)
    assert keys_of_rows(asked) == ("text",)
    assert must_be_fetched(RowSource(file="org/name", limit=20))
    assert must_be_fetched(RowSource(file="org/name", limit=10, hub_split="test"))


def test_of_a_whole_split_the_first_rows_are_here_too() -> None:
    hub_rows(RowSource(file="org/name"), fetch=fetched)
    assert not must_be_fetched(RowSource(file="org/name", limit=5))


def test_what_lies_here_never_asks_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org" / "name").mkdir(parents=True)
    (tmp_path / "org" / "link").symlink_to("nowhere")
    for file in ("org/name", "org/link", "rows.jsonl", "/x/y", "\x00/x", "~nobody-of-that-name/x"):
        assert not must_be_fetched(RowSource(file=file))
