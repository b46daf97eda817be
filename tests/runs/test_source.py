"""Which files a source consists of: one, a folder with all that may lie in it, or a data set of the Hub."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import datasets
import pytest

from pegbox_methods.hub_name import is_hub_id
from pegbox_methods.recipe import RowSource
from pegbox_methods.refusal import Refusal
from pegbox_runs.rows import source as source_module
from pegbox_runs.rows.place import RawRow, Rejected
from pegbox_runs.rows.reading import read_source
from pegbox_runs.rows.source import Source, find_source

ROW = b'{"text": "A row."}\n'


def find(path: Path, split: str = "train") -> Source:
    return find_source(RowSource(file=str(path), hub_split=split))


def names(source: Source) -> list[str]:
    return [source.name_of(path) for path in source.files]


def refused(path: Path | str) -> str:
    with pytest.raises(Refusal) as refusal:
        find_source(RowSource(file=str(path)))
    return refusal.value.sentence


def put(folder: Path, *files: str) -> Path:
    for number, name in enumerate(files):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(ROW * (number + 1))
    return folder


def test_one_file_is_known_by_the_hash_of_its_bytes(tmp_path: Path) -> None:
    source = find(put(tmp_path, "rows.jsonl") / "rows.jsonl")
    assert source.sha256() == hashlib.sha256(ROW).hexdigest()
    assert source.bytes == len(ROW)
    assert names(source) == ["rows.jsonl"]


def test_a_folder_gives_its_files_of_rows_by_name_and_names_the_others(tmp_path: Path) -> None:
    put(tmp_path, "b.jsonl", "a/z.csv.gz", "a/B.JSON", "README.md", ".hidden.jsonl", ".git/x.json", "a/photo.png.gz")
    source = find(tmp_path)
    assert names(source) == ["a/B.JSON", "a/z.csv.gz", "b.jsonl"]
    assert source.others == ("README.md", "a/photo.png.gz")
    assert source.problems == ()


def test_a_folder_is_known_by_the_names_and_contents_of_its_rows(tmp_path: Path) -> None:
    put(tmp_path, "a/1.jsonl", "a/2.jsonl", "b/1.jsonl", "b/2.jsonl", "b/notes.txt", "c/1.jsonl", "c/3.jsonl")
    a, b, c = (find(tmp_path / name).sha256() for name in "abc")
    (tmp_path / "b" / "1.jsonl").write_bytes(ROW)
    (tmp_path / "b" / "2.jsonl").write_bytes(ROW * 2)
    assert len({a, b, c, find(tmp_path / "b").sha256()}) == 3
    assert find(tmp_path / "b").sha256() == a


def test_the_same_file_is_never_read_twice(tmp_path: Path) -> None:
    put(tmp_path, "a.jsonl", "deep/b.jsonl")
    (tmp_path / "again.jsonl").symlink_to("a.jsonl")
    os.link(tmp_path / "a.jsonl", tmp_path / "hard.jsonl")
    (tmp_path / "else").symlink_to("deep")
    source = find(tmp_path)
    assert names(source) == ["a.jsonl", "deep/b.jsonl"]
    assert source.problems == ()


def test_links_are_followed_and_a_directory_loop_is_a_problem(tmp_path: Path) -> None:
    elsewhere = put(tmp_path / "elsewhere", "c.jsonl")
    folder = put(tmp_path / "rows", "a.jsonl", "deep/b.jsonl")
    (folder / "linked").symlink_to(elsewhere)
    (folder / "deep" / "round").symlink_to(folder)
    (elsewhere / "self").symlink_to(".")
    source = find(folder)
    assert names(source) == ["a.jsonl", "deep/b.jsonl", "linked/c.jsonl"]
    reason = "is a link back to a folder that it lies in, which would go round for ever"
    assert [(problem.where, problem.reason) for problem in source.problems] == [
        ("deep/round", reason),
        ("linked/self", reason),
    ]
    rows = list(read_source(source))
    assert tuple(row for row in rows if isinstance(row, Rejected)) == source.problems
    assert [row.place.file for row in rows if isinstance(row, RawRow)].count("linked/c.jsonl") == 1


def test_what_cannot_be_read_in_a_folder_is_a_problem(tmp_path: Path) -> None:
    put(tmp_path, "a.jsonl")
    (tmp_path / "gone.jsonl").symlink_to("nowhere.jsonl")
    (tmp_path / "round.jsonl").symlink_to("round.jsonl")
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / os.fsdecode(b"caf\xe9.jsonl")).write_bytes(ROW)
    source = find(tmp_path)
    assert names(source) == ["a.jsonl"]
    assert {problem.where: problem.reason for problem in source.problems} == {
        "caf\\udce9.jsonl": "has a name that isn't UTF-8; rename it",
        "gone.jsonl": "is a link to a file that isn't there",
        "pipe.jsonl": "is no file, but a pipe or a device",
        "round.jsonl": "can't be read: Too many levels of symbolic links",
    }


def test_a_folder_that_may_not_be_read_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "a.jsonl", "locked/b.jsonl")
    listed = Path.iterdir

    def guarded(self: Path) -> object:  # root may read everything
        if self.name == "locked":
            raise PermissionError(13, "Permission denied")
        return listed(self)

    monkeypatch.setattr(Path, "iterdir", guarded)
    (problem,) = find(tmp_path).problems
    assert (problem.where, problem.reason) == ("locked", "the folder can't be read: Permission denied")


def test_a_saved_data_set_gives_its_rows_without_its_side_files(tmp_path: Path) -> None:
    rows = [{"text": f"Row {n}"} for n in range(30)]
    datasets.Dataset.from_list(rows).save_to_disk(tmp_path / "saved", num_shards=2)
    source = find(tmp_path / "saved")
    assert [row.fields for row in read_source(source) if isinstance(row, RawRow)] == rows
    assert source.others == ("dataset_info.json", "state.json")


def test_of_a_saved_dict_of_data_sets_only_the_asked_split_is_read(tmp_path: Path) -> None:
    both = {name: datasets.Dataset.from_list([{"text": name}]) for name in ("train", "test")}
    datasets.DatasetDict(both).save_to_disk(tmp_path / "saved")
    for split in both:
        rows = read_source(find(tmp_path / "saved", split))
        assert [row.fields for row in rows if isinstance(row, RawRow)] == [{"text": split}]
    with pytest.raises(Refusal, match="has no split 'dev'; it has test, train"):
        find(tmp_path / "saved", "dev")


def test_a_json_file_of_such_a_name_is_rows_where_no_arrow_file_is(tmp_path: Path) -> None:
    assert names(find(put(tmp_path, "state.json"))) == ["state.json"]


def test_what_is_not_there_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    put(tmp_path, "rows.jsonl", "notes.txt")
    assert refused(tmp_path / "rovs.jsonl") == (
        f'{tmp_path}/rovs.jsonl: there is no such file or folder of rows. Did you mean "rows.jsonl"?'
    )
    assert refused(tmp_path / "summary").endswith("there is no such file or folder of rows. Known: rows.jsonl.")
    assert refused(tmp_path / "nowhere" / "rows.csv").endswith("there is no such file or folder of rows.")
    (tmp_path / "link.jsonl").symlink_to("gone.jsonl")
    assert refused(tmp_path / "link.jsonl") == f"{tmp_path}/link.jsonl: is a link to gone.jsonl, which isn't there."


@pytest.mark.parametrize("name", ["notes.txt", "rows", "rows.jsonl.bz2", "rows.gz", "rows.jsonl.gz.zst"])
def test_another_kind_of_file_is_refused_with_those_that_are_taken(tmp_path: Path, name: str) -> None:
    sentence = refused(put(tmp_path, name) / name)
    assert "accepted are .json, .jsonl, .ndjson, .csv, .tsv, .parquet, .arrow, each also as .gz or .zst." in sentence


def test_a_folder_without_rows_is_refused_with_what_lies_in_it(tmp_path: Path) -> None:
    (tmp_path / "gone.jsonl").symlink_to("nowhere")
    put(tmp_path / "deep", "README\x1b.md")
    assert refused(tmp_path).endswith("In it: gone.jsonl: is a link to a file that isn't there.")
    assert refused(tmp_path / "deep").endswith("In it: README\\x1b.md.")
    (tmp_path / "empty").mkdir()
    assert refused(tmp_path / "empty").endswith("each also as .gz or .zst).")


def test_a_pipe_and_a_name_that_is_no_path_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "rows.jsonl")
    assert refused(tmp_path / "rows.jsonl").endswith("is a pipe or a device. Save its rows into a file first.")
    assert "x\\x00y.jsonl: " in refused("x\0y.jsonl")
    assert "File name too long" in refused(tmp_path / ("x" * 300 + ".jsonl"))
    name = os.fsdecode(b"caf\xe9.jsonl")
    (tmp_path / name).write_bytes(ROW)
    assert refused(tmp_path / name).endswith("caf\\udce9.jsonl: the file's name isn't UTF-8. Rename it.")


def test_a_home_folder_is_not_walked_through_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_module, "FILES_LOOKED_AT", 3)
    put(tmp_path, *(f"{n}.jsonl" for n in range(4)))
    assert refused(tmp_path).endswith("holds more than 3 files; name a folder of rows.")


@pytest.mark.parametrize(
    ("text", "hub"),
    [
        ("org/name", True),
        ("Org-1/na.me_2", True),
        ("org/data.v2", True),
        ("org/rows.jsonl", False),
        ("org/rows.CSV.gz", False),
        ("rows", False),
        ("./rows", False),
        ("a/b/c", False),
        ("/org/name", False),
        ("~/name", False),
        ("../name", False),
        ("org/na--me", False),
        ("org/name.git", False),
        ("org/-name", False),
        ("org/name/", False),
        ("org/nämé", False),
        ("org/name\n", False),
    ],
)
def test_a_hub_id_is_told_from_a_path_by_its_letters(text: str, hub: bool) -> None:
    assert is_hub_id(text) == hub


def test_a_folder_that_is_called_like_a_hub_id_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "org/name/rows.jsonl")
    monkeypatch.chdir(tmp_path)
    assert names(find(Path("org/name"))) == ["rows.jsonl"]
