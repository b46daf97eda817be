"""RoAd: what Pegbox adds to PEFT's, and the certificate."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from pegbox_methods import Refusal
from pegbox_methods.recipe import Method, Model, Recipe, Rows
from pegbox_methods.registry import find_card
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from pegbox_road.card import CARD
from pegbox_road.half_torch import half


def model() -> LlamaForCausalLM:
    """A Llama of one layer; its maps give 96, or 160."""
    return LlamaForCausalLM(
        LlamaConfig(hidden_size=96, intermediate_size=160, num_hidden_layers=1, num_attention_heads=2, vocab_size=32)
    )


def recipe(**settings: Any) -> Recipe:
    filled = {setting.name: setting.default for setting in CARD.settings} | settings
    return Recipe(model=Model(name="made up"), rows=Rows(file="none"), method=Method(name="road", settings=filled))


@pytest.mark.parametrize(("variant", "per_output"), [("road_1", 1), ("road_2", 2), ("road_4", 4)])
def test_a_variant_trains_as_many_weights_for_an_output_as_the_card_says(variant: str, per_output: int) -> None:
    tuned: nn.Module = half.attach(model(), recipe(variant=variant, group_size=32)).model
    trained = sum(weight.numel() for weight in tuned.parameters() if weight.requires_grad)
    assert trained == per_output * (4 * 96 + 2 * 160 + 96)


@pytest.mark.parametrize("group_size", [64, 33])
def test_a_group_that_does_not_fit_is_refused_with_one_that_does(group_size: int) -> None:
    with pytest.raises(Refusal, match=r"q_proj has 96\. The largest that divides all of them is 32\."):
        half.attach(model(), recipe(group_size=group_size))


def test_it_comes_in_by_its_entry_point() -> None:
    assert find_card("road") is CARD


def test_it_is_certified() -> None:
    done = subprocess.run([sys.executable, "-P", "-m", "pegbox", "certify", "road"], text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
