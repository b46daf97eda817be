"""One of two processes that train together, started by torchrun with the folder of the order."""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from datetime import timedelta
from pathlib import Path

import msgspec
import torch
from safetensors.torch import save_file

from pegbox_methods.registry import find_card
from pegbox_methods.torch_half import load_torch_half
from pegbox_worker.certify.bench import Bench, open_bench
from pegbox_worker.certify.case import Case
from pegbox_worker.certify.pair import Order, PairFolder, Trial
from pegbox_worker.certify.tensors import copied
from pegbox_worker.certify.training import Pace, train
from pegbox_worker.certify.verdict import sentence_of
from pegbox_worker.checkpoint import trained_weights

WATCH_SECONDS = 2.0
LONGEST_WAIT = timedelta(seconds=60)
"""For the other process; one that failed never comes."""


def main() -> None:
    """Take every turn of the order, and end at once where one fails: the other process can't go on alone."""
    folder = PairFolder(Path(sys.argv[1]))
    order = msgspec.json.decode(folder.order.read_bytes(), type=Order)
    threading.Thread(target=_end_with, args=(order.asker, os.getppid()), daemon=True).start()
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", timeout=LONGEST_WAIT)
    rank = torch.distributed.get_rank()
    bench = open_bench()
    for turn, trial in enumerate(order.trials):
        try:
            _take(trial, turn, rank, bench, folder)
        except Exception as error:  # noqa: BLE001  # every end is told
            traceback.print_exc()
            folder.fault(turn, rank).write_text(sentence_of(error), encoding="utf-8")
            sys.stderr.flush()
            os._exit(1)
    sys.stderr.flush()
    os._exit(0)  # no library's tear-down may hang after the last turn


def _take(trial: Trial, turn: int, rank: int, bench: Bench, folder: PairFolder) -> None:
    """Attach as a single process would, train together, and write what came of it."""
    place = folder.run(turn, rank)
    place.mkdir()
    card = find_card(trial.recipe.method.name)
    case = Case(card, load_torch_half(card), bench, place)
    attached = case.attach(trial.recipe)
    train(
        bench,
        trial.recipe,
        attached,
        place,
        Pace(stop_after=trial.stop_after),
        shared=True,
        find_unused=trial.find_unused,
    )
    aside = place / "weights"
    save_file({name: weight.contiguous() for name, weight in copied(trained_weights(attached.model)).items()}, aside)
    aside.rename(folder.weights(turn, rank))


def _end_with(asker: int, launcher: int) -> None:
    """End this process once the kit or torchrun is gone: neither could end it then."""
    while os.getppid() == launcher:
        time.sleep(WATCH_SECONDS)
        try:
            os.kill(asker, 0)
        except ProcessLookupError:
            break
    os._exit(1)


if __name__ == "__main__":
    main()
