"""Each built-in method, driven by the worker's own job: what it trains, what it saves, what comes back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

from pegbox_hardware.model_config import shape_of
from pegbox_methods.events import Evaluation, Failed, Prepared
from pegbox_methods.refusal import Refusal
from pegbox_methods.registry import find_card
from pegbox_methods.torch_half import load_torch_half
from pegbox_runs.models import BUNDLED, read_config
from tests.commands import events_of
from tests.methods_at_work import METHODS, attach, base, logits, one_thread, plain_base, recipe, run_job


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.mark.parametrize("targets", ["all-linear", "attention", ["q_proj", "down_proj"]])
@pytest.mark.parametrize("name", METHODS)
def test_a_card_counts_exactly_what_is_trained(name: str, targets: Any) -> None:
    shape, why = shape_of(read_config(BUNDLED / "model" / "config.json"))
    assert shape is not None, why
    for rank in (1, 6):
        attached = attach(name, rank=rank, targets=targets)
        trained = sum(weight.numel() for weight in attached.model.parameters() if weight.requires_grad)
        settings = recipe(name, rank=rank, targets=targets).method.settings
        assert find_card(name).footprint(shape, settings).trainable_weights == trained


@pytest.mark.parametrize("name", METHODS)
def test_a_target_the_model_lacks_is_refused(name: str) -> None:
    with pytest.raises(Refusal, match=r"the model has no query; its linear maps are q_proj"):
        attach(name, targets=["q_proj", "query"])


@pytest.mark.parametrize("name", METHODS)
def test_a_run_lowers_the_loss_and_its_adapter_loads_and_merges(name: str) -> None:
    folder = run_job(name)
    events = events_of(folder)
    assert not [event for event in events if isinstance(event, Failed)], events[-1]
    looks = [event.loss for event in events if isinstance(event, Evaluation)]
    assert min(looks[1:]) < looks[0] - 0.01
    (prepared,) = (event for event in events if isinstance(event, Prepared))
    plain = sum(weight.numel() for weight in plain_base().parameters())
    ranks_kept_as_numbers = 28 if name == "adalora" else 0  # one for each adapted matrix, not trained
    assert prepared.model_weights == plain + prepared.trainable_weights + ranks_kept_as_numbers
    half = load_torch_half(find_card(name))
    loaded = half.load(plain_base(), folder.adapter)  # QLoRA's too: its adapter merges into full precision
    tuned = logits(loaded)
    assert not torch.allclose(tuned, logits(plain_base()), atol=0.01)
    torch.testing.assert_close(logits(half.merge(loaded)), tuned, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", METHODS)
def test_a_saved_adapter_loads_to_the_same_logits(name: str, tmp_path: Path) -> None:
    attached = attach(name, rank=4)
    torch.manual_seed(1)
    for part, weight in attached.model.named_parameters():
        if "lora_B" in part or "lora_E" in part or "magnitude" in part:
            weight.data += 0.05 * torch.randn_like(weight)
    half = load_torch_half(find_card(name))
    half.save(attached, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    torch.testing.assert_close(logits(half.load(base(name), tmp_path)), logits(attached.model))


def test_rslora_divides_by_the_root_of_the_rank_and_dora_takes_the_fast_path() -> None:
    scaled = attach("rslora", rank=64, alpha=64.0).model.base_model.model.model.layers[0].self_attn.q_proj
    assert scaled.scaling["default"] == 8.0
    fast = attach("dora").model.base_model.model.model.layers[0].self_attn.q_proj
    assert isinstance(fast.lora_dropout["default"], nn.Identity)  # PEFT reuses the base's result only then
    assert "default" in fast.lora_magnitude_vector


@pytest.mark.parametrize("kind", ["mixtral", "qwen3_moe"])
@pytest.mark.parametrize(
    "name", ["lora", "rslora", "dora", "lora-plus", "lora-fa", "pissa", "olora", "eva", "vera", "oft"]
)
def test_all_linear_in_a_mixture_of_experts_is_attention_and_counted_so(name: str, kind: str) -> None:
    sizes = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    experts = {"num_local_experts": 4} if kind == "mixtral" else {"num_experts": 4, "moe_intermediate_size": 32}
    words = {**sizes, **experts, "num_key_value_heads": 2, "num_experts_per_tok": 2, "vocab_size": 64, "head_dim": 16}
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **words))
    shape, why = shape_of(model.config.to_dict())
    assert shape is not None, why
    asked = recipe(name)
    attached = load_torch_half(find_card(name)).attach(model, asked).model
    trained = sum(weight.numel() for weight in attached.parameters() if weight.requires_grad)
    assert find_card(name).price(shape, asked.method.settings).trainable_weights == trained
