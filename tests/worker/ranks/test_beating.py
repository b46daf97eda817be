"""Each process says that it lives, what it is at, and why it ends."""

from __future__ import annotations

import errno
import time
from pathlib import Path
from typing import NoReturn, cast

import pytest
import torch
from peft import LoraConfig, get_peft_model

from pegbox_runs.crew import rank_files
from pegbox_runs.crew.rank_files import RankRecord, RankTrouble, read_ranks
from pegbox_runs.run_folder import RunFolder
from pegbox_worker.heard import Heard
from pegbox_worker.ranks.beating import Beat
from pegbox_worker.ranks.pulse import tell_passes
from pegbox_worker.ranks.silent import SilentWriter
from pegbox_worker.reporter import Reporter
from tests.commands import wait_until
from tests.worker.tiny_runs import tiny_model

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


def test_each_pass_of_a_model_and_each_token_of_an_answer_is_a_sign_of_getting_on(tmp_path: Path) -> None:
    beat = Beat(RunFolder(tmp_path), 2, 1)
    model = get_peft_model(tiny_model(), LoraConfig(r=2))
    tell_passes(model, beat)
    ids = torch.tensor([[1, 2, 3]])
    signs = []
    beat.advance = lambda: signs.append(1)  # type: ignore[method-assign]
    model(input_ids=ids).logits.sum().backward()
    layers = model.config.num_hidden_layers
    assert len(signs) == layers
    signs.clear()
    model.generate(input_ids=ids, max_new_tokens=4, min_new_tokens=4, do_sample=False)
    assert len(signs) == 4 * layers


def test_a_checkpoint_has_the_time_of_saving(tmp_path: Path) -> None:
    beat = Beat(RunFolder(tmp_path), 2, 1)
    reporter = Reporter(SilentWriter(), cast(Heard, None), torch.device("cpu"), beat=beat)
    beat.doing("training")
    with reporter.saving():
        assert beat.at == "saving"
    assert beat.at == "training"


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
