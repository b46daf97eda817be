"""The 4-bit base: packed rightly, differentiated rightly, never merged into, and refused where it can't be."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from datasets import Dataset
from torch import nn
from transformers import AutoModelForCausalLM, Qwen3MoeConfig

from pegbox_hardware.forecast.adapters import cost_of
from pegbox_hardware.forecast.static import static_of
from pegbox_hardware.model_config import shape_of
from pegbox_methods.events import Evaluation as Looked
from pegbox_methods.events import Failed, Prepared
from pegbox_methods.recipe import Method, Model, Recipe, Rows
from pegbox_methods.refusal import Refusal
from pegbox_methods.registry import find_card
from pegbox_methods.torch_half import load_torch_half
from pegbox_runs import conditions, preflight
from pegbox_runs.forecasting import setup_of
from pegbox_runs.models import BUNDLED, FoundModel
from pegbox_runs.plan import plan
from pegbox_runs.run_folder import RunFolder
from pegbox_worker.adapter_care import keep_float32
from pegbox_worker.arguments import training_arguments
from pegbox_worker.base_model import admit_bitsandbytes, load_packed_model, weights_in
from pegbox_worker.precision import NumberFormat
from pegbox_worker.trainer import MeasuredTrainer
from tests.commands import events_of, pegbox, write_recipe_text
from tests.methods_at_work import (
    CPU,
    FOUND,
    IDS,
    NoFailure,
    attach,
    logits,
    one_thread,
    packed_base,
    plain_base,
    recipe,
    run_job,
)
from tests.models_by_name import CONFIGS

HALF = load_torch_half(find_card("qlora"))


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


def packed_parts(model: nn.Module) -> list[Any]:
    return [part for part in model.modules() if type(part).__name__ == "Linear4bit"]


def test_linear_maps_are_packed_and_all_else_is_not() -> None:
    model = packed_base(torch.bfloat16)
    parts = packed_parts(model)
    assert len(parts) == 4 * 7
    for part in parts:
        assert part.weight.quant_state.quant_type == "nf4"
        assert part.weight.quant_state.nested  # doubly quantized
        assert part.compute_dtype is torch.bfloat16
        assert part.weight.numel() * 2 == weights_in(part.weight) == part.in_features * part.out_features
    rest = [weight for name, weight in model.named_parameters() if "proj" not in name]
    assert {weight.dtype for weight in rest} == {torch.float32}
    plain = sum(weight.numel() for weight in plain_base().parameters())
    assert sum(weights_in(weight) for weight in model.parameters()) == plain


def unpacked(model: Any) -> Any:
    """The same model in full precision, with the very weights that the packed one stands for."""
    from bitsandbytes.functional import dequantize_4bit

    plain = plain_base()
    for name, part in model.named_modules():
        if type(part).__name__ == "Linear4bit":
            plain.get_submodule(name).weight.data = dequantize_4bit(part.weight.data, part.weight.quant_state).float()
    return plain


def gradients(model: Any) -> dict[str, torch.Tensor]:
    """Those of the adapter, with B away from zero so that A has one too."""
    torch.manual_seed(3)
    for name, weight in model.named_parameters():
        if "lora_" in name:
            weight.data.normal_(std=0.02)
    model.train()
    model.zero_grad()
    model(input_ids=IDS, labels=IDS).loss.backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.requires_grad}


@pytest.mark.parametrize("preparation", ["lean", "full"])
@pytest.mark.parametrize(("method", "unpacked_method"), [("qlora", "lora"), ("qdora", "dora")])
def test_its_gradients_are_those_of_the_unpacked_model_after_an_evaluation_too(
    method: str, unpacked_method: str, preparation: str
) -> None:
    packed = packed_base()
    plain = unpacked(packed)
    settings = {"dropout": 0.0, "rank": 4}
    half = load_torch_half(find_card(unpacked_method))
    reference = half.attach(plain, recipe(unpacked_method, **settings)).model
    asked = recipe(method, preparation=preparation, **settings)
    tuned = load_torch_half(find_card(method)).attach(packed, asked).model
    lengths = [(name, weight) for name, weight in tuned.named_parameters() if "magnitude" in name]
    assert len(lengths) == (28 if method == "qdora" else 0)
    for name, length in lengths:
        torch.testing.assert_close(length, reference.get_parameter(name))
    expected, answer = gradients(reference), logits(reference)
    for _ in range(2):
        found = gradients(tuned)
        assert found.keys() == expected.keys()
        for name, gradient in found.items():
            torch.testing.assert_close(gradient, expected[name], rtol=1e-3, atol=1e-6)
        # In eval mode, without gradients: where bitsandbytes would repack the weights on a CPU.
        torch.testing.assert_close(logits(tuned), answer, rtol=1e-3, atol=1e-4)


def unpacked_dtypes(model: nn.Module) -> set[torch.dtype]:
    """Of the base's embeddings, norms and head."""
    return {w.dtype for name, w in model.named_parameters() if not hasattr(w, "quant_state") and "lora_" not in name}


@pytest.mark.parametrize(("preparation", "kept"), [("lean", torch.bfloat16), ("full", torch.float32)])
@pytest.mark.parametrize("method", ["qlora", "qdora", "loftq"])
def test_full_preparation_turns_what_is_not_packed_into_float32_and_lean_leaves_it(
    method: str, preparation: str, kept: torch.dtype
) -> None:
    base = load_packed_model(FOUND, torch.bfloat16, torch.bfloat16, CPU)
    torch.manual_seed(0)
    asked = recipe(method, preparation=preparation, rank=4, dropout=0.0)
    tuned: Any = load_torch_half(find_card(method)).attach(base, asked).model
    assert unpacked_dtypes(tuned) == {kept}
    assert {weight.dtype for weight in tuned.parameters() if weight.requires_grad} == {torch.float32}
    assert not any(weight.requires_grad for name, weight in tuned.named_parameters() if "lora_" not in name)
    optimizer = torch.optim.AdamW([weight for weight in tuned.parameters() if weight.requires_grad], lr=2e-3)
    losses = []
    tuned.train()
    for _ in range(6):
        with torch.autocast("cpu", torch.bfloat16):
            loss = tuned(input_ids=IDS, labels=IDS).loss
        losses.append(float(loss.detach()))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < losses[0] - 1


@pytest.mark.parametrize("method", ["qlora", "qdora", "loftq"])
def test_full_preparation_is_forecast_as_the_two_gigabytes_that_it_takes(method: str) -> None:
    shape, _ = shape_of(CONFIGS["llama-3.1-8b"])
    assert shape is not None
    lean, full = (setup_of(recipe(method, preparation=choice), bf16=True) for choice in ("lean", "full"))
    assert (lean.kbit_casts, full.kbit_casts) == (False, True)
    still = [static_of(shape, setup, cost_of(shape, setup)).other for setup in (lean, full)]
    assert still[1] - still[0] == 2 * (2 * 128256 * 4096 + 65 * 4096)


@pytest.mark.parametrize("optimizer", ["adamw_8bit", "paged_adamw_8bit"])
def test_eight_bit_optimizers_train_beside_a_packed_base_with_activations_recomputed(optimizer: str) -> None:
    folder = run_job("qlora", optimizer=optimizer, max_steps=4, activation_checkpointing="on")
    events = events_of(folder)
    assert not [event for event in events if isinstance(event, Failed)], events[-1]
    before, *_, after = (event.loss for event in events if isinstance(event, Looked))
    assert after < before - 0.5


def test_no_part_may_repack_itself_for_inference() -> None:
    flags = [getattr(part, "support_avx512bf16_for_cpu", False) for part in packed_parts(packed_base())]
    assert flags
    assert not any(flags)


def test_an_adapter_is_never_merged_into_packed_weights() -> None:
    with pytest.raises(Refusal, match=r"loaded in 4 or 8 bits.*Load the base model in full precision"):
        HALF.merge(attach("qlora").model)


def test_it_does_not_train_a_full_precision_model_under_its_name() -> None:
    with pytest.raises(Refusal, match="trains on a 4-bit base model, and this one is in full precision"):
        HALF.attach(plain_base(), recipe("qlora"))


def trained_by(folder: Path, number_format: NumberFormat, tokenizer: Any) -> dict[str, set[torch.dtype]]:
    """The dtypes of what trains and of what doesn't, as TRL's trainer leaves a packed model."""
    asked = recipe("qlora", steps=2)
    rows = Dataset.from_dict({"input_ids": [IDS[0].tolist()], "labels": [IDS[0].tolist()]})
    asked = msgspec.structs.replace(
        asked, training=msgspec.structs.replace(asked.training, learning_rate=1e-4, activation_checkpointing="on")
    )
    tuned = HALF.attach(packed_base(number_format.compute), asked).model
    trainer = MeasuredTrainer(
        model=tuned,
        args=training_arguments(asked, plan(asked, 1), number_format, CPU, evaluating=False, folder=folder),
        train_dataset=rows,
        processing_class=tokenizer,
        labelled_loss=None,
        added_loss=None,
        reports=NoFailure(),
        tell=lambda _: None,
        state=None,
    )
    keep_float32(trainer.model)
    kinds: dict[str, set[torch.dtype]] = {"adapter": set(), "packed": set(), "rest": set()}
    for weight in trainer.model.parameters():
        kind = "adapter" if weight.requires_grad else "packed" if hasattr(weight, "quant_state") else "rest"
        kinds[kind].add(weight.dtype)
    return kinds


@pytest.mark.parametrize("compute", [torch.bfloat16, torch.float32])
def test_the_adapter_stays_in_float32_whatever_the_run_computes_in(
    compute: torch.dtype, tokenizer: Any, tmp_path: Path
) -> None:
    number_format = NumberFormat(str(compute).removeprefix("torch."), compute, torch.float32)
    assert trained_by(tmp_path, number_format, tokenizer) == {
        "adapter": {torch.float32},
        "packed": {torch.uint8},
        "rest": {torch.float32},
    }


def test_a_broken_bitsandbytes_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_name: str) -> None:
        raise OSError("libbitsandbytes_cpu.so: cannot open")

    monkeypatch.setattr(importlib, "import_module", broken)
    with pytest.raises(Refusal, match=r"bitsandbytes can't be loaded \(libbitsandbytes_cpu.so: cannot open\)"):
        admit_bitsandbytes()


def test_a_worker_that_warmed_up_without_bitsandbytes_packs_all_the_same(tmp_path: Path, home: Path) -> None:
    asked = write_recipe_text(
        tmp_path,
        method={"name": "qlora"},
        training={"max_steps": 2, "accumulation": 1, "optimizer": "adamw_8bit", "precision": "auto"},
        evaluation={"every": 2, "samples": 0},
    )
    done = pegbox("train", str(asked), "--json", home=home)
    assert done.returncode == 0, done.stdout[-2000:]
    (path,) = (home / "runs").iterdir()
    (prepared,) = (event for event in events_of(RunFolder(path)) if isinstance(event, Prepared))
    assert prepared.model_weights - prepared.trainable_weights == sum(w.numel() for w in plain_base().parameters())
    assert (path / "adapter" / "adapter_model.safetensors").is_file()


def test_a_model_of_experts_is_refused_once_it_is_seen_that_little_of_it_is_packed(tmp_path: Path) -> None:
    config = Qwen3MoeConfig(
        vocab_size=64,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        intermediate_size=64,
        moe_intermediate_size=64,
        num_experts=8,
        num_experts_per_tok=2,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    found = FoundModel("experts", tmp_path, config.to_dict(), None, False, False)
    admit_bitsandbytes()
    with pytest.raises(Refusal, match=r"only \d+ % of its weights \(type 'qwen3_moe'\) lie in linear maps"):
        load_packed_model(found, torch.float32, torch.float32, CPU)


def refused(monkeypatch: pytest.MonkeyPatch, method: str, **config: Any) -> str:
    """What is said before a run exists, of the bundled model with other words in its config."""
    changed = msgspec.convert(FOUND.config, dict) | config
    found = FoundModel(FOUND.name, FOUND.folder, changed, FOUND.shape, FOUND.has_template, FOUND.from_hub)
    monkeypatch.setattr(preflight, "find_model", lambda _model: found)
    asked = Recipe(model=Model(name="bundled"), rows=Rows(file=str(BUNDLED / "rows.jsonl")), method=Method(name=method))
    with pytest.raises(Refusal) as caught:
        preflight.check(asked, file="recipe.toml")
    return caught.value.sentence


def test_weights_that_are_quantized_already_are_refused_before_a_run_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    gptq = {"quantization_config": {"quant_method": "gptq", "bits": 4}}
    packed = {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}
    assert "the model's weights are quantized already (by gptq)" in refused(monkeypatch, "qlora", **gptq)
    assert "Name the original model" in refused(monkeypatch, "lora", **packed)


def test_a_missing_bitsandbytes_is_told_before_a_run_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions, "bitsandbytes_is_here", lambda: False)
    assert "pip install 'bitsandbytes>=0.50'" in refused(monkeypatch, "qlora")
