"""The check with two processes: all methods take their turn in one start of torchrun."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch
from safetensors.torch import load_file

from pegbox_methods.recipe import Recipe
from pegbox_runs.printable import one_line
from pegbox_worker.certify.case import Case
from pegbox_worker.certify.pair import RANKS, Order, PairFolder, Trial
from pegbox_worker.certify.tensors import Tensors, copied, differing
from pegbox_worker.certify.training import Pace, train
from pegbox_worker.certify.trials import refused, without_dropout
from pegbox_worker.certify.verdict import LONGEST_SENTENCE, Shortfall, Verdict, passed, sentence_of, some
from pegbox_worker.checkpoint import trained_weights

PAIR_STEPS = 2
"""By then every weight has had a gradient, and all have taken one from the other process."""
NEAR = 0.05
"""Largest distance from a single process' change, relative to that change: gradients are added in another order, and
Adam makes whole steps of gradients that are nearly zero."""
START_SECONDS = 180.0
"""Until the first turn begins: a dozen seconds, on a busy machine a minute."""
PATIENCE_SECONDS = 180.0
"""From then on, without any news."""
POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Alone:
    """What one process makes of the same rows."""

    trial: Trial
    before: Tensors
    after: Tensors


def processes(cases: Sequence[Case], scratch: Path) -> dict[str, Verdict]:
    """Try all methods with two processes. Returns: a verdict by method."""
    verdicts: dict[str, Verdict] = {}
    alone: dict[str, Alone] = {}
    for case in cases:
        try:
            if "processes" in case.card.cannot:
                verdicts[case.card.name] = refused(case, "processes", case.recipe(case.steps), processes=RANKS)
            else:
                alone[case.card.name] = _alone(case)
        except Exception as error:  # noqa: BLE001  # one method's fault is its own
            verdicts[case.card.name] = Verdict("failed", sentence_of(error))
        case.forget()  # or the models of all methods would be held at once
    found = _together({name: one.trial for name, one in alone.items()}, scratch)
    for name, one in alone.items():
        try:
            verdicts[name] = _compared(one, found[name])
        except Shortfall as shortfall:
            verdicts[name] = Verdict("failed", sentence_of(shortfall))
    return verdicts


def _alone(case: Case) -> Alone:
    """Train in this process, with as many rows in a step as the two will have together."""
    settings = without_dropout(case)
    recipe = case.recipe(case.steps, settings)
    attached = case.attach(recipe)
    pace = Pace(stop_after=PAIR_STEPS)
    run = train(case.bench, _accumulating(recipe), attached, case.folder(), pace, shared=True)
    used = all(run.watch.before.keys() == gradients.keys() for gradients in run.watch.gradients)
    trial = Trial(recipe=recipe, stop_after=PAIR_STEPS, find_unused=not used)
    return Alone(trial, run.watch.before, copied(trained_weights(attached.model)))


def _accumulating(recipe: Recipe) -> Recipe:
    training = msgspec.structs.replace(recipe.training, accumulation=RANKS)
    return msgspec.structs.replace(recipe, training=training)


def _compared(alone: Alone, found: Sequence[Path] | str) -> Verdict:
    """Hold both processes' weights against each other, and against one process' change. Raises: Shortfall."""
    if isinstance(found, str):
        raise Shortfall(found)
    one, other = (load_file(file) for file in found)
    apart = differing(one, other)
    if apart or one.keys() != other.keys():
        raise Shortfall(f"the two processes end with other weights: {some(apart)}")
    if one.keys() != alone.after.keys():
        raise Shortfall("two processes train other tensors than one does")
    if not differing(alone.before, one):
        raise Shortfall("the two processes changed nothing")
    gap = _length(one, alone.after) / max(_length(alone.before, alone.after), torch.finfo(torch.float32).tiny)
    if not gap <= NEAR:
        raise Shortfall(f"their change is {100 * gap:.0f} % away from what one process makes of the same rows")
    near = "exactly" if gap == 0 else f"within {100 * gap:.1g} % of"
    return passed(f"{PAIR_STEPS} steps; {near} what one process makes of the same rows")


def _length(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> float:
    """Give the Euclidean distance of two sets of tensors."""
    return float(sum((one[name].double() - other[name].double()).square().sum() for name in one) ** 0.5)


def _together(trials: Mapping[str, Trial], scratch: Path) -> dict[str, Sequence[Path] | str]:
    """Let two processes take all turns; after a turn that fails, start them anew for what is left.

    Returns: by method the files with each process' trained weights, or what went wrong.
    """
    found: dict[str, Sequence[Path] | str] = {}
    left = list(trials)
    for number in range(len(trials)):
        if not left:
            break
        folder = PairFolder(scratch / f"pair-{number}")
        folder.path.mkdir(parents=True)
        order = Order(trials=tuple(trials[name] for name in left), asker=os.getpid())
        folder.order.write_bytes(msgspec.json.encode(order))
        ended = _launch(folder)
        whole = {name: files for turn, name in enumerate(left) if (files := _files(folder, turn))}
        found |= whole
        turn, left = len(whole), left[len(whole) :]
        if left:
            found[left[0]] = _fault(folder, turn) or ended or _last_line(folder)
            begun = any(folder.run(turn, rank).exists() for rank in range(RANKS))
            if not begun:  # it wasn't the method's fault, and would be the same again
                found |= dict.fromkeys(left, found[left[0]])
                break
            left = left[1:]
    return found


def _launch(folder: PairFolder) -> str | None:
    """Start both processes and wait while there is news of them. Returns: why they were ended; None: they ended."""
    with folder.log.open("wb") as log:
        started = subprocess.Popen(
            _command(folder), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=_environment(), cwd="/"
        )
        patience, deadline = START_SECONDS, time.monotonic() + START_SECONDS
        seen = sum(1 for _ in folder.path.iterdir())
        try:
            while started.poll() is None:
                now = sum(1 for _ in folder.path.iterdir())
                if now != seen:
                    seen, patience = now, PATIENCE_SECONDS
                    deadline = time.monotonic() + patience
                if time.monotonic() > deadline:
                    return f"two processes gave no news for {patience:g} s and were ended"
                time.sleep(POLL_SECONDS)
        finally:
            _end(started)
    return None


def _command(folder: PairFolder) -> list[str]:
    """Give torchrun's command line: a free port of this machine, nothing of the network."""
    return [
        *(sys.executable, "-P", "-m", "torch.distributed.run", "--nnodes=1", f"--nproc-per-node={RANKS}"),
        *("--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0", "--local-addr=localhost", "--max-restarts=0"),
        *("-m", "pegbox_worker.certify.two_processes", str(folder.path)),
    ]


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "HIP_VISIBLE_DEVICES": ""}


def _end(started: subprocess.Popen[bytes]) -> None:
    """End torchrun, which ends both processes; they look for it too."""
    if started.poll() is None:
        started.terminate()
        with suppress(subprocess.TimeoutExpired):
            started.wait(10)
        started.kill()
    started.wait()


def _files(folder: PairFolder, turn: int) -> list[Path]:
    """Give both processes' weights; empty where one of them is missing."""
    files = [folder.weights(turn, rank) for rank in range(RANKS)]
    return files if all(file.is_file() for file in files) else []


def _fault(folder: PairFolder, turn: int) -> str | None:
    """Give the first process' reason: the other one may only have lost its partner."""
    faults = [file for rank in range(RANKS) if (file := folder.fault(turn, rank)).is_file()]
    return min(faults, key=lambda file: file.stat().st_mtime_ns).read_text(encoding="utf-8") if faults else None


def _last_line(folder: PairFolder) -> str:
    """Say what was printed last, of whichever process."""
    lines = folder.log.read_text(encoding="utf-8", errors="replace").splitlines()
    worded = (line for line in reversed(lines) if any(map(str.isalpha, line)))  # torchrun closes with a rule
    said = next(worded, "nothing was printed").strip().removeprefix("traceback : ")
    return one_line(f"two processes ended without a result: {said}", LONGEST_SENTENCE)
