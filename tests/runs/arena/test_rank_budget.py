"""Ranks that are chosen for a budget of trainable weights."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pegbox_hardware.model_config import shape_of
from pegbox_hardware.shape import ModelShape
from pegbox_methods.card import Card
from pegbox_methods.recipe import Model
from pegbox_methods.refusal import Refusal
from pegbox_methods.registry import find_card, method_names, origin_of
from pegbox_methods.setting import resolve_settings
from pegbox_runs.arena.asking.rank_budget import NEAR, sized
from pegbox_runs.models import find_model

CARDS = tuple(find_card(name) for name in method_names() if origin_of(name).startswith("pegbox "))


def bundled() -> ModelShape:
    shape = find_model(Model(name="bundled")).shape
    assert shape is not None
    return shape


def grouped() -> ModelShape:
    """A model of a billion weights, with an eighth as many keys and values as queries."""
    config = {
        "model_type": "llama",
        "hidden_size": 2048,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 4,
        "intermediate_size": 8192,
        "vocab_size": 32_000,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": True,
    }
    found, why = shape_of(config)
    assert found is not None, why
    return found


SHAPES = {"bundled": bundled(), "grouped": grouped()}


def defaults(card: Card, **changes: Any) -> dict[str, Any]:
    settings, faults = resolve_settings(card.settings, changes, file="test")
    assert not faults
    return settings


def least_weights(card: Card, settings: dict[str, Any], shape: ModelShape) -> int:
    ranks = next(one for one in card.settings if one.name == "rank")
    high, step = int(ranks.maximum or 4096), max(int(ranks.minimum or 1), settings.get("subblocks", 1))
    return min(card.price(shape, {**settings, "rank": rank}).trainable_weights for rank in range(step, high + 1, step))


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
@pytest.mark.parametrize("budget", [30_000, 1_000_000, 20_000_000])
def test_every_method_stays_below_the_budget_or_says_why_not(card: Card, shape: ModelShape, budget: int) -> None:
    settings = defaults(card)
    if "rank" in settings and least_weights(card, settings, shape) > budget:
        with pytest.raises(Refusal, match=f"--rank-budget allows {budget:,}"):
            sized("it", card, settings, shape, budget)
        return
    found = sized("it", card, settings, shape, budget)
    assert found.weights == card.price(shape, found.settings).trainable_weights
    for setting in card.settings:
        assert setting.accepts(found.settings[setting.name]), setting.name
    if "rank" not in settings:
        assert found.settings == settings
        assert "has no rank" in found.remark
        return
    assert found.weights <= budget
    assert bool(found.remark) == (found.weights < (1 - NEAR) * budget)
    assert {name for name in settings if found.settings[name] != settings[name]} <= {"rank", "alpha"}


@given(budget=st.integers(14_592, 2_000_000))
def test_no_rank_of_lora_comes_nearer(budget: int) -> None:
    card, shape = find_card("lora"), SHAPES["bundled"]
    found = sized("lora", card, defaults(card), shape, budget)
    each = card.price(shape, {**found.settings, "rank": 1}).trainable_weights
    assert found.settings["rank"] == min(budget // each, 96), "96: where two thin matrices have what a map has"


def test_alpha_keeps_its_multiple_of_the_rank_and_is_left_alone_where_it_is_none() -> None:
    card, shape = find_card("lora"), SHAPES["bundled"]
    assert sized("a", card, defaults(card), shape, 14_592 * 5).settings["alpha"] == 10.0
    odd = sized("a", card, defaults(card, rank=16, alpha=20.0), shape, 14_592 * 5)
    assert (odd.settings["rank"], odd.settings["alpha"]) == (5, 20.0)


def test_mirrors_come_in_pairs_and_a_rank_divides_into_its_blocks() -> None:
    hra, gralora, shape = find_card("hra"), find_card("gralora"), SHAPES["bundled"]
    for budget in range(60_000, 200_000, 7_919):
        assert sized("a", hra, defaults(hra), shape, budget).settings["rank"] % 2 == 0
        assert sized("a", gralora, defaults(gralora, subblocks=4), shape, budget).settings["rank"] % 4 == 0


def test_fewer_weights_with_more_rank_are_found_too() -> None:
    card, shape = find_card("randlora"), SHAPES["bundled"]
    few, many = (sized("a", card, defaults(card), shape, budget) for budget in (60_000, 500_000))
    assert few.settings["rank"] > many.settings["rank"]
    assert few.weights < many.weights


def test_a_rank_that_costs_little_may_be_higher_than_the_maps_are_wide() -> None:
    card, shape = find_card("vera"), SHAPES["bundled"]
    assert sized("a", card, defaults(card), shape, 100_000).settings["rank"] > 1000


def test_a_budget_that_is_more_than_the_highest_rank_takes_is_told_as_that() -> None:
    card, shape = find_card("lora"), SHAPES["bundled"]
    found = sized("lora", card, defaults(card), shape, 10_000_000_000)
    assert found.settings["rank"] == 96
    assert "rank 96, the highest that is of use to it" in found.remark
    assert "two thin matrices are as large as the map" in found.remark
    assert "exceeding" not in found.remark
    coarse = sized("gralora", find_card("hra"), defaults(find_card("hra")), shape, 45_000)
    assert "exceeding" in coarse.remark


def test_below_the_least_rank_it_is_refused_by_name_with_what_it_takes() -> None:
    card = find_card("lora")
    with pytest.raises(Refusal) as refused:
        sized("b", card, defaults(card), SHAPES["bundled"], 10)
    assert refused.value.sentence.startswith("b: it trains 14,592 weights at the least, with rank 1, and --rank-budget")


def test_a_guest_whose_price_breaks_is_one_sentence() -> None:
    card = dataclasses.replace(find_card("lora"), footprint=lambda shape, settings: 1 / 0)
    with pytest.raises(Refusal, match=r"guest: its card can't price this model with rank 1.*ZeroDivisionError"):
        sized("guest", card, defaults(card), SHAPES["bundled"], 100_000)


def test_targets_that_the_model_lacks_are_refused() -> None:
    card = find_card("lora")
    with pytest.raises(Refusal, match="the model has no matrix 'query'"):
        sized("lora", card, defaults(card, targets=["query"]), SHAPES["bundled"], 100_000)
