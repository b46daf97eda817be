"""Fetching a data set of the Hub: `datasets` is real and reads a local folder, only the Hub itself is made up."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import datasets
import msgspec
import pyarrow
import pytest
from datasets.exceptions import DatasetNotFoundError
from huggingface_hub import HfApi
from huggingface_hub.errors import OfflineModeIsEnabled
from pyarrow import parquet

from pegbox_methods.recipe import Model, Recipe, Rows, RowSource
from pegbox_methods.refusal import Refusal
from pegbox_runs.preflight import check
from pegbox_runs.rows import hub
from pegbox_runs.rows.hub import FetchedRows, FetchRows, commit_of, hub_rows
from pegbox_runs.rows.place import RawRow
from pegbox_runs.rows.reading import read_source
from pegbox_runs.rows.source import find_source
from pegbox_worker.jobs import fetch_rows
from pegbox_worker.jobs.contact import Contact

UNHEARD = cast(Contact, None)
"""Neither job says anything on its way."""

ROWS = [{"instruction": f"Question {n}?", "output": f"Answer {n}."} for n in range(2500)]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a data set with two subsets into a folder that goes for a Hub id."""
    folder = tmp_path / "data-set"
    files = {"plain": ("train", "test"), "other": ("train",)}
    configs = ""
    for subset, splits in files.items():
        (folder / subset).mkdir(parents=True)
        configs += f"- config_name: {subset}\n  data_files:\n"
        for split in splits:
            rows = ROWS if split == "train" else ROWS[:3]
            parquet.write_table(pyarrow.Table.from_pylist(rows), folder / subset / f"{split}.parquet")
            configs += f"  - split: {split}\n    path: {subset}/{split}.parquet\n"
    (folder / "README.md").write_text(f"---\nconfigs:\n{configs}---\n")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(fetch_rows, "commit_of", lambda name, revision: COMMIT)
    return folder


def fetch(folder: Path, into: Path, **asked: Any) -> FetchedRows:
    into.mkdir(exist_ok=True)
    given = {"name": str(folder), "subset": "plain", "split": "train", "revision": None, "limit": None} | asked
    return fetch_rows.run(msgspec.json.encode(FetchRows(folder=str(into), **given)), UNHEARD)


def rows_in(folder: Path) -> list[dict[str, Any]]:
    return [row.fields for row in read_source(find_source(RowSource(file=str(folder)))) if isinstance(row, RawRow)]


def test_all_rows_of_a_split_are_written_as_parquet(data_set: Path, tmp_path: Path) -> None:
    fetched = fetch(data_set, tmp_path / "rows")
    assert fetched == FetchedRows(name=str(data_set), subset="plain", split="train", commit=COMMIT, rows=2500)
    assert rows_in(tmp_path / "rows") == ROWS


def test_with_a_limit_only_so_many_rows_are_fetched(data_set: Path, tmp_path: Path) -> None:
    assert fetch(data_set, tmp_path / "rows", limit=1700).rows == 1700
    assert rows_in(tmp_path / "rows") == ROWS[:1700]


def test_a_large_split_is_streamed_and_a_small_one_is_not(
    data_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load, streamed = datasets.load_dataset, []

    def watched(*given: Any, **asked: Any) -> Any:
        streamed.append(asked.get("streaming", False))
        return load(*given, **asked)

    builder = datasets.load_dataset_builder

    def sized(*given: Any, **asked: Any) -> Any:
        found = builder(*given, **asked)
        found.info.splits = {"train": SimpleNamespace(num_bytes=bytes_told)}
        return found

    monkeypatch.setattr(datasets, "load_dataset", watched)
    monkeypatch.setattr(datasets, "load_dataset_builder", sized)
    for bytes_told, streaming in ((1000, False), (2 * 1024**3, True), (0, True)):  # 0 is what an unknown size is
        streamed.clear()
        into = tmp_path / f"rows-{bytes_told}"
        assert fetch(data_set, into).rows == 2500
        assert rows_in(into) == ROWS
        assert streamed == [streaming]


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"subset": None}, "the data set has several subsets; set hub_subset to one of: plain, other."),
        ({"subset": "plane"}, "the data set has no subset 'plane'; set hub_subset to one of: plain, other."),
        ({"split": "dev"}, "the data set has no split 'dev'; set hub_split to one of: train, test."),
        ({"split": "train[:10%]"}, "the data set has no split 'train[:10%]'; set hub_split to one of: train, test."),
    ],
)
def test_what_the_data_set_has_is_named_where_something_else_was_asked(
    data_set: Path, tmp_path: Path, asked: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(Refusal) as refused:
        fetch(data_set, tmp_path / "rows", **asked)
    assert refused.value.sentence == f"{data_set}: {sentence}"


def test_columns_that_change_go_into_a_file_of_their_own(tmp_path: Path) -> None:
    batches = [pyarrow.table({"a": [1]}), pyarrow.table({"a": [2]}), pyarrow.table({"a": ["x"]})]
    assert fetch_rows._write(iter(batches), tmp_path) == 3
    assert [row["a"] for row in rows_in(tmp_path)] == [1, 2, "x"]
    assert len(list(tmp_path.iterdir())) == 2


def connection_refused() -> Exception:
    """Give what the HTTP library of huggingface_hub raises where nobody listens, hidden in another error."""
    error = ValueError("something around it")
    try:
        HfApi(endpoint="http://127.0.0.1:9").dataset_info("org/name")
    except Exception as refused:  # noqa: BLE001 - of which library it is depends on the version
        error.__cause__ = refused
    return error


@pytest.mark.parametrize(
    ("error", "begin"),
    [
        (DatasetNotFoundError("Dataset 'org/name' doesn't exist on the Hub or cannot be accessed."), "neither a file"),
        (DatasetNotFoundError("Dataset 'org/name' is a gated dataset on the Hub."), "the Hub asks for your consent"),
        (DatasetNotFoundError("Revision 'v9' doesn't exist for dataset 'org/name' on the Hub."), "the data set has no"),
        (RuntimeError("Dataset scripts are no longer supported, but found name.py"), "the data set is made by a prog"),
        (OfflineModeIsEnabled("offline"), "neither a file or folder here, nor fetched before, and the Hub can't be"),
        (connection_refused(), "neither a file or folder here, nor fetched before, and the Hub can't be reached"),
        (ValueError("odd\nand long"), "its rows can't be read: ValueError: odd."),
    ],
)
def test_whatever_goes_wrong_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception, begin: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(fetch_rows, "commit_of", lambda name, revision: COMMIT)
    monkeypatch.setattr(datasets, "load_dataset_builder", fail)
    monkeypatch.setattr(datasets, "get_dataset_config_names", fail)
    with pytest.raises(Refusal) as refused:
        fetch(Path("org/name"), tmp_path / "rows")
    assert refused.value.sentence.startswith(f"org/name: {begin}")
    assert refused.value.sentence.count("\n") == 0


def made_up(asked: FetchRows) -> FetchedRows:
    rows = ROWS[: asked.limit]
    parquet.write_table(pyarrow.Table.from_pylist(rows), Path(asked.folder) / "rows.parquet")
    return FetchedRows(name=asked.name, subset="only", split=asked.split, commit=COMMIT, rows=len(rows))


def never(asked: FetchRows) -> FetchedRows:
    raise AssertionError(f"{asked.name} was fetched again")


def test_what_was_fetched_is_read_again_without_a_network(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = RowSource(file="org/name", limit=5)
    folder = hub_rows(asked, fetch=made_up)
    assert folder.relative_to(home).as_posix() == "rows/hub/org--name/main/only/train.first-5"
    assert hub_rows(asked, fetch=never) == folder
    monkeypatch.setattr(hub, "_by_worker", never)
    source = find_source(asked)
    assert [row.fields for row in read_source(source) if isinstance(row, RawRow)] == ROWS[:5]
    assert source.asked == "org/name"


def test_a_whole_split_that_is_here_serves_any_limit(home: Path) -> None:
    folder = hub_rows(RowSource(file="org/name", revision="refs/../x", hub_subset=".."), fetch=made_up)
    assert folder.is_relative_to(home / "rows" / "hub" / "org--name")
    assert ".." not in folder.parts
    asked = RowSource(file="org/name", revision="refs/../x", hub_subset="..", limit=7)
    assert hub_rows(asked, fetch=never) == folder


def test_rows_fetched_as_a_branch_are_found_by_its_commit_and_a_run_pins_it(home: Path, tmp_path: Path) -> None:
    folder = hub_rows(RowSource(file="org/name"), fetch=made_up)
    assert commit_of(folder) == COMMIT
    assert hub_rows(RowSource(file="org/name", revision=COMMIT, limit=3), fetch=never) == folder
    with pytest.raises(AssertionError, match="fetched again"):
        hub_rows(RowSource(file="org/name", revision="0" * 40), fetch=never)
    recipe = Recipe(model=Model(name="bundled"), rows=Rows(file="org/name"))
    assert check(recipe, file="recipe.toml").recipe.rows.revision == COMMIT


def test_rows_that_did_not_come_whole_leave_nothing_behind(home: Path) -> None:
    def broken(asked: FetchRows) -> FetchedRows:
        made_up(asked)
        raise Refusal("org/name: no.")

    with pytest.raises(Refusal):
        hub_rows(RowSource(file="org/name"), fetch=broken)
    assert [path for path in (home / "rows").rglob("*") if path.is_file()] == []


def test_no_network_is_a_refusal_of_the_whole_way_through_the_worker(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(Refusal) as refused:
        find_source(RowSource(file="org/name"))
    assert refused.value.sentence == (
        "org/name: neither a file or folder here, nor fetched before, and the Hub can't be reached "
        "(OfflineModeIsEnabled). Give a file, or try again with a network."
    )
