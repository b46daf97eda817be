"""Each process says that it lives, what it is at, and why it ends."""

from __future__ import annotations

import errno
import time
from pathlib import Path
from typing import NoReturn

import pytest

from pegbox_runs.crew import rank_files
from pegbox_runs.crew.rank_files import RankRecord, RankTrouble, read_ranks
from pegbox_runs.run_folder import RunFolder
from pegbox_worker.ranks.beating import Beat
from tests.commands import wait_until

TROUBLE = RankTrouble(kind="error", what="it broke", where="training", remedy="Mend it.")


def said(folder: RunFolder, rank: int = 1) -> RankRecord:
    return read_ranks(folder, 2)[rank]


def test_it_is_there_at_once_and_again_each_second(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    beat = Beat(folder, 2, 1)
    beat.start()
    first = said(folder)
    assert (first.doing, first.step, first.trouble) == ("starting", 0, None)
    wait_until(lambda: said(folder).beat > first.beat)
    beat.end()
    assert said(folder).doing == "ended"


def test_living_is_not_taken_for_advancing(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    beat = Beat(folder, 2, 1)
    beat.start()
    began = said(folder)
    wait_until(lambda: said(folder).beat > began.beat)
    assert said(folder).advanced == began.advanced
    beat.done(5)
    wait_until(lambda: said(folder).step == 5)
    beat.end()
    assert said(folder).advanced > began.advanced


def test_a_trouble_is_there_before_the_next_second_and_stays(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    beat = Beat(folder, 2, 1)
    beat.doing("evaluating")
    beat.fail(TROUBLE)
    assert said(folder).trouble == TROUBLE
    beat.end()
    assert (said(folder).trouble, said(folder).doing) == (TROUBLE, "evaluating")


def test_a_full_disk_does_not_make_a_process_look_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder(tmp_path)
    beat = Beat(folder, 2, 1)
    beat.fail(TROUBLE)
    before = said(folder)

    def full(_: Path) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(rank_files, "begun_aside", full)
    time.sleep(0.01)
    beat.end()
    assert said(folder).beat > before.beat
