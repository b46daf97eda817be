"""Prepared rows: made once, found again by what they are, and never half made."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pegbox_methods.events import Prepared
from pegbox_methods.home import home
from pegbox_methods.recipe import Model, Recipe, Rows, Split, Training
from pegbox_methods.refusal import Refusal
from pegbox_runs.event_log import EventReader
from pegbox_runs.rows import loading
from pegbox_runs.rows.loading import find_rows
from pegbox_worker import prepared
from pegbox_worker.prepared import PreparedRows, prepare
from pegbox_worker.row_care import judge_of
from tests.methods_at_work import run_job


def row(number: int, answer: str = "It is so.") -> dict[str, Any]:
    turns = [
        {"role": "user", "content": f"Question {number}?"},
        {"role": "assistant", "content": f"{number}. {answer}"},
    ]
    return {"messages": turns}


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row(number)) + "\n" for number in range(30)))
    return path


def recipe(path: Path, **changes: Any) -> Recipe:
    made = Recipe(model=Model(name="bundled"), rows=Rows(file=str(path)), training=Training(length=64))
    return msgspec.structs.replace(made, **changes)


@pytest.fixture
def prepare_for(tokenizer: Any) -> Callable[[Recipe], PreparedRows]:
    return lambda asked: prepare(asked, find_rows(asked), tokenizer, set(), judge_of(asked))


def folders() -> list[Path]:
    return sorted(path.parent for path in (home() / "prepared").glob("*/facts.json"))


def test_the_same_rows_are_prepared_once_and_mapped_from_disk(
    rows: Path, prepare_for: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepare_for(recipe(rows))
    monkeypatch.setattr(prepared, "load_rows", lambda *_: pytest.fail("rows are read again"))
    again = prepare_for(recipe(rows))
    assert (first.kept, again.kept) == (False, True)
    assert first.trained.table[:] == again.trained.table[:]
    assert (first.trained.facts, first.held_out.facts) == (again.trained.facts, again.held_out.facts)
    assert again.questions == first.questions
    assert len(again.questions) == len(again.held_out) == 3
    assert [Path(file["filename"]).parent for file in again.trained.table.cache_files] == folders()


def test_rows_that_moved_and_other_methods_find_them_too(rows: Path, prepare_for: Any, tmp_path: Path) -> None:
    prepare_for(recipe(rows))
    moved = rows.rename(tmp_path / "moved.jsonl")
    assert prepare_for(recipe(moved, training=Training(length=64, epochs=9.0, learning_rate=1e-3))).kept


@pytest.mark.parametrize(
    "changes",
    [
        {"training": Training(length=32)},
        {"training": Training(length=64, order="packed")},
        {"split": Split(share=0.3)},
        {"rows.allow": ("untrained-rows",)},
        {"rows.limit": 20},
        {"template": "{% for m in messages %}{{ m.role }}: {{ m.content }}{{ eos_token }}{% endfor %}"},
        {"content": True},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_changes_the_tokens_is_prepared_anew(
    rows: Path, prepare_for: Any, tokenizer: Any, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = recipe(rows)
    prepare_for(asked)
    for key, value in changes.items():
        if key == "template":
            monkeypatch.setattr(tokenizer, "chat_template", value)
        elif key == "content":
            rows.write_text(rows.read_text() + json.dumps(row(99)) + "\n")
        elif key.startswith("rows."):
            asked = msgspec.structs.replace(asked, rows=msgspec.structs.replace(asked.rows, **{key[5:]: value}))
        else:
            asked = msgspec.structs.replace(asked, **{key: value})
    assert not prepare_for(asked).kept
    assert len(folders()) == 2


@pytest.mark.parametrize("harm", ["cut", "gone", "no facts"])
def test_rows_that_are_no_longer_whole_are_prepared_anew(rows: Path, prepare_for: Any, harm: str) -> None:
    before = prepare_for(recipe(rows)).trained.table[:]
    (folder,) = folders()
    if harm == "cut":
        os.truncate(folder / "trained.arrow", 100)
    elif harm == "gone":
        (folder / "held_out.arrow").unlink()
    else:
        (folder / "facts.json").write_text("{")
    again = prepare_for(recipe(rows))
    assert not again.kept
    assert again.trained.table[:] == before


def test_of_several_that_ask_at_once_one_prepares_and_the_others_wait(
    rows: Path, prepare_for: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(*arguments: Any) -> Any:
        time.sleep(0.3)
        return loading.load_rows(*arguments)

    monkeypatch.setattr(prepared, "load_rows", slowly)
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(prepare_for, [recipe(rows)] * 3))
    assert sorted(one.kept for one in found) == [False, True, True]


def test_refused_rows_leave_nothing_behind(rows: Path, prepare_for: Any) -> None:
    with pytest.raises(Refusal, match="nothing"):
        prepare_for(recipe(rows, training=Training(length=8)))
    assert [path.suffix for path in (home() / "prepared").iterdir()] == [".lock"]


def test_the_longest_unused_rows_go_once_they_take_too_much(
    rows: Path, prepare_for: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for length in (40, 48, 56):
        prepare_for(recipe(rows, training=Training(length=length)))
    oldest, *_ = by_age = sorted(folders(), key=lambda folder: (folder / "facts.json").stat().st_mtime)
    for age, folder in enumerate(by_age):
        os.utime(folder / "facts.json", (time.time() - 90_000 + age, time.time() - 90_000 + age))
    size = sum(file.stat().st_size for file in folders()[0].iterdir())
    monkeypatch.setattr(prepared, "KEPT_BYTES", int(3.5 * size))
    prepare_for(recipe(rows))
    assert len(folders()) == 3
    assert oldest not in folders()


def test_the_same_bytes_of_another_kind_of_file_are_other_rows(tmp_path: Path, prepare_for: Any) -> None:
    for suffix in ("jsonl", "json"):
        path = tmp_path / f"rows.{suffix}"
        path.write_text("".join(json.dumps(row(number)) + "\n" for number in range(30)))
        assert not prepare_for(recipe(path)).kept
    assert len(folders()) == 2


def test_what_a_killed_run_left_half_made_goes_and_what_another_makes_now_stays(rows: Path, prepare_for: Any) -> None:
    base = home() / "prepared"
    for name in ("dead", "busy"):
        (base / f"{name}.part").mkdir(parents=True)
    with (base / "busy.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        prepare_for(recipe(rows))
    assert not (base / "dead.part").exists()
    assert (base / "busy.part").exists()


def test_a_run_says_whether_its_rows_were_prepared_before() -> None:
    kept = []
    for method in ("lora", "ia3"):
        folder = run_job(method, max_steps=1)
        kept += [e.rows_kept for block in EventReader(folder.events).new() for e in block if isinstance(e, Prepared)]
    assert kept == [False, True]
