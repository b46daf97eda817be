"""What a run writes to disk: the sum where one disk takes it all, and a download as it is published."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pegbox_hardware.disk import Disk
from pegbox_methods.recipe import Model, Recipe, Rows
from pegbox_runs import disk_need as module
from pegbox_runs.catalogue import catalogue
from pegbox_runs.disk_need import DiskNeed, disk_need
from pegbox_runs.models import by_catalogue

NEED: dict[str, Any] = {"download": 15, "checkpoint": 2, "checkpoints": 3, "adapter": 1}


@pytest.mark.parametrize(
    ("run_free", "model_free", "one_disk", "lacking"),
    [
        (20, 20, False, 0),
        (20, 20, True, 2),
        (22, 22, True, 0),
        (5, 20, False, 2),
        (20, 5, False, 10),
        (None, None, True, 0),
        (None, 20, True, 2),
        (None, None, False, 0),
    ],
)
def test_run_and_model_share_what_is_free_on_one_disk(
    run_free: int | None, model_free: int | None, one_disk: bool, lacking: int
) -> None:
    need = DiskNeed(**NEED, run_free=run_free, model_free=model_free, one_disk=one_disk)
    assert need.lacking == lacking


def test_it_is_seen_whether_one_disk_takes_both_and_the_download_is_the_published_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "not" / "made" / "yet"))
    monkeypatch.setenv("PEGBOX_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(
        module, "read_disk", lambda what, path: Disk(what=what, path=str(path), total=9, free=8, writable=True)
    )
    known = next(model for model in catalogue() if model.stores_tied_head)
    named = Model(name=known.id)
    model = by_catalogue(named)
    assert model is not None
    need = disk_need(Recipe(model=named, rows=Rows(file="/rows.jsonl")), model, 1000)
    assert need.one_disk
    assert need.download == known.download_bytes
    assert (need.run_free, need.model_free) == (8, 8)
    assert not need.model_gone
    mine = disk_need(Recipe(model=named, rows=Rows(file="/rows.jsonl")), replace(model, from_hub=False), 1000)
    assert (mine.download, mine.model_gone) == (0, True), "a folder of one's own can't be downloaded"
    monkeypatch.setenv("HF_HUB_CACHE", "/dev")
    assert not disk_need(Recipe(model=named, rows=Rows(file="/rows.jsonl")), model, 1000).one_disk
