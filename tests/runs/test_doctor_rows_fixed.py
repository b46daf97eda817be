"""A cleaned copy: nothing is left in it of what was to be fixed, and every row left out or changed is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pegbox_methods.recipe import RowSource, Split
from pegbox_methods.refusal import Refusal
from pegbox_runs.rows.doctor import fixing
from pegbox_runs.rows.doctor.examine import examine
from pegbox_runs.rows.doctor.examined import Examined
from pegbox_runs.rows.doctor.fixing import KEEPABLE, fix
from tests.runs.test_doctor_rows import PLANTED, SECRETS, chat, clean, words


def examined(path: Path, held_out: Path | None = None) -> Examined:
    other = None if held_out is None else RowSource(file=str(held_out))
    return examine(RowSource(file=str(path)), held_out=other, split=Split())


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def near(row: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(row).replace("?", " now?"))


def test_a_copy_lacks_what_is_wrong_and_keeps_all_else(tmp_path: Path) -> None:
    good = [row | {"id": number, "tags": ["a"]} for number, row in enumerate(clean(30))]
    held_out = write(tmp_path / "held.jsonl", [good[20]])
    rows = [
        *good,
        good[0],
        near(good[1]),
        PLANTED["empty-answers"],
        PLANTED["encoding-damage"] | {"title": "schön".encode().decode("latin-1")},
        PLANTED["control-characters"],
        chat("my key", SECRETS["GitHub"]),
        chat(words(9), f"{words(9)} lost \ufffd letters"),
        {"messages": "none"},
    ]
    path = write(tmp_path / "rows.jsonl", rows)
    before = path.read_bytes()
    target = tmp_path / "clean.jsonl"
    fixed = fix(examined(path, held_out), target)
    assert path.read_bytes() == before
    expected = [row for row in good if row["id"] != 20]
    copy = read(target)
    assert copy[:29] == expected
    assert copy[29]["messages"][1]["content"].endswith(" schön für alle")
    assert copy[29]["title"] == "schön"
    assert copy[30]["messages"][1]["content"].endswith(" red")
    assert len(copy) == fixed.rows_after == 31
    assert fixed.left_out == {
        "rejected-rows": 1,
        "leaks": 1,
        "exact-duplicates": 1,
        "near-duplicates": 1,
        "empty-answers": 1,
        "secrets": 1,
        "encoding-damage": 1,
    }
    assert fixed.mended == {"encoding-damage": 1, "control-characters": 1}
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "clean.jsonl",
        "clean.jsonl.report.json",
        "clean.jsonl.report.md",
        "held.jsonl",
        "rows.jsonl",
    ]
    told = json.loads((tmp_path / "clean.jsonl.report.json").read_text())
    lines = {row["number"]: (row["done"], row["finding"], row["reason"]) for row in told["treated"]}
    assert sorted(lines) == [21, 31, 32, 33, 34, 35, 36, 37, 38]
    assert lines[31] == ("left out", "exact-duplicates", "the same as rows.jsonl, line 1")
    assert lines[32] == ("left out", "near-duplicates", "much like rows.jsonl, line 2")
    assert lines[34][0] == lines[35][0] == "mended"
    for report in ("clean.jsonl.report.json", "clean.jsonl.report.md"):
        text = (tmp_path / report).read_text()
        assert SECRETS["GitHub"][4:] not in text
        assert "\x1b" not in text


def test_mended_rows_that_become_equal_are_left_out_too(tmp_path: Path) -> None:
    rows = [*clean(19), chat("Why is that so?", "Because of it.")]
    with_escape = chat("Why is that so?\x00", "Because of it.")
    emptied = chat("Why?", "\x07")
    fixed = fix(examined(write(tmp_path / "rows.jsonl", [*rows, with_escape, emptied])), tmp_path / "clean.jsonl")
    assert read(tmp_path / "clean.jsonl") == rows
    assert fixed.mended == {}
    assert fixed.left_out["exact-duplicates"] == 1
    assert {row.number for row in fixed.treated} == {21, 22}
    assert fixed.rounds == 2


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 11), min_size=1, max_size=30), st.sets(st.sampled_from(KEEPABLE), max_size=2))
def test_the_doctor_finds_nothing_to_fix_in_a_copy(tmp_path: Path, chosen: list[int], keep: set[str]) -> None:
    good = clean(12)
    bad = [good[0], near(good[1]), near(near(good[1])), *PLANTED.values(), chat("key", SECRETS["Slack"])]
    folder = tmp_path / str(len(list(tmp_path.iterdir())))
    folder.mkdir()
    path = write(folder / "rows.jsonl", [*good, *(bad[number] for number in chosen)])
    fix(examined(path), folder / "clean.jsonl", keep=keep)
    left = examined(folder / "clean.jsonl").report.findings
    assert {finding.name for finding in left if finding.fix} <= keep


def test_what_is_to_be_kept_stays(tmp_path: Path) -> None:
    rows = clean(20)
    rows += [rows[0], PLANTED["control-characters"]]
    fixed = fix(
        examined(write(tmp_path / "rows.jsonl", rows)),
        tmp_path / "clean.jsonl",
        keep=("exact-duplicates", "control-characters"),
    )
    assert read(tmp_path / "clean.jsonl") == rows
    assert fixed.treated == ()


def test_a_table_is_copied_as_lines(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("instruction,output,more\nWhy is it so?,Because.,1\nWhy is it so?,Because.,2\nWho?,You there.,3\n")
    fix(examined(path), tmp_path / "clean.jsonl")
    assert [row["more"] for row in read(tmp_path / "clean.jsonl")] == ["1", "3"]


def test_a_target_that_would_destroy_something_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "rows"
    folder.mkdir()
    path = write(folder / "rows.jsonl", clean(3))
    one, whole = examined(path), examined(folder)
    with pytest.raises(Refusal, match="already"):
        fix(one, path)
    with pytest.raises(Refusal, match="lies in the folder"):
        fix(whole, folder / "clean.jsonl")
    with pytest.raises(Refusal, match=r"\.jsonl at its end"):
        fix(one, tmp_path / "clean.csv")
    with pytest.raises(Refusal, match="no such folder"):
        fix(one, tmp_path / "none" / "clean.jsonl")
    (tmp_path / "clean.jsonl.report.md").write_text("mine")
    with pytest.raises(Refusal, match="already"):
        fix(one, tmp_path / "clean.jsonl")
    with pytest.raises(Refusal, match='did you mean "near-duplicates"'):
        fix(one, tmp_path / "other.jsonl", keep=["near-duplicate"])
    assert (tmp_path / "clean.jsonl.report.md").read_text() == "mine"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["clean.jsonl.report.md", "rows"]


@pytest.mark.parametrize("name", ["clean.jsonl", "clean.jsonl.report.json", "clean.jsonl.report.md"])
def test_what_appears_at_the_target_meanwhile_stays_and_nothing_else_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = write(tmp_path / "rows.jsonl", clean(3))
    real = fixing.look_at

    def look_and_be_overtaken(*asked: Any) -> Any:
        (tmp_path / name).write_text("mine")
        return real(*asked)

    monkeypatch.setattr(fixing, "look_at", look_and_be_overtaken)
    with pytest.raises(Refusal, match="already") as refused:
        fix(examined(path), tmp_path / "clean.jsonl")
    assert name in refused.value.sentence
    assert (tmp_path / name).read_text() == "mine"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [name, "rows.jsonl"]


def test_a_disk_that_is_full_at_the_end_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "rows.jsonl", clean(3))

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(Refusal, match="No space left"):
        fix(examined(path), tmp_path / "clean.jsonl")
    assert [entry.name for entry in tmp_path.iterdir()] == ["rows.jsonl"]


def test_a_copy_without_rows_is_refused_and_nothing_is_left_behind(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", [chat("key", SECRETS["Google"])])
    with pytest.raises(Refusal, match="no row would be left"):
        fix(examined(path), tmp_path / "clean.jsonl")
    assert [entry.name for entry in tmp_path.iterdir()] == ["rows.jsonl"]
