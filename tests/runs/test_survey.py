"""The one pass over a source: the same numbers whatever the processes and portions, and rows that can be read again."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pegbox_methods.recipe import RowSource
from pegbox_methods.refusal import Refusal
from pegbox_runs.rows.example import Conversation, Message
from pegbox_runs.rows.place import RawRow
from pegbox_runs.rows.reading import read_source
from pegbox_runs.rows.source import find_source
from pegbox_runs.rows.survey import part as part_module
from pegbox_runs.rows.survey import surveying
from pegbox_runs.rows.survey import workforce as hiring
from pegbox_runs.rows.survey.shingles import band_keys, chance_of_finding, shingled
from pegbox_runs.rows.survey.survey import Survey
from pegbox_runs.rows.survey.surveying import survey
from tests.bench.made_up_rows import rows as made_up_rows


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def look(path: Path, **wanted: Any) -> Survey:
    asked = RowSource(file=str(path), limit=wanted.pop("limit", None))
    return survey(find_source(asked), asked=asked, **{"checks": True, **wanted})


def asking(number: int) -> dict[str, Any]:
    return {"instruction": f"What is {number}?", "output": f"It is {number}.", "author": f"a{number % 3}"}


def numbers_of(found: Survey) -> dict[str, Any]:
    checks = found.checks
    return {
        "key": found.key.tolist(),
        "number": found.number.tolist(),
        "letters": found.letters.tolist(),
        "group": None if found.group is None else found.group.tolist(),
        "stratum": None if found.stratum is None else found.stratum.tolist(),
        "flags": checks.flags.tolist(),
        "asked": checks.asked.tolist(),
        "bands": [band.tolist() for band in checks.bands],
        "rejected": found.rejected,
        "rejected_count": found.rejected_count,
        "places": [found.place(index) for index in range(len(found))],
    }


@pytest.mark.parametrize(("processes", "part_bytes"), [(1, 10**9), (1, 777), (2, 20_000)])
def test_neither_processes_nor_portions_change_a_number(tmp_path: Path, processes: int, part_bytes: int) -> None:
    rows = [row | {"author": kind} for kind, row in made_up_rows(700)]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    lines[5] = "{broken"
    lines[300] += "\r"
    lines.insert(400, "")
    del rows[5]
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one.jsonl").write_text("\n".join(lines), encoding="utf-8")
    write(tmp_path / "a" / "two.jsonl", [asking(number) for number in range(50)])
    path = tmp_path / "a"
    plain = numbers_of(look(path, by="author", stratify="author", processes=1))
    assert len(plain["number"]) + plain["rejected_count"] == 750
    other = numbers_of(look(path, by="author", stratify="author", processes=processes, part_bytes=part_bytes))
    assert other == plain
    assert plain["places"][-1] == ("two.jsonl", 50, "line")
    assert plain["rejected"][0].where == "one.jsonl, line 6"


def test_a_row_is_read_again_where_its_place_says(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", [asking(number) for number in range(200)])
    found = look(path, part_bytes=500)
    place, example = found.row(150)
    assert str(place) == "rows.jsonl, line 151"
    assert example == Conversation((Message("user", "What is 150?"), Message("assistant", "It is 150.")))
    again = [(index, str(raw.place)) for index, raw, _ in found.rows([7, 199, 7, 0])]
    assert again == [(0, "rows.jsonl, line 1"), (7, "rows.jsonl, line 8"), (199, "rows.jsonl, line 200")]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from([" ", "\n", "\r\n", "\n\n", ""]), min_size=6, max_size=20), st.booleans())
def test_rows_of_a_list_are_read_again_whatever_its_layout(
    tmp_path_factory: pytest.TempPathFactory, gaps: list[str], inside: bool
) -> None:
    gap = iter(gaps * 4)
    rows = [f'{next(gap)}{{{next(gap)}"text":{next(gap)}"row {row}"}}{next(gap)}' for row in range(5)]
    listed = f"[{','.join(rows)}]{next(gap)}"
    path = tmp_path_factory.mktemp("layout") / "rows.json"
    path.write_bytes((f'{{"data":{listed}}}{next(gap)}' if inside else listed).encode())
    first = [row for row in read_source(find_source(RowSource(file=str(path)))) if isinstance(row, RawRow)]
    found = look(path, processes=1)
    assert [raw for _, raw, _ in found.rows(range(len(found)))] == first
    assert len(first) == 5


def test_rows_that_share_a_number_are_refused_as_none_could_be_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "rows.jsonl", [asking(number) for number in range(5)])

    class Same:
        lines = 5

        def __init__(self, part: Any) -> None:
            self.rows = [row._replace(place=row.place._replace(number=1)) for row in real(part)]

        def __iter__(self) -> Any:
            return iter(self.rows)

    real = part_module.read_part
    monkeypatch.setattr(part_module, "read_part", Same)
    with pytest.raises(Refusal, match="share a number"):
        look(path)


def test_a_sample_of_huge_rows_is_short_and_never_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surveying, "SAMPLE_LETTERS", 10_000)
    huge = [{"text": "a" * 4000, "more": [{"b": "c" * 300}] * 10} for _ in range(9)]
    source = find_source(RowSource(file=str(write(tmp_path / "rows.jsonl", huge))))
    assert len(surveying._sample(source)) == 2
    monkeypatch.setattr(surveying, "SAMPLE_LETTERS", 10)
    assert len(surveying._sample(source)) == 1


@pytest.mark.parametrize("asked", ["by", "stratify"])
def test_a_column_that_no_row_has_is_refused_once(tmp_path: Path, asked: str) -> None:
    path = write(tmp_path / "rows.jsonl", [asking(number) for number in range(50)])
    with pytest.raises(Refusal) as refused:
        look(path, **{asked: "autor"})
    assert refused.value.sentence == (
        f'{path}: no row has a column "autor" to split by; the columns are instruction, output, author; '
        'did you mean "author"?'
    )
    with pytest.raises(Refusal, match=r"\\x1b.*the columns are instruction, output, author\.$"):
        look(path, **{asked: "\x1bzz"})


def test_keys_of_rejected_rows_are_kept_short(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", [asking(1), {"k" * 10_000: 1} | {str(number): 1 for number in range(99)}])
    (rejected,) = look(path).rejected
    assert len(rejected.keys) == 30
    assert rejected.keys[0] == "k" * 60


@pytest.mark.parametrize("after", [[asking(1)] * 5, [asking(0)]])
def test_a_file_that_changed_meanwhile_is_told(tmp_path: Path, after: list[Any]) -> None:
    path = write(tmp_path / "rows.jsonl", [asking(number) for number in range(5)])
    found = look(path)
    write(path, after)
    with pytest.raises(Refusal, match="changed"):
        found.row(3)


@pytest.mark.parametrize("limit", [1, 3, 4, 17, 50])
def test_a_limit_counts_rows_from_the_top_bad_ones_too(tmp_path: Path, limit: int) -> None:
    rows = [asking(number) for number in range(40)]
    rows[2] = {"instruction": "What?"}
    path = write(tmp_path / "rows.jsonl", rows)
    for part_bytes in (10**9, 150):
        found = look(path, limit=limit, part_bytes=part_bytes)
        assert len(found) + found.rejected_count == min(limit, 40)
        assert found.rejected_count == (limit > 2)


def test_rows_without_the_column_that_they_are_split_by_are_rejected(tmp_path: Path) -> None:
    rows = [asking(0), asking(1) | {"author": None}, asking(2), {"instruction": "Who?", "output": "You."}]
    found = look(write(tmp_path / "rows.jsonl", rows), by="author")
    assert [row.number for row in found.rejected] == [2, 4]
    assert 'no "author"' in found.rejected[0].reason
    assert found.group is not None
    assert len(found.group) == 2


def test_the_same_rows_have_the_same_keys_in_every_kind_of_file(tmp_path: Path) -> None:
    rows = [asking(number) for number in range(20)]
    lines = look(write(tmp_path / "rows.jsonl", rows))
    with (tmp_path / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    assert np.array_equal(look(tmp_path / "rows.csv").key, lines.key)
    assert len(set(lines.hashes.tolist())) == 20


def test_a_survey_for_a_run_looks_for_nothing(tmp_path: Path) -> None:
    found = look(write(tmp_path / "rows.jsonl", [asking(1), asking(2)]), checks=False)
    assert found.checked is None
    assert len(found) == 2
    assert found.conversational


def test_a_source_without_any_good_row_is_refused_with_the_first_reasons(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("{\n[bold]\x1b[31m\n", encoding="utf-8")
    with pytest.raises(Refusal, match="line 1") as refused:
        look(path)
    assert "\x1b" not in refused.value.sentence


def with_helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    helper = tmp_path / "helper"
    helper.write_text(f"#!/bin/sh\n{script}\n")
    helper.chmod(0o755)
    monkeypatch.setattr(hiring.sys, "executable", str(helper))


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'no such [red]module\x1b' >&2; exit 3", "ended with 3: no such"),
        ("kill -9 $$", "killed"),
        ("printf '\\0\\0\\0\\0\\0\\0\\0\\003abc'; exec sleep 60", "something else"),
    ],
)
def test_a_process_that_dies_or_answers_nonsense_ends_the_survey_with_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    path = write(tmp_path / "rows.jsonl", [asking(number) for number in range(50)])
    with_helper(tmp_path, monkeypatch, script)
    with pytest.raises(Refusal, match=said) as refused:
        look(path, processes=2, part_bytes=500)
    assert "\x1b" not in refused.value.sentence


def test_a_helping_process_ends_when_nobody_asks_any_more() -> None:
    helper = subprocess.Popen(
        [sys.executable, "-P", "-m", "pegbox_runs.rows.survey"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert helper.communicate(timeout=30) == (b"", None)
    assert helper.returncode == 0


def test_no_process_is_left_behind(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", [asking(number) for number in range(500)])

    class Enough(Exception):
        pass

    def stop(_: float) -> None:
        raise Enough

    with pytest.raises(Enough):
        look(path, processes=2, part_bytes=2000, progress=stop)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_pairs_as_alike_as_the_threshold_share_a_key_as_often_as_is_said() -> None:
    assert chance_of_finding(0.8) >= 0.95
    found = []
    for number in range(400):
        words = [f"w{number}-{place}" for place in range(62)]
        other = words[:2] + words[3:]  # 57 of 63 shingles are the same
        pair = [" ".join(words), " ".join(other)]
        keys = band_keys(pair)
        found.append(bool((keys[:, 0] == keys[:, 1]).any()))
    assert np.mean(found) > 0.99


def test_letters_stand_for_words_where_a_language_has_no_spaces() -> None:
    text = "机器学习是人工智能的一个分支它使计算机能够从数据中学习规律"
    hashes, begins = shingled([text, text[:-1], "a b", ""])
    assert np.diff(begins.astype(int)).tolist() == [len(text) - 2, len(text) - 3, 1, 1]
    assert len(hashes) == begins[-1]
