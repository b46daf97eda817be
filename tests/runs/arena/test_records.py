"""What is written of a comparison on its way is worth no training."""

from __future__ import annotations

import errno
import os

import pytest

from pegbox_methods.events import Notice
from pegbox_runs.arena.directing import records
from pegbox_runs.arena.directing.records import Records
from pegbox_runs.arena.results import Results, read_results
from tests.runs.arena.directed import made


def full(*_: object) -> Results:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def found() -> Results:
    return Results(
        comparison="c",
        complete=False,
        made=1.0,
        version="0",
        machine="m",
        model="bundled",
        rows_file="rows.jsonl",
        seeds=(1,),
        effective_batch=1,
        length=8,
        search=False,
        contestants=(),
    )


def test_results_that_cannot_be_written_are_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    folder, told = made(), list[Notice]()
    kept = Records(folder, told.append)
    monkeypatch.setattr(records, "write_results", full)
    for _ in range(3):
        kept.keep(found, report=True)
    assert [notice.about for notice in told] == ["results"]
    assert "results.json" in told[0].text
    assert "No space left" in told[0].text
    assert not folder.results.exists()


def test_results_that_cannot_be_made_are_told_once_and_a_report_that_cannot_be_written_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, told = made(), list[Notice]()
    kept = Records(folder, told.append)
    monkeypatch.setattr(records, "_write_report", full)
    for _ in range(2):
        kept.keep(full, report=True)
        kept.keep(found, report=True)
        kept.keep(found, report=False)
    assert ["the report" in notice.text for notice in told] == [False, True]
    assert read_results(folder) == found()
