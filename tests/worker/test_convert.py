"""Any method's change of the base's weights, told as plain LoRA: the same model, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from msgspec import structs
from peft import PeftModel
from safetensors.torch import load_file, save_file

from pegbox_methods.advice.serving import SAVED, why_no_lora
from pegbox_methods.recipe import Model
from pegbox_methods.refusal import Refusal
from pegbox_methods.registry import find_card
from pegbox_methods.torch_half import load_torch_half
from pegbox_runs.exporting.conversion import EXACT, LOSSY_SHARE, ProveAdapter, ProvenAdapter
from pegbox_runs.preflight import check
from pegbox_runs.run_folder import create
from pegbox_runs.tuned import TunedRun, tuned_run
from pegbox_worker.convert import measuring
from pegbox_worker.convert.factors import factors_of
from pegbox_worker.convert.lora_folder import make_lora
from pegbox_worker.convert.measuring import prove_adapter
from pegbox_worker.proving import proof_prompts
from tests.methods_at_work import CPU, FEW_STEPS, attach, logits, plain_base, recipe

CONVERTIBLE = sorted(name for name in SAVED if why_no_lora(find_card(name)) is None)
PACKED = {"loftq", "qdora", "qlora"}
"""They take seconds more each: bitsandbytes must be loaded."""


@pytest.fixture(autouse=True)
def few_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prove with two prompts: those of a real proof take ten times as long."""
    monkeypatch.setattr(measuring, "proof_prompts", lambda run, tokenizer: proof_prompts(run, tokenizer, 2))


def left_behind(name: str, **settings: Any) -> TunedRun:
    """Make a run's folder as its end leaves it, with weights as if they had learned something."""
    attached = attach(name, **{**FEW_STEPS.get(name, {}), **settings})
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in attached.model.parameters():
            if weight.requires_grad:
                weight += 0.02 * torch.randn_like(weight)
    asked = check(recipe(name, **{**FEW_STEPS.get(name, {}), **settings}), file="test")
    folder = create(asked.recipe, asked.environment())
    folder.adapter.mkdir()
    load_torch_half(find_card(name)).save(attached, folder.adapter)
    return tuned_run(str(folder.path))


def nothing(_done: int, _of: int) -> None:
    """Hear how far it is."""


def converted(run: TunedRun, place: Path, rank: int | float | None = None) -> Any:
    place.mkdir()
    return make_lora(run, place, rank, CPU, nothing)


def proven(run: TunedRun, adapter: Path, scratch: Path, **named: Any) -> ProvenAdapter:
    scratch.mkdir()
    asked = ProveAdapter(run=str(run.folder.path), folder=str(adapter), scratch=str(scratch), of="lora", **named)
    return prove_adapter(run, asked, CPU, lambda _: nothing)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) if name in PACKED else name for name in CONVERTIBLE],
)
def test_told_whole_a_methods_change_is_the_same_model_by_peft_alone(name: str, tmp_path: Path) -> None:
    run = left_behind(name)
    made = converted(run, tmp_path / "lora", rank=512)
    loaded = PeftModel.from_pretrained(plain_base(), tmp_path / "lora")
    half = load_torch_half(run.card)
    wanted, base = logits(half.load(plain_base(), run.adapter)), logits(plain_base())
    assert (wanted - base).abs().max() > 1e-3, "the adapter does nothing, so nothing would be shown"
    assert (logits(loaded) - wanted).abs().max() < 1e-3
    assert made.kept >= EXACT
    assert loaded.peft_config["default"].peft_type.value == "LORA"
    assert not loaded.peft_config["default"].rank_pattern


@pytest.mark.parametrize("name", sorted({"full", "ln-tuning", "trainable-tokens", "prompt-tuning"}))
def test_what_changes_more_than_linear_maps_is_refused(name: str, tmp_path: Path) -> None:
    assert why_no_lora(find_card(name)) is not None
    with pytest.raises(Refusal):
        converted(left_behind(name), tmp_path / "lora")
    assert list((tmp_path / "lora").iterdir()) == []


def test_the_rank_is_that_of_the_change_where_it_has_a_low_one(tmp_path: Path) -> None:
    assert converted(left_behind("loha", rank=4), tmp_path / "loha").rank <= 16
    assert converted(left_behind("miss", rank=8), tmp_path / "miss").rank <= 8


def test_a_change_of_full_rank_keeps_the_share_that_is_asked_for(tmp_path: Path) -> None:
    run = left_behind("dora")
    most, little = (converted(run, tmp_path / str(share), share) for share in (0.99, 0.6))
    assert most.kept >= 0.99
    assert 0.6 <= little.kept < 0.99
    assert little.rank < most.rank
    weights = load_file(tmp_path / "0.6" / "adapter_model.safetensors")
    assert {len(weight) for name, weight in weights.items() if "lora_A" in name} == {little.rank}


def test_a_conversion_is_held_against_the_run_and_its_cost_is_measured(tmp_path: Path) -> None:
    run = left_behind("oft")
    converted(run, tmp_path / "lora", 0.99)
    found = proven(run, tmp_path / "lora", tmp_path / "seen", exact=False, cost=True)
    assert found.proof.passed
    assert found.proof.mean_kl > 0
    assert found.cost is not None
    assert found.cost.low <= found.cost.loss_after - found.cost.loss_before <= found.cost.high


def test_an_adapter_that_does_nothing_passes_for_no_other_however_little_that_one_does(tmp_path: Path) -> None:
    run = left_behind("vera")
    converted(run, tmp_path / "lora", 4)
    weights = load_file(tmp_path / "lora" / "adapter_model.safetensors")
    empty = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    save_file(empty, tmp_path / "lora" / "adapter_model.safetensors")
    found = proven(run, tmp_path / "lora", tmp_path / "seen", exact=False)
    assert not found.proof.passed
    assert found.proof.effect_kl is not None
    assert found.proof.bound_kl <= max(LOSSY_SHARE * found.proof.effect_kl, 1e-9)


def test_rows_that_are_gone_leave_the_cost_unmeasured_and_say_so(tmp_path: Path) -> None:
    run = left_behind("lora")
    gone = structs.replace(run.recipe, rows=structs.replace(run.recipe.rows, file=str(tmp_path / "gone.jsonl")))
    run = TunedRun(run.folder, gone, run.environment, run.card, run.model)
    found = proven(run, run.adapter, tmp_path / "seen", cost=True)
    assert found.cost is None
    assert "isn't measured" in found.unmeasured
    assert found.proof.largest_difference == 0


def test_a_matrix_of_low_rank_is_found_whole_by_the_search_and_by_the_whole_decomposition() -> None:
    torch.manual_seed(0)
    low = torch.randn(700, 5) @ torch.randn(5, 900)
    for found in (factors_of(low, None, 512), factors_of(low[:20, :30], None, 512)):
        assert found.rank_for(EXACT) == 5
    a, b = factors_of(low, 8, 512).cut(8)
    assert torch.allclose(b @ a, low, atol=1e-3)
    a, b = factors_of(low[:4, :6], 8, 512).cut(8)
    assert a.shape == (8, 6)
    assert torch.allclose(b @ a, low[:4, :6], atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dora", "loha"])
def test_on_a_real_model_a_conversion_keeps_what_was_learned(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests import methods_at_work
    from tests.smollm2 import smollm2

    model = Model(name=str(smollm2()))
    monkeypatch.setattr(methods_at_work, "FOUND", methods_at_work.find_model(model))
    plain = methods_at_work.recipe
    monkeypatch.setattr(methods_at_work, "recipe", lambda *a, **k: structs.replace(plain(*a, **k), model=model))
    monkeypatch.setitem(globals(), "recipe", methods_at_work.recipe)
    run = left_behind(name, targets=["q_proj"])
    made = converted(run, tmp_path / "lora")
    found = proven(run, tmp_path / "lora", tmp_path / "seen", exact=made.kept >= EXACT)
    assert found.proof.passed, found.proof.why
    assert made.kept >= 0.99
