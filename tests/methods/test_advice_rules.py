"""Goals, rules of thumb, and what each of them changes in the advice."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pegbox_hardware.forecast.adapters import MethodCost, cost_of
from pegbox_hardware.forecast.memory import Learned
from pegbox_hardware.forecast.setup import TrainingSetup
from pegbox_hardware.shape import ModelShape
from pegbox_methods.advice.choose import advise
from pegbox_methods.advice.goals import Goal, parse_goal
from pegbox_methods.advice.method_settings import method_choices, settings_of
from pegbox_methods.advice.places import planned_card, planned_memory
from pegbox_methods.advice.search import lean, search
from pegbox_methods.advice.situation import situation
from pegbox_methods.card import Card, Footprint
from pegbox_methods.refusal import Refusal
from pegbox_methods.registry import find_card
from pegbox_methods.suitability import Conditions
from tests.methods.advice_situations import (
    PROFILES,
    ZOO,
    ask,
    model_3b,
    model_7b,
    model_8b,
    model_135m,
    rows,
    value,
    why,
)
from tests.runs.made_up_machines import GIB, gpu, machine


def guest(cost: MethodCost | None = None) -> Card:
    """Make a method that nobody knows, with half of LoRA's weights."""
    lora = find_card("lora")

    def footprint(shape: ModelShape, chosen: Mapping[str, Any]) -> Footprint:
        found = lora.footprint(shape, chosen)
        half = found.trainable_weights // 2
        return dataclasses.replace(found, trainable_weights=half, step_time_ratio=None, cost=cost)

    return dataclasses.replace(lora, name="guest", footprint=footprint)


def test_goals_come_one_by_one_or_joined() -> None:
    assert parse_goal(["quality,reasoning"]) == parse_goal(["quality", "reasoning"])
    assert parse_goal([]) == Goal()


@pytest.mark.parametrize(
    ("words", "said"),
    [(["qualty"], 'did you mean "quality"'), (["speed", "memory"], "exclude each other"), (["a b"], "no such goal")],
)
def test_a_goal_that_cannot_be_is_refused_in_one_line(words: list[str], said: str) -> None:
    with pytest.raises(Refusal) as refused:
        parse_goal(words)
    assert said in refused.value.sentence
    assert "\n" not in refused.value.sentence


def test_least_memory_takes_least_of_all_methods_that_fit() -> None:
    advice = ask("RTX 4090", model_8b(), rows(), priority="memory")
    others = [one.safe_bytes for one in advice.alternatives if one.kind == "method" and one.safe_bytes]
    assert advice.method == "qlora"
    assert advice.memory.safe_bytes <= min(others)
    assert value(advice, "training.micro_batch") == 1


def test_fastest_is_the_fastest_of_all_methods_that_fit() -> None:
    advice = ask("A100 80GB", model_8b(), rows(), priority="speed")
    others = [one.tokens_per_second or 0 for one in advice.alternatives if one.kind == "method" and one.fits]
    assert advice.time is not None
    assert advice.time.tokens_per_second * 1.03 >= max(others)
    assert value(advice, "method.settings.dropout") == 0


def test_the_smallest_adapter_trains_the_fewest_weights() -> None:
    small, usual = (ask("A100 80GB", model_8b(), rows(), priority=p) for p in ("small-adapter", "balanced"))
    assert small.memory.trainable_weights < usual.memory.trainable_weights
    assert "times the weights" in why(small, "dora")


def test_quality_takes_rslora_of_a_high_rank_where_it_fits() -> None:
    advice = ask("A100 80GB", model_8b(), rows(), priority="quality")
    assert (advice.method, value(advice, "method.settings.rank")) == ("rslora", 64)
    assert value(advice, "method.settings.alpha") == 64
    assert value(advice, "training.learning_rate") == find_card("rslora").learning_rate


def test_quality_at_a_low_rank_is_worth_doras_time() -> None:
    advice = ask("A100 80GB", model_8b(), rows(count=300), priority="quality")
    assert advice.method == "dora"
    assert value(advice, "method.settings.rank") <= 8


def test_adalora_is_a_thing_to_compare_and_never_the_first_choice() -> None:
    for priority in ("balanced", "quality", "memory", "speed", "small-adapter"):
        advice = ask("A100 80GB", model_8b(), rows(), priority=priority)
        assert advice.method != "adalora"
    assert "compare it" in why(ask("A100 80GB", model_8b(), rows()), "adalora")


def test_a_purpose_sets_the_rank() -> None:
    ranks = [
        value(ask("L40S", model_8b(), rows(), purpose=p), "method.settings.rank") for p in ("format", None, "domain")
    ]
    assert ranks == [8, 16, 32]


def test_few_rows_get_a_low_rank_more_dropout_and_a_warning() -> None:
    advice = ask("L40S", model_8b(), rows(count=150), purpose="domain")
    assert value(advice, "method.settings.rank") == 8
    assert value(advice, "method.settings.dropout") == 0.1
    assert any("only 150 rows" in warning for warning in advice.warnings)


def test_a_batch_is_never_larger_than_the_rows() -> None:
    assert ask("L40S", model_135m(), rows(count=5)).effective_batch == 4


def test_the_length_is_the_least_that_leaves_the_trained_tokens_within_the_profile() -> None:
    assert value(ask("L40S", model_8b(), rows(length=400)), "training.length") == 512
    cut = ask("T4", model_7b(), rows(length=2000))
    assert value(cut, "training.length") == 1024
    assert any("lose their end" in warning for warning in cut.warnings)
    assert any(one.what.startswith("length 2048") for one in cut.alternatives)


def test_evaluation_never_peaks_above_training() -> None:
    advice = ask("L40S", model_8b(), rows())
    assert value(advice, "evaluation.micro_batch") == value(advice, "training.micro_batch")
    assert advice.memory.phases["evaluation"] <= advice.memory.allocated_bytes


def test_every_value_and_alternative_says_why_and_whose_word_that_is() -> None:
    for where, model in (("T4", model_7b()), ("GTX 1650", model_8b()), ("H100", model_8b())):
        advice = ask(where, model, rows())
        assert all(choice.why and choice.source for choice in advice.choices)
        assert all(one.lost_because and one.source for one in advice.alternatives)
        considered = {one.what.partition(",")[0] for one in advice.alternatives if one.kind == "method"}
        assert considered == {card.name for card in ZOO} - {advice.method}


def test_the_price_of_each_method_is_its_own_cards_count_of_weights() -> None:
    now = situation(model_3b(), planned_card("L40S", PROFILES), Goal(), None)
    for card in ZOO:
        found = lean(card, now, "adamw")
        assert found.best.memory.trainable_weights == found.pricing.footprint.trainable_weights, card.name


def test_a_guest_is_named_as_one_that_nothing_measured_ranks_and_is_not_priced() -> None:
    def expensive(shape: ModelShape, chosen: Mapping[str, Any]) -> Footprint:
        raise AssertionError("it was priced")

    zoo = (*ZOO, dataclasses.replace(guest(), footprint=expensive))
    advice = ask("L40S", model_8b(), rows(), zoo, others=("another",), priority="small-adapter")
    assert advice.method == "lora"
    assert advice.unranked == ("another", "guest")
    assert not any(one.what.startswith("guest") for one in advice.alternatives)


def test_a_method_that_this_profile_leaves_out_is_told_with_the_others_unless_something_stands_in_its_way() -> None:
    full = dataclasses.replace(guest(), name="full")
    mac = machine(gpu(kind="mps", name="Apple M2", unified=True, compute_capability=None, uuid=""))
    advice = ask(mac, model_135m(), rows(), (*ZOO, full))
    assert advice.unranked == ("full",)
    assert "aren't tried on such a device" in why(advice, "qlora")


def test_a_guests_price_is_its_own_weights_in_a_wide_range() -> None:
    now = situation(model_8b(), planned_card("L40S", PROFILES), Goal(), None)
    ours, theirs = (lean(card, now, "adamw").best.memory for card in (find_card("lora"), guest()))
    assert theirs.trainable_weights == ours.trainable_weights // 2
    assert theirs.high_bytes / theirs.low_bytes > 1.3 > ours.high_bytes / ours.low_bytes
    assert theirs.notes


def test_a_guests_own_cost_is_believed() -> None:
    cost = cost_of(model_8b(), TrainingSetup(rank=1))
    now = situation(model_8b(), planned_card("L40S", PROFILES), Goal(), None)
    assert lean(guest(cost), now, "adamw").best.memory.trainable_weights == cost.trainable_weights


def test_guests_alone_are_no_ground_for_advice() -> None:
    with pytest.raises(Refusal, match="none is installed that the profile table ranks"):
        ask("L40S", model_8b(), rows(), (guest(),))


def test_what_a_probe_learned_of_the_card_replaces_the_guess() -> None:
    place = planned_card("L40S", PROFILES)
    learned = Learned(context_bytes=3 * GIB, reserved_ratio=1.5)
    guessed, taught = (
        advise(place, model_8b(), rows(), Goal(), ZOO, profiles=PROFILES, learned=known)
        for known in (None, {place.name: learned})
    )
    assert taught.memory.card_bytes >= 1.5 * taught.memory.allocated_bytes + 3 * GIB - 2
    assert guessed.memory.card_bytes < 1.5 * guessed.memory.allocated_bytes
    assert any("probe" in warning for warning in taught.warnings)


def test_what_is_usable_is_the_free_memory_without_the_margin() -> None:
    taken = gpu(memory_free=10 * GIB)
    place = ask(machine(taken), model_135m(), rows()).place
    assert place.usable_bytes == 10 * GIB - round(place.policy.margin * 24 * GIB)
    planned = planned_card("RTX 4090", PROFILES)
    assert planned.usable_bytes < planned.memory_total * (1 - planned.policy.margin)


def test_many_guests_cost_nothing() -> None:
    crowd = tuple(dataclasses.replace(guest(), name=f"guest-{number}") for number in range(100))
    alone, crowded = (ask("A100 80GB", model_8b(), rows(), zoo) for zoo in (ZOO, (*ZOO, *crowd)))
    assert len(crowded.unranked) == 100
    assert msgspec.structs.replace(crowded, unranked=()) == alone


def test_no_method_at_all_is_refused_with_what_to_do() -> None:
    with pytest.raises(Refusal, match=r"isn't installed. Install it with: pip install"):
        ask("L40S", model_8b(), None, (find_card("qlora"),), given=Conditions(bitsandbytes=False))


def test_a_reason_that_holds_for_every_method_is_told_once() -> None:
    with pytest.raises(Refusal) as refused:
        ask("L40S", model_8b(), None, given=Conditions(packed_by="bitsandbytes"))
    assert refused.value.sentence.count("quantized already (by bitsandbytes)") == 1
    assert "adalora, dora, lora, qlora, rslora: " in refused.value.sentence
    assert "Name the original model" in refused.value.sentence


def test_settings_are_accepted_by_the_methods_own_card() -> None:
    for name in ("GTX 1650", "T4", "H200", "Apple M1"):
        now = situation(model_3b(), planned_card(name, PROFILES), Goal(priority="quality"), rows(count=100))
        for card in ZOO:
            chosen = settings_of(method_choices(card, now))
            assert all(setting.accepts(chosen[setting.name]) for setting in card.settings)


MODELS = st.sampled_from([model_135m(), model_3b(), model_7b(), model_8b()])
GOALS = st.builds(
    Goal,
    priority=st.sampled_from(["balanced", "quality", "memory", "speed", "small-adapter"]),
    purpose=st.sampled_from([None, "format", "domain", "reasoning"]),
)


@settings(max_examples=40, deadline=None)
@given(st.floats(min_value=1, max_value=200), MODELS, GOALS, st.integers(1, 50_000), st.integers(16, 5000))
def test_what_is_advised_fits_by_its_own_forecast_or_says_that_it_does_not(
    vram: float, model: ModelShape, goal: Goal, count: int, length: int
) -> None:
    place = planned_memory(vram, PROFILES)
    advice = ask(place, model, rows(count, length), **msgspec.structs.asdict(goal))
    assert advice.fits == (advice.memory.safe_bytes <= place.usable_bytes)
    assert advice.fits == (advice.margin_bytes >= 0)
    training = advice.settings["training"]
    assert training["micro_batch"] * training["accumulation"] == advice.effective_batch <= max(1, count)
    assert training["length"] <= (model.positions or 10**9)
    if not advice.fits:
        assert not any(one.fits for one in advice.alternatives if one.kind == "method")


@settings(max_examples=20, deadline=None)
@given(st.floats(min_value=4, max_value=100), MODELS, st.integers(1, 50_000))
def test_the_effective_batch_is_the_same_for_every_micro_batch_that_is_tried(
    vram: float, model: ModelShape, count: int
) -> None:
    now = situation(model, planned_memory(vram, PROFILES), Goal(), rows(count))
    for card in ZOO:
        batches = {trial.setup.micro_batch * trial.setup.accumulation for trial in search(card, now, "adamw").tried}
        assert batches == {now.batch.value}


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(["RTX 3060", "T4", "RTX 4090", "A100 80GB", "H200"]), MODELS, st.integers(100, 50_000))
def test_no_other_batch_that_fits_is_faster_worth_speaking_of(name: str, model: ModelShape, count: int) -> None:
    now = situation(model, planned_card(name, PROFILES), Goal(), rows(count))
    found = search(find_card("qlora"), now, "adamw")
    sizes = [1 << power for power in range(now.batch.value.bit_length())]
    every = [found.pricing.trial(size, checkpointing=state) for size in sizes for state in (True, False)]
    top = max((trial.speed for trial in every if trial.fits), default=0.0)
    assert found.best.speed >= top * 0.95 or not found.fits
