"""What the built-in cards say of themselves: sources, ranges, and weights by the papers' formulas."""

from __future__ import annotations

import dataclasses
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

import pegbox_methods
from pegbox_hardware.forecast.adapters import PRICED, cost_of
from pegbox_hardware.forecast.setup import TrainingSetup
from pegbox_hardware.model_config import shape_of
from pegbox_hardware.shape import ModelShape
from pegbox_methods.advice.ranking import RANKED
from pegbox_methods.card import Card
from pegbox_methods.refusal import Refusal
from pegbox_methods.registry import find_card, method_names, origin_of
from pegbox_methods.setting import resolve_settings
from pegbox_methods.zoo.adalora.schedule import Schedule, initial_rank, schedule
from pegbox_methods.zoo.shared.low_rank import adapter_weights

ZOO = Path(pegbox_methods.__file__).parent / "zoo"
ZOO_PACKAGE = "pegbox_methods.zoo."
CARDS = tuple(find_card(name) for name in method_names() if origin_of(name).startswith("pegbox "))
EVERY_CARD = pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)


def shape() -> ModelShape:
    """Two Llama layers: q, o 8x8; k, v 4x8; gate, up 24x8; down 8x24."""
    config = {
        "model_type": "llama",
        "hidden_size": 8,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "intermediate_size": 24,
        "vocab_size": 32,
        "max_position_embeddings": 64,
        "tie_word_embeddings": True,
    }
    found, why = shape_of(config)
    assert found is not None, why
    return found


def defaults(card: Card, **changes: Any) -> dict[str, Any]:
    settings, faults = resolve_settings(card.settings, changes, file="test")
    assert not faults
    return settings


def test_every_folder_of_the_zoo_is_an_entry_point_and_a_card_and_nothing_else_is() -> None:
    folders = {file.parent.name.replace("_", "-") for file in ZOO.glob("*/card.py")}
    points = {point.name: point.value for point in entry_points(group="pegbox") if point.value.startswith(ZOO_PACKAGE)}
    assert folders == points.keys() == {card.name for card in CARDS}
    for name, module in points.items():
        assert module == f"{ZOO_PACKAGE}{name.replace('-', '_')}.card"
        assert find_card(name).torch_half == f"{ZOO_PACKAGE}{name.replace('-', '_')}.half_torch:half"


def test_the_profile_table_ranks_methods_that_there_are() -> None:
    assert {card.name for card in CARDS} >= RANKED


@EVERY_CARD
def test_every_default_is_in_its_own_range_and_every_setting_says_what_it_is(card: Card) -> None:
    for setting in card.settings:
        assert setting.accepts(setting.default), setting.name
        assert setting.help.endswith("."), setting.name
    assert len({setting.name for setting in card.settings}) == len(card.settings)


@EVERY_CARD
def test_every_claim_has_a_source(card: Card) -> None:
    assert card.source
    assert card.learning_rate_source
    assert card.recommended
    assert card.discouraged
    for reason in (*card.recommended, *card.discouraged):
        assert reason.when
        assert reason.why
        assert reason.source
    priced = card.footprint(shape(), defaults(card))
    assert priced.step_time_source
    assert priced.step_time_ratio is None or 0.5 < priced.step_time_ratio < 5


@pytest.mark.parametrize(
    "card", [card for card in CARDS if "targets" in {one.name for one in card.settings}], ids=lambda card: card.name
)
def test_a_matrix_the_model_lacks_has_no_price(card: Card) -> None:
    with pytest.raises(KeyError):
        card.footprint(shape(), defaults(card, targets=["nothing"]))


def test_loras_weights_are_counted_by_the_papers_formula() -> None:
    assert adapter_weights(shape(), 4, ("q_proj", "down_proj")) == 2 * 4 * ((8 + 8) + (8 + 24))
    assert adapter_weights(shape(), 4, ("attention",)) == 2 * 4 * (2 * (8 + 8) + 2 * (4 + 8))


def weights_of(name: str, **settings: Any) -> int:
    card = find_card(name)
    return card.footprint(shape(), defaults(card, **settings)).trainable_weights


def test_variants_differ_from_lora_by_what_their_papers_add() -> None:
    plain = weights_of("lora", rank=4)
    assert weights_of("rslora", rank=4) == weights_of("qlora", rank=4) == plain
    assert weights_of("dora", rank=4) == plain + 2 * (8 + 4 + 4 + 8 + 24 + 24 + 8)  # a length for each row
    assert weights_of("adalora", rank=4) == weights_of("lora", rank=6) + 2 * 7 * 6  # half as many ranks more, valued


def test_adalora_always_starts_above_its_rank() -> None:
    assert initial_rank({"rank": 16, "surplus": 1.5}) == 24
    assert initial_rank({"rank": 1, "surplus": 1.01}) == 2


def phases(steps: int, **changes: Any) -> Schedule:
    return schedule(steps, defaults(find_card("adalora"), **changes))


def test_adalora_divides_the_real_number_of_steps() -> None:
    assert phases(100) == Schedule(steps=100, free=20, final=30, interval=10)
    assert phases(100).last_cut == 70


@pytest.mark.parametrize(
    ("changes", "least"), [({}, 20), ({"interval": 1}, 3), ({"interval": 5, "free_share": 0.0, "final_share": 0.0}, 5)]
)
def test_a_run_too_short_for_adalora_is_told_how_many_steps_it_takes(changes: dict[str, Any], least: int) -> None:
    with pytest.raises(Refusal, match=f"takes {least - 1} steps, and AdaLoRA's schedule needs at least {least}:"):
        phases(least - 1, **changes)
    assert phases(least, **changes).works


@pytest.mark.parametrize("changes", [{}, {"interval": 1}, {"interval": 7, "free_share": 0.4, "final_share": 0.1}])
def test_adaloras_card_says_how_many_steps_it_takes(changes: dict[str, Any]) -> None:
    card = find_card("adalora")
    least = card.steps_needed(defaults(card, **changes))
    assert phases(least, **changes).works
    with pytest.raises(Refusal):
        phases(least - 1, **changes)


@EVERY_CARD
def test_every_method_says_how_many_steps_it_takes(card: Card) -> None:
    assert (card.steps_needed(defaults(card)) > 1) == (card.name == "adalora")


@pytest.mark.parametrize("answer", [0, True, 2.0, None])
def test_least_steps_that_are_no_number_of_them_are_refused(answer: Any) -> None:
    card = dataclasses.replace(find_card("lora"), least_steps=lambda settings: answer)
    with pytest.raises(TypeError, match="the contract asks for a whole number from 1"):
        card.steps_needed({})


def test_a_longer_run_is_never_too_short() -> None:
    for changes in ({}, {"interval": 3, "free_share": 0.37, "final_share": 0.41}):
        work = []
        for steps in range(1, 200):
            try:
                work.append(phases(steps, **changes).works)
            except Refusal:
                work.append(False)
        assert work == sorted(work)


def test_no_setting_in_range_leaves_adalora_without_a_schedule() -> None:
    extreme = {"free_share": 0.5, "final_share": 0.45, "interval": 10_000}
    with pytest.raises(Refusal, match=r"needs at least \d+"):
        phases(10, **extreme)


@pytest.mark.parametrize("name", sorted(PRICED))
@pytest.mark.parametrize("rank", [1, 5, 8])
def test_the_forecast_counts_the_weights_that_the_card_counts(name: str, rank: int) -> None:
    card, surplus = find_card(name), {"surplus": 3.0} if name == "adalora" else {}
    setup = TrainingSetup(method=name, rank=rank, **surplus)
    changes = {} if name == "full" else {"rank": rank, **surplus}
    counted = card.footprint(shape(), defaults(card, **changes)).trainable_weights
    assert cost_of(shape(), setup).trainable_weights == counted
