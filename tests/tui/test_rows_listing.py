"""What can be picked in a folder and how a path goes on; names are from outside, and folders may be anything."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pegbox_tui.wizard.rows import listing as listing_module
from pegbox_tui.wizard.rows.listing import MOST_SHOWN, Entry, absolute, begin_at, completed, line_of, look_into
from tests.made_up_report import HOSTILE


def made(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        if name.endswith("/"):
            path.mkdir(parents=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("{}\n")
    return folder


def named(folder: Path, typed: str = "") -> list[str]:
    return [f"{entry.kind} {entry.name}" for entry in look_into(typed, folder).entries]


def test_folders_come_first_then_files_of_rows_and_nothing_else(tmp_path: Path) -> None:
    made(tmp_path, "b.jsonl", "a.csv.gz", "notes.txt", "model.safetensors", "z/", "Data/", ".hidden/", ".x.jsonl")
    assert named(tmp_path) == [
        "up ..",
        f"whole folder {tmp_path.name}",
        "folder Data",
        "folder z",
        "file a.csv.gz",
        "file b.jsonl",
    ]
    assert named(tmp_path, f"{tmp_path}/.") == named(tmp_path)
    assert named(tmp_path, f"{tmp_path}/.x") == ["file .x.jsonl"]


def test_what_is_typed_narrows_the_list_whatever_its_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path, "Rows.jsonl", "rows2.jsonl", "other.jsonl", "deep/er/x.jsonl")
    assert named(tmp_path, f"{tmp_path}/ro") == ["file Rows.jsonl", "file rows2.jsonl"]
    monkeypatch.chdir(tmp_path)
    assert named(Path("/"), "deep/er/x") == ["file x.jsonl"]
    monkeypatch.setenv("HOME", str(tmp_path))
    assert named(Path("/"), "~/oth") == ["file other.jsonl"]


def test_tab_goes_on_as_far_as_all_agree(tmp_path: Path) -> None:
    made(tmp_path, "rows-a.jsonl", "rows-b.jsonl", "folder/inside.jsonl")

    def tab(typed: str) -> str:
        return completed(typed, look_into(typed, tmp_path))

    assert tab(f"{tmp_path}/r") == f"{tmp_path}/rows-"
    assert tab(f"{tmp_path}/rows-") == f"{tmp_path}/rows-"
    assert tab(f"{tmp_path}/rows-b") == f"{tmp_path}/rows-b.jsonl"
    assert tab(f"{tmp_path}/f") == f"{tmp_path}/folder/"
    assert tab(f"{tmp_path}/nothing") == f"{tmp_path}/nothing"


def test_tab_puts_the_home_folder_behind_its_sign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(made(tmp_path, "only.jsonl")))
    assert completed("~", look_into("~", Path("/"))) == "~/only.jsonl"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("/nowhere/at/all/", "No such file"),
        ("~nobody-of-that-name/x", "no such user"),
        ("a\x00b/c", "null"),
        ("x" * 100_000 + "/y", "too long"),
    ],
)
def test_what_cant_be_looked_into_is_told_and_kept_short(tmp_path: Path, typed: str, said: str) -> None:
    found = look_into(typed, tmp_path)
    assert said in found.problem
    assert len(found.problem) < 400
    assert found.folder == tmp_path


def test_a_folder_that_mayn_t_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(listing_module.os, "scandir", refuse)
    assert "Permission denied" in look_into("", tmp_path).problem


def test_a_loop_of_folders_is_only_a_folder(tmp_path: Path) -> None:
    made(tmp_path, "in/rows.jsonl")
    (tmp_path / "in" / "loop").symlink_to(tmp_path)
    assert "folder loop" in named(tmp_path, f"{tmp_path}/in/loop/in/loop/in/")


def test_links_that_lead_nowhere_are_shown_and_cant_be_taken(tmp_path: Path) -> None:
    (tmp_path / "gone.jsonl").symlink_to(tmp_path / "nothing")
    (tmp_path / "self.jsonl").symlink_to(tmp_path / "self.jsonl")
    found = {entry.name: entry.fault for entry in look_into("", tmp_path).entries if entry.kind == "file"}
    assert "No such file" in found["gone.jsonl"]
    assert "symbolic links" in found["self.jsonl"]
    assert completed(f"{tmp_path}/go", look_into(f"{tmp_path}/go", tmp_path)) == f"{tmp_path}/go"


def test_names_that_act_are_shown_harmless_and_those_without_letters_cant_be_taken(tmp_path: Path) -> None:
    hostile = HOSTILE.replace("/", "").replace("\x00", "") + ".jsonl"
    made(tmp_path, hostile)
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.jsonl"))).write_text("{}\n")
    entries = [entry for entry in look_into("", tmp_path).entries if entry.kind == "file"]
    assert len(entries) == 2
    for entry in entries:
        drawn = line_of(entry, 78)
        assert not set("\x1b\u202e\udcff") & set(drawn.plain)
        assert not any("link" in str(span.style) for span in drawn.spans)
    assert {bool(entry.fault) for entry in entries} == {True, False}


def test_a_huge_folder_is_shown_in_part_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path, *[f"{number:04}.jsonl" for number in range(MOST_SHOWN + 20)])
    found = look_into("", tmp_path)
    assert sum(entry.kind == "file" for entry in found.entries) == MOST_SHOWN
    assert found.problem.startswith("20 more")
    monkeypatch.setattr(listing_module, "MOST_LOOKED_AT", 100)
    assert "more than 100 entries" in look_into("", tmp_path).problem


def test_what_looks_like_a_data_set_is_offered_unless_it_is_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made(tmp_path, "there/rows/x.jsonl"))
    assert named(tmp_path, "org/name")[0] == "hub org/name"
    assert "hub there/rows" not in named(tmp_path, "there/rows")
    assert "hub" not in " ".join(named(tmp_path, "org/name.jsonl"))


def test_paths_are_kept_so_that_they_mean_the_same_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/ada")
    assert absolute("x/../rows.jsonl") == str(tmp_path / "rows.jsonl")
    assert absolute("~/rows.jsonl") == "/home/ada/rows.jsonl"


def test_it_begins_where_the_former_rows_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path, "in/rows.jsonl")
    monkeypatch.chdir(tmp_path)
    assert begin_at(str(tmp_path / "in" / "rows.jsonl")) == tmp_path / "in"
    for other in (None, "org/name", "/gone/rows.jsonl", "~nobody-of-that-name/x", "\x00"):
        assert begin_at(other) == tmp_path


@pytest.mark.parametrize("width", [40, 78, 198])
def test_a_line_fits_its_width(width: int) -> None:
    long = Entry("file", "日本語" * 50 + ".jsonl", "/x", 2**31, 1e9)
    assert line_of(long, width).cell_len <= width
