"""AdaLoRA as it was meant: ranks really move, the regulariser really counts, and what comes back is what was kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import AdaLoraConfig, get_peft_model
from peft.tuners.adalora import AdaLoraModel
from safetensors.torch import load_file

from pegbox_methods.events import Evaluation, Finished, Ranks, Step, WorkerFailed
from pegbox_methods.refusal import Refusal
from pegbox_methods.registry import find_card
from pegbox_methods.torch_half import load_torch_half
from pegbox_methods.zoo.adalora.half_torch import kept_ranks
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_state import fold
from pegbox_worker.base_model import load_model
from pegbox_worker.checkpoint import trained_weights
from tests.commands import events_of
from tests.methods_at_work import CPU, FOUND, IDS, attach, logits, one_thread, plain_base, recipe, run_job, trainer_for

HALF = load_torch_half(find_card("adalora"))
MATRICES = 4 * 7
VALUES = "base_model.model.model.layers.0.self_attn.q_proj.lora_E.default"


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


def only(folder: RunFolder, kind: type) -> Any:
    (event,) = (event for event in events_of(folder) if isinstance(event, kind))
    return event


def ranks(folder: Path) -> list[int]:
    """The ranks of a saved adapter, matrix by matrix."""
    return [len(w) for name, w in load_file(folder / "adapter_model.safetensors").items() if name.endswith("lora_E")]


def test_the_budget_moves_to_the_matrices_that_need_it_and_only_those_ranks_are_saved() -> None:
    folder = run_job("adalora", settings={"rank": 4, "surplus": 2.0})
    assert only(folder, Finished).kept_step == 8
    kept = ranks(folder.adapter)
    assert len(kept) == MATRICES
    assert sum(kept) == 4 * MATRICES
    assert min(kept) < 4 < max(kept)
    pattern = json.loads((folder.adapter / "adapter_config.json").read_text())["rank_pattern"]
    assert sum(sum(used) for used in pattern.values()) == sum(kept)


def test_a_checkpoint_from_before_the_last_cut_can_be_the_one_that_is_kept() -> None:
    folder = run_job("adalora", settings={"interval": 1}, every=1, learning_rate=0.1, schedule="constant", warmup=0.0)
    finished = only(folder, Finished)
    assert finished.kept_step < 6, "the rate was to be so high that later checkpoints are worse"
    looks = {event.step: event.loss for event in events_of(folder) if isinstance(event, Evaluation)}
    assert looks[finished.kept_step] == min(loss for step, loss in looks.items() if step)
    assert sum(ranks(folder.adapter)) > 4 * MATRICES


def test_a_rank_of_zero_comes_back_as_the_same_logits(tmp_path: Path) -> None:
    attached = attach("adalora", rank=2)
    torch.manual_seed(1)
    for name, weight in attached.model.named_parameters():
        if "lora_E" in name:
            weight.data.normal_()
            weight.data[0] = 0
        if "layers.1" in name and "q_proj.lora_E" in name:
            weight.data.zero_()
    HALF.save(attached, tmp_path)
    assert sorted(ranks(tmp_path))[:2] == [0, 2]
    loaded = HALF.load(plain_base(), tmp_path)
    torch.testing.assert_close(logits(loaded), logits(attached.model))
    torch.testing.assert_close(logits(HALF.merge(loaded)), logits(attached.model), rtol=1e-4, atol=1e-4)


def test_a_resumed_run_cuts_the_same_ranks_and_ends_with_the_same_weights(tmp_path: Path) -> None:
    whole, resumed = (trainer_for("adalora", tmp_path / name, steps=10, interval=2) for name in ("whole", "resumed"))
    whole.train()
    assert int((whole.model.state_dict()[VALUES] == 0).sum()) > 0
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-6"))  # after the first cuts
    kept = trained_weights(whole.model)
    assert kept
    for name, weight in trained_weights(resumed.model).items():
        assert torch.equal(weight, kept[name]), name


@pytest.mark.parametrize(
    ("done", "shorter", "refused"), [(4, 5, True), (6, 7, True), (6, 6, True), (2, 6, False), (10, 8, False)]
)
def test_a_run_whose_last_cut_a_shorter_plan_puts_behind_it_is_refused(
    done: int, shorter: int, refused: bool, tmp_path: Path
) -> None:
    long = trainer_for("adalora", tmp_path / "long", steps=10, interval=2)
    long.train()
    short = trainer_for("adalora", tmp_path / "short", steps=shorter, interval=2)
    checkpoint = str(tmp_path / "long" / f"checkpoint-{done}")
    if not refused:
        short.train(resume_from_checkpoint=checkpoint)
        return
    with pytest.raises(Refusal, match="was to take its last ranks after step") as caught:
        short.train(resume_from_checkpoint=checkpoint)
    assert f"the run has done {done} steps by a longer plan" in caught.value.sentence


def test_each_move_of_the_budget_is_told_with_the_rank_of_every_matrix() -> None:
    folder = run_job("adalora", settings={"rank": 4, "surplus": 2.0})
    told = [event for event in events_of(folder) if isinstance(event, Ranks)]
    assert [event.step for event in told] == [4, 6]
    assert {event.before for event in told} == {8 * MATRICES}
    assert all(len(event.ranks) == MATRICES for event in told)
    assert "model.layers.0.self_attn.q_proj" in told[0].ranks
    assert sum(told[0].ranks.values()) > sum(told[1].ranks.values()) == 4 * MATRICES
    state = fold(events_of(folder))
    assert state.ranks == told[-1]


def test_on_a_base_in_16_bits_the_divisor_of_the_ranks_stays_as_it_is() -> None:
    base = load_model(FOUND, torch.bfloat16, CPU)
    tuned = HALF.attach(base, recipe("adalora")).model
    assert trained_weights(tuned).keys() == trained_weights(attach("adalora").model).keys()


def test_an_untrained_adapter_keeps_all_its_ranks() -> None:
    assert kept_ranks(attach("adalora").model) is None


def test_a_run_whose_ranks_never_moved_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AdaLoraModel, "update_and_allocate", lambda self, step: None)
    folder = run_job("adalora")
    failed = only(folder, WorkerFailed)
    assert f"AdaLoRA was to bring {6 * MATRICES} ranks down to {4 * MATRICES} by step 6" in failed.what
    assert f"{6 * MATRICES} are left" in failed.what
    assert not folder.adapter.exists()


def test_a_run_too_short_for_its_schedule_is_refused_with_the_steps_it_takes() -> None:
    folder = run_job("adalora", settings={"interval": 10})
    assert "this run takes 8 steps, and AdaLoRA's schedule needs at least 20" in only(folder, WorkerFailed).what


def test_the_schedule_divides_the_steps_counted_from_the_rows() -> None:
    folder = run_job("adalora", max_steps=None, epochs=1.0)
    assert not [event for event in events_of(folder) if isinstance(event, WorkerFailed)]
    config = json.loads((folder.adapter / "adapter_config.json").read_text())
    assert config["total_step"] == only(folder, Finished).steps > 8


def test_the_regulariser_is_pefts_and_stays_out_of_the_models_own_loss() -> None:
    ours = attach("adalora", rank=4, orthogonality=0.5)
    assert ours.added_loss is not None
    config = AdaLoraConfig(
        task_type="CAUSAL_LM",
        init_r=6,
        target_r=4,
        lora_alpha=32,
        target_modules="all-linear",
        total_step=10,
        orth_reg_weight=0.5,
    )
    theirs = get_peft_model(plain_base(), config)
    theirs.load_state_dict(ours.model.state_dict())
    with torch.no_grad():
        plain, raised = (model.eval()(input_ids=IDS, labels=IDS).loss for model in (ours.model, theirs))
    torch.testing.assert_close(raised - plain, ours.added_loss().detach(), rtol=1e-4, atol=1e-5)
    assert attach("adalora", orthogonality=0.0).added_loss is None


def test_the_regulariser_is_trained_and_not_told() -> None:
    first: list[float] = []
    last: list[float] = []
    for weight in (0.0, 5.0):
        folder = run_job("adalora", settings={"orthogonality": weight})
        told = [event.loss for event in events_of(folder) if isinstance(event, Step)]
        first.append(told[0])
        last.append(told[-1])
    assert first[0] == first[1]  # before any update; the term is about 20 here
    assert last[0] != last[1]
