"""What rules a method out: the model, the installation, the device; and nothing that isn't known."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from pegbox_hardware.model_config import shape_of
from pegbox_hardware.shape import ModelShape
from pegbox_methods.card import Card, Needs
from pegbox_methods.registry import find_card
from pegbox_methods.suitability import Conditions, eight_bit_obstacle, obstacle, packed_by
from tests.methods.advice_situations import falcon, mixture, model_1b5

LORA, QLORA = find_card("lora"), find_card("qlora")


def gpt2(kind: str = "gpt2") -> ModelShape:
    found, why = shape_of({"model_type": kind, "n_embd": 64, "n_layer": 2, "n_head": 4, "vocab_size": 300})
    assert found is not None, why
    return found


def needing(**needs: Any) -> Card:
    return dataclasses.replace(LORA, name="needy", needs=Needs(**needs))


def why(card: Card, *, packs: bool | None = None, **given: Any) -> str | None:
    found = obstacle(card, Conditions(**given), packs=packs)
    assert found is None or (found.source and found.remedy.endswith("."))
    return found and found.why


def test_nothing_known_rules_nothing_out() -> None:
    assert why(LORA) is None
    assert why(QLORA) is None
    assert why(needing(compute_capability=(99, 0)), accelerator="cuda") is None


def test_a_4_bit_base_needs_bitsandbytes() -> None:
    assert "bitsandbytes, which isn't installed" in str(why(QLORA, bitsandbytes=False))
    assert why(LORA, bitsandbytes=False) is None
    assert "isn't installed" in str(why(LORA, bitsandbytes=False, packs=True))


@pytest.mark.parametrize("packs", [None, True])
def test_weights_that_are_quantized_already_are_not_packed_again(packs: bool | None) -> None:
    assert "quantized already (by gptq)" in str(why(QLORA, packed_by="gptq", packs=packs))
    assert (why(LORA, packed_by="gptq", packs=packs) is None) is (packs is None)
    assert "could never be merged" in str(why(LORA, packed_by="bitsandbytes", packs=packs))


def test_what_transformers_leaves_unpacked_is_told() -> None:
    assert "most of the model's weights are experts" in str(why(QLORA, shape=mixture()))
    assert "leaves falcon's own class of linear maps alone" in str(why(QLORA, shape=falcon()))
    assert why(LORA, shape=mixture()) is None
    assert why(LORA, shape=falcon()) is None
    assert why(QLORA, shape=model_1b5()) is None


def test_a_card_that_is_too_old_is_told_and_a_processor_is_never_asked() -> None:
    card = needing(compute_capability=(7, 5))
    assert "capability 7.5, and this one has 7.0" in str(why(card, accelerator="cuda", capability=(7, 0)))
    assert why(card, accelerator="cuda", capability=(7, 5)) is None
    assert why(card, accelerator="cpu") is None
    assert why(card, accelerator="rocm", capability=None) is None


def test_packing_needs_a_card_that_bitsandbytes_serves_whatever_the_method() -> None:
    assert "needs compute capability 6.0" in str(why(LORA, packs=True, accelerator="cuda", capability=(5, 2)))


@pytest.mark.parametrize("kind", ["gpt2", "openai-gpt"])
def test_methods_for_linear_maps_alone_are_ruled_out_where_the_maps_are_conv1d(kind: str) -> None:
    narrow = needing(linear_layers_only=True)
    assert f"the maps of {kind} are of transformers' Conv1D" in str(why(narrow, shape=gpt2(kind)))
    assert why(narrow, shape=model_1b5()) is None
    assert why(LORA, shape=gpt2(kind)) is None
    assert why(narrow, shape=gpt2(kind), packs=True) is None  # packed, they are linear maps


def test_8_bit_optimizers_need_bitsandbytes_too() -> None:
    assert eight_bit_obstacle(Conditions()) is None
    missing = eight_bit_obstacle(Conditions(bitsandbytes=False))
    assert missing is not None
    assert "isn't installed" in missing.why


@pytest.mark.parametrize(
    ("config", "by"),
    [
        ({}, None),
        ({"quantization_config": None}, None),
        ({"quantization_config": {"quant_method": "awq"}}, "awq"),
        ({"quantization_config": {}}, "an unknown tool"),
    ],
)
def test_who_packed_a_model_is_read_from_its_config(config: dict[str, Any], by: str | None) -> None:
    assert packed_by(config) == by
