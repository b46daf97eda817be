"""Removing runs: whole or not at all, and never one that somebody carries."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pegbox_methods.events import AnyEvent, Finished
from pegbox_methods.refusal import Refusal
from pegbox_runs import removing
from pegbox_runs.event_log import EventWriter
from pegbox_runs.removing import holdings, remove_run
from pegbox_runs.run_folder import RunFolder, all_runs
from pegbox_runs.supervision.owner import Ownership
from tests.stories import STORY, made, started

DONE = Finished(reason="completed", steps=10, kept_step=3, adapter="adapter", seconds=61.0)


def run_of(*events: AnyEvent) -> RunFolder:
    folder = made()
    writer = EventWriter(folder.events)
    for event in events:
        writer.emit(event)
    writer.close()
    (folder.checkpoints / "checkpoint-2").mkdir()
    (folder.checkpoints / "checkpoint-2" / "weights").write_bytes(bytes(1000))
    return folder


def lost() -> AnyEvent:
    return started(supervisor_mark="another", worker_mark="another")


@pytest.mark.parametrize("story", [[*STORY, DONE], [lost(), *STORY[1:]]], ids=["ended", "lost"])
def test_a_run_that_nobody_carries_goes_whole(home: Path, story: list[AnyEvent]) -> None:
    folder = run_of(*story)
    remove_run(folder)
    assert list((home / "runs").iterdir()) == []


def test_what_goes_is_counted_before() -> None:
    folder = run_of(*STORY, DONE)
    before = holdings(folder)
    assert (before.adapter, before.checkpoints) == (False, 1)
    folder.adapter.mkdir()
    (folder.adapter / "weights").write_bytes(bytes(500))
    after = holdings(folder)
    assert after.adapter
    assert after.bytes == before.bytes + 500 > 1500


def owned(folder: RunFolder) -> Callable[[], None]:
    # A lock is held by an open file, not by a process: one of this process' own keeps it out as another's does.
    return Ownership.take(folder).release


@pytest.mark.parametrize("story", [STORY, [], [*STORY, DONE]], ids=["running", "young", "ending"])
def test_a_run_that_somebody_carries_is_refused_and_stays_as_it_is(story: list[AnyEvent]) -> None:
    folder = run_of(*story)
    release = owned(folder) if story and story[-1] is DONE else None
    before = sorted(folder.path.rglob("*"))
    with pytest.raises(Refusal, match=r"is running already|is just taking"):
        remove_run(folder)
    assert sorted(folder.path.rglob("*")) == before
    assert [run.id for run in all_runs()] == [folder.id]
    if release is not None:
        release()
        remove_run(folder)
        assert all_runs() == []


def test_a_run_that_is_carried_on_another_machine_is_refused() -> None:
    folder = run_of(*STORY)
    folder.owner.write_text('{"host": "far-away", "pid": 1, "process_mark": "m"}\n')
    with pytest.raises(Refusal, match="far-away, and whether that lives can't be seen from here"):
        remove_run(folder)
    assert folder.recipe.exists()


def test_what_is_no_run_is_left_alone(home: Path, tmp_path: Path) -> None:
    mine = home / "runs" / "mine"
    mine.mkdir(parents=True)
    (mine / "thesis.txt").write_text("x")
    with pytest.raises(Refusal, match=r"holds no recipe\.toml"):
        remove_run(RunFolder(mine))
    assert (mine / "thesis.txt").exists()
    folder = run_of(*STORY, DONE)
    elsewhere = folder.path.rename(tmp_path / "elsewhere")
    folder.path.symlink_to(elsewhere)
    with pytest.raises(Refusal, match="is a link to another place"):
        remove_run(folder)
    assert (elsewhere / "recipe.toml").exists()


def test_links_in_a_run_are_removed_and_what_they_lead_to_stays(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "rows.jsonl").write_text("x")
    folder = run_of(*STORY, DONE)
    (folder.path / "link").symlink_to(outside)
    remove_run(folder)
    assert (outside / "rows.jsonl").exists()


def test_a_folder_that_cannot_be_moved_aside_stays_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = run_of(*STORY, DONE)

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(Refusal, match=r"Permission denied\. Nothing of it was touched"):
        remove_run(folder)
    assert sorted(path.name for path in folder.path.iterdir() if path.name != "owner.json") == [
        *("checkpoints", "commands.jsonl", "environment.json", "events.jsonl", "recipe.toml", "worker.log")
    ]
    assert not folder.owner.exists()


def test_what_cannot_be_removed_is_named_and_the_run_is_out_of_the_list_all_the_same(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run_of(*STORY, DONE)
    unlink = os.unlink

    def stubborn(path: Any, **given: Any) -> None:
        if os.fspath(path).endswith("weights"):
            raise PermissionError(errno.EPERM, "Operation not permitted", path)
        unlink(path, **given)

    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", stubborn)
        with pytest.raises(Refusal, match=r"out of the list, but 1,000 bytes .* weights can't be removed \(Operation"):
            remove_run(folder)
    assert all_runs() == []
    (left,) = (home / "runs").iterdir()
    assert left.name.startswith(".removing-")
    remove_run(run_of(*STORY, DONE))
    assert list((home / "runs").iterdir()) == [], "the next removal sweeps what one before left"


def test_a_removal_that_is_cut_off_leaves_nothing_in_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = run_of(*STORY, DONE)

    def cut_off(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", cut_off)
    with pytest.raises(KeyboardInterrupt):
        remove_run(folder)
    assert all_runs() == []


def test_a_full_disk_which_removing_mends_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = run_of(*STORY, DONE)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pegbox_runs.supervision.owner._write", full)
    remove_run(folder)
    assert all_runs() == []


def test_a_folder_that_is_gone_already_is_no_run(home: Path) -> None:
    folder = run_of(*STORY, DONE)
    shutil.rmtree(folder.path)
    with pytest.raises(Refusal, match=r"holds no recipe\.toml"):
        remove_run(folder)
    assert removing.holdings(folder).bytes == 0
