"""Whether a model fits, judged for a list: it must say what the whole advice says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pegbox_hardware.profiles import load_profiles
from pegbox_methods.advice.choose import advise
from pegbox_methods.advice.goals import Goal
from pegbox_methods.advice.places import places_of, planned_card, planned_memory
from pegbox_methods.advice.ranking import RANKED
from pegbox_methods.advice.records import Place
from pegbox_methods.recipe import Model
from pegbox_methods.registry import find_card
from pegbox_runs.catalogue import catalogue
from pegbox_runs.fitting import Wanted, fit_of, tokens_per_second
from pegbox_runs.models import FoundModel, by_catalogue
from tests.runs.made_up_machines import GIB, gpu, machine

PROFILES = load_profiles()
CARDS = [find_card(name) for name in sorted(RANKED)]
EVERY_FOURTH = [model.id for model in catalogue()][::4]


def model_of(name: str) -> FoundModel:
    found = by_catalogue(Model(name=name))
    assert found is not None
    return found


def wanted(place: Place) -> Wanted:
    return Wanted(place=place, goal=Goal(), data=None, profiles=PROFILES)


PLACES = {
    "T4": planned_card("T4", PROFILES),
    "4090": planned_card("4090", PROFILES),
    "H100": planned_card("H100", PROFILES),
    "old": planned_card("GTX 1080", PROFILES),
    "MI300X": planned_card("MI300X", PROFILES),
    "6 GiB": planned_memory(6, PROFILES),
    "processor": places_of(machine(), PROFILES)[0],
    "partly taken": places_of(machine(gpu(memory_free=9 * GIB)), PROFILES)[0],
}


@pytest.mark.parametrize("name", PLACES)
def test_the_badge_says_what_the_advice_says(name: str) -> None:
    place = PLACES[name]
    for model_id in EVERY_FOURTH:
        model = model_of(model_id)
        assert model.shape is not None
        fit = fit_of(model, wanted(place))
        advice = advise(place, model.shape, None, Goal(), CARDS, profiles=PROFILES)
        assert fit.fits == advice.fits, model_id
        if fit.fits:
            fitting = {advice.method, *(one.what for one in advice.alternatives if one.kind == "method" and one.fits)}
            assert fit.method in fitting, model_id


def test_what_lacks_less_is_named_where_nothing_fits() -> None:
    fit = fit_of(model_of("meta-llama/Llama-3.3-70B-Instruct"), wanted(PLACES["4090"]))
    assert not fit.fits
    assert fit.method == "qlora"
    assert fit.margin_bytes < -20 * GIB


def test_taken_memory_makes_the_difference() -> None:
    model = model_of("Qwen/Qwen2.5-3B-Instruct")
    free = fit_of(model, wanted(places_of(machine(gpu()), PROFILES)[0]))
    taken = fit_of(model, wanted(places_of(machine(gpu(memory_free=6 * GIB)), PROFILES)[0]))
    assert free.method == "lora"
    assert taken.method == "qlora"


def test_a_model_whose_config_tells_no_shape_says_why() -> None:
    odd = replace(model_of("Qwen/Qwen3-8B"), shape=None, config={"model_type": "bert", "architectures": ["BertModel"]})
    fit = fit_of(odd, wanted(PLACES["4090"]))
    assert not fit.fits
    assert fit.method is None
    assert "BertModel" in fit.why


def test_a_model_that_is_packed_already_says_why_it_cannot_be_tuned() -> None:
    qwen = model_of("Qwen/Qwen3-8B")
    packed = replace(qwen, config={**qwen.config, "quantization_config": {"quant_method": "bitsandbytes"}})
    fit = fit_of(packed, wanted(PLACES["4090"]))
    assert fit.method is None
    assert "quantized already (by bitsandbytes)" in fit.why


def test_a_small_model_is_faster_than_a_large_one_and_one_that_does_not_fit_has_no_speed() -> None:
    here = wanted(PLACES["processor"])
    small = tokens_per_second(model_of("HuggingFaceTB/SmolLM2-135M-Instruct"), here)
    middling = tokens_per_second(model_of("Qwen/Qwen2.5-0.5B-Instruct"), here)
    assert small is not None
    assert middling is not None
    assert small > middling > 0
    assert tokens_per_second(model_of("Qwen/Qwen2.5-72B-Instruct"), here) is None
