"""Two processes come to what one does: the same rows in each step, the same losses, checkpoints either can take up."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file

from pegbox_methods.recipe import Model
from pegbox_runs.models import find_model
from pegbox_worker.base_model import load_model
from tests.worker.ranks.trials import Found, Trial, read_found, take, written

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[3]
NEAR = 1e-4
LOOK_NEAR = 1e-6
QUICK = {"rank": 4, "alpha": 64, "interval": 2}
KINDS = (Trial("dora", method="dora"), Trial("vera", method="vera"), Trial("p-tuning", method="p-tuning"))
"""Beside plain LoRA: what computes with the base's weights, what saves buffers, and what trains outside the layers."""
ALONE = (
    Trial("grouped"),
    Trial("packed", training={"order": "packed", "length": 40, "accumulation": 2}),
    Trial("trl", ours=False),
    Trial("adalora", method="adalora", settings=QUICK, training={"epochs": 4.0}),
    Trial("qlora", method="qlora"),
)
"""What one process does while the others start; two do the same."""
TOGETHER = (
    *ALONE,
    Trial("dropping", settings={"dropout": 0.3}),
    Trial("dropping on", settings={"dropout": 0.3}, resume="dropping/checkpoints/checkpoint-4"),
    Trial("from one", resume="alone/grouped/checkpoints/checkpoint-4"),
    Trial("full disk", full_disk=True),
    Trial("sharded", engine="fsdp2", answers=True),
    Trial("sharded on", engine="fsdp2", resume="sharded/checkpoints/checkpoint-4"),
    Trial("sharded from one", engine="fsdp2", resume="alone/grouped/checkpoints/checkpoint-4"),
    Trial("sharded to its end", engine="fsdp2", resume="sharded/checkpoints/checkpoint-6"),
    Trial("taken back", engine="fsdp2", training={"learning_rate": 0.1, "schedule": "constant"}),
    Trial("taken back outside", "p-tuning", engine="fsdp2", training={"learning_rate": 0.1, "schedule": "constant"}),
    *(Trial(f"sharded {trial.name}", trial.method, engine="fsdp2") for trial in KINDS),
    Trial("sharded qlora", method="qlora", engine="fsdp2", training={"activation_checkpointing": "on"}),
)


class Results:
    """What one process came to, and what two did, all of them in one start."""

    def __init__(self, place: Path) -> None:
        self.place = place
        written([_placed(trial, place) for trial in TOGETHER], place)
        command = [
            *(sys.executable, "-m", "torch.distributed.run", "--nnodes=1", "--nproc-per-node=2", "--max-restarts=0"),
            *("--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0", "--local-addr=localhost"),
            *("-m", "tests.worker.ranks.trials", str(place)),
        ]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"}
        with subprocess.Popen(command, env=environment, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True) as started:
            try:
                self.alone = {trial.name: take(trial, place / "alone" / trial.name) for trial in (*ALONE, *KINDS)}
                _, said = started.communicate(timeout=400)
            finally:
                started.terminate()
        assert started.returncode == 0, said[-3000:]
        self.two = read_found(place)

    def weights(self, name: str) -> dict[str, torch.Tensor]:
        return load_file(self.place / name / "weights.safetensors")

    def after_one_goes_on(self, name: str) -> Found:
        """Let a single process go on from what two left after step 4."""
        trial = Trial("on", resume=str(self.place / name / "checkpoints/checkpoint-4"))
        return take(trial, self.place / f"one after {name}")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Results]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield Results(tmp_path_factory.mktemp("ranks"))
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", [trial.name for trial in ALONE])
def test_two_processes_have_the_losses_and_the_tokens_of_one(name: str, results: Results) -> None:
    one, two = results.alone[name], results.two[name]
    assert two.engine == "ddp"
    assert one.engine == "single"
    _same(one, two)
    assert {step: tokens for step, (tokens, _) in one.tokens.items()} == {
        step: tokens for step, (tokens, _) in two.tokens.items()
    }
    assert one.looked_at == two.looked_at


def test_dropout_is_another_one_in_each_process_and_goes_on_bit_for_bit(results: Results) -> None:
    whole, rest = results.two["dropping"], results.two["dropping on"]
    assert len(set(whole.drawn)) == 2
    assert rest.steps == {step: loss for step, loss in whole.steps.items() if step > 4}
    assert rest.drawn == whole.drawn
    assert rest.notices == []
    one, other = results.weights("dropping"), results.weights("dropping on")
    assert all(torch.equal(weight, other[name]) for name, weight in one.items())


def test_a_run_goes_on_with_another_number_of_processes_and_says_what_that_changes(results: Results) -> None:
    _same(results.alone["grouped"], results.two["from one"], since=4)
    assert results.two["from one"].notices == ["other-processes"]
    fewer = results.after_one_goes_on("grouped")
    _same(results.alone["grouped"], fewer, since=4)
    assert fewer.notices == ["other-processes"]


def test_a_checkpoint_that_the_disk_refuses_is_no_checkpoint_to_any_process(results: Results) -> None:
    _same(results.alone["grouped"], results.two["full disk"])
    for found in (results.two["full disk"], _other(results, "full disk")):
        assert found.saved_step is None
        assert found.checkpoints == []
        assert "checkpoint-failed" in found.notices
    for found in (results.two["grouped"], _other(results, "grouped")):
        assert found.saved_step == 6
        assert len(found.checkpoints) == 3


@pytest.mark.parametrize("name", ["sharded", "sharded qlora"])
def test_a_sharded_base_lies_half_in_each_process_and_trains_as_a_whole_one(name: str, results: Results) -> None:
    two = results.two[name]
    assert two.engine == "fsdp2"
    own, every = two.held
    assert 0.45 < own / every < 0.55
    _same(results.alone["qlora" if name == "sharded qlora" else "grouped"], two)


def test_a_sharded_runs_checkpoint_is_whole_and_anyone_goes_on_from_it(results: Results) -> None:
    one = results.alone["grouped"]
    _same(one, results.two["sharded on"], since=4)
    _same(one, results.two["sharded from one"], since=4)
    _same(one, results.after_one_goes_on("sharded"), since=4)
    folder = results.place / "sharded/checkpoints/checkpoint-4"
    plain = results.place / "alone/grouped/checkpoints/checkpoint-4"
    assert {path.name for path in folder.iterdir()} == {path.name for path in plain.iterdir()} | {
        "random.1.safetensors"
    }
    for file in ("trained.safetensors", "adapter_model.safetensors", "optimizer.safetensors"):
        mine, other = load_file(folder / file), load_file(plain / file)
        assert {name: held.shape for name, held in mine.items()} == {name: held.shape for name, held in other.items()}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_other_methods_come_to_what_one_process_does_and_leave_its_adapter(kind: Trial, results: Results) -> None:
    _same(results.alone[kind.name], results.two[f"sharded {kind.name}"])
    assert results.two[f"sharded {kind.name}"].engine == "fsdp2"
    mine, other = (
        load_file(results.place / name / "adapter/adapter_model.safetensors")
        for name in (f"sharded {kind.name}", f"alone/{kind.name}")
    )
    assert mine.keys() == other.keys()
    apart = torch.cat([(held - other[name]).flatten() for name, held in mine.items()]).norm()
    assert apart <= 1e-3 * torch.cat([held.flatten() for held in other.values()]).norm()


def test_an_answer_that_ends_sooner_in_one_process_holds_up_no_other(results: Results) -> None:
    leading, other = results.two["sharded"].answered
    assert leading < other


def test_processes_that_find_all_steps_done_still_take_a_part_each(results: Results) -> None:
    two = results.two["sharded to its end"]
    assert (two.steps, two.engine) == ({}, "fsdp2")
    assert two.kept == results.two["sharded"].kept


@pytest.mark.parametrize("name", ["taken back", "taken back outside"])
def test_every_process_takes_its_part_of_the_best_weights_back(name: str, results: Results) -> None:
    two = results.two[name]
    best_step = min(two.looks, key=lambda step: two.looks[step] if step else float("inf"))
    assert 0 < best_step < 6
    assert two.kept == _other(results, name).kept == best_step
    kept, best = results.weights(name), results.place / f"{name}/checkpoints/checkpoint-{best_step}"
    assert all(torch.equal(weight, kept[name]) for name, weight in load_file(best / "trained.safetensors").items())


def test_a_sharded_runs_adapter_is_pefts_own_and_merges(results: Results) -> None:
    found = find_model(Model(name="bundled"))
    ids = torch.arange(20, 60)[None]
    logits: list[Any] = []
    for run in ("sharded", "alone/grouped"):
        tuned = PeftModel.from_pretrained(
            load_model(found, torch.float32, torch.device("cpu")).eval(), str(results.place / run / "adapter")
        )
        merged = tuned.merge_and_unload()  # type: ignore[operator]
        with torch.no_grad():
            logits.append(merged(input_ids=ids).logits)
    assert float((logits[0] - logits[1]).abs().max()) < 1e-3 * float(logits[1].abs().max())


def _same(one: Found, two: Found, *, since: int = 0) -> None:
    expected = {step: loss for step, loss in one.steps.items() if step > since}
    assert expected
    assert two.steps == pytest.approx(expected, rel=NEAR, abs=NEAR)
    looks = {step: loss for step, loss in one.looks.items() if step > since}
    assert {step: loss for step, loss in two.looks.items() if step > since} == pytest.approx(looks, rel=10 * NEAR)
    if not since:
        assert two.looks[0] == pytest.approx(looks[0] if 0 in looks else one.looks[0], rel=LOOK_NEAR)


def _placed(trial: Trial, place: Path) -> Trial:
    return Trial(**{**trial.__dict__, "resume": str(place / trial.resume) if trial.resume else ""})


def _other(results: Results, name: str) -> Found:
    """What the process that doesn't lead says."""
    return msgspec.json.decode((results.place / f"{name}.other.json").read_bytes(), type=Found)
