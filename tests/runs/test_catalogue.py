"""The catalogue: its figures agree with each other, and forecasts go by it where no config.json can be had."""

from __future__ import annotations

import pytest

from pegbox.__main__ import main
from pegbox_hardware.model_config import shape_of
from pegbox_methods.recipe import Model
from pegbox_methods.refusal import Refusal
from pegbox_runs.catalogue import LICENCES, CatalogueModel, catalogue, licence_words, published
from pegbox_runs.models import by_catalogue, find_config, find_model

EACH = pytest.mark.parametrize("model", catalogue(), ids=lambda model: model.id)
BYTES = 2
"""Of a weight in 16 bits, as all of them are published."""


@EACH
def test_the_config_counts_as_many_weights_as_are_stated(model: CatalogueModel) -> None:
    shape, why = shape_of(model.config)
    assert shape is not None, why
    assert shape.known
    assert not shape.assumed
    assert abs(shape.weights / model.parameters - 1) < 0.01


@EACH
def test_the_download_is_as_large_as_its_weights(model: CatalogueModel) -> None:
    shape, _ = shape_of(model.config)
    assert shape is not None
    stored = shape.weights + (shape.vocabulary * shape.hidden if model.stores_tied_head else 0)
    assert abs(model.download_bytes / (BYTES * stored) - 1) < 0.02
    assert not model.stores_tied_head or shape.tied_head


@EACH
def test_each_says_what_it_is_good_for_and_under_which_terms(model: CatalogueModel) -> None:
    assert model.licence in LICENCES
    assert model.good_for.endswith(".")
    assert len(model.good_for) <= 80
    assert model.context is not None
    assert model.context >= 2048
    assert model.id.count("/") == 1


def test_each_is_there_once_the_smallest_first() -> None:
    models = catalogue()
    assert len({model.id for model in models}) == len(models)
    assert [model.parameters for model in models] == sorted(model.parameters for model in models)
    assert models[0].parameters < 140e6
    assert models[-1].parameters > 70e9
    assert 25 <= len(models) <= 40


def test_what_the_publishers_gate_is_said_to_be_gated() -> None:
    for model in catalogue():
        if model.id.startswith(("meta-llama/", "google/")):
            assert model.gated, model.id


def test_licences_have_room_in_their_column_and_unknown_ones_keep_their_name() -> None:
    assert all(len(licence.short) <= 8 for licence in LICENCES.values())
    assert licence_words("cc-by-nc-4.0") == "cc-by-nc-4.0"


def test_a_published_model_is_forecast_without_a_network_and_it_is_said_from_what() -> None:
    found = find_config(Model(name="Qwen/Qwen3-8B"))
    assert found.shape is not None
    assert found.shape.weights == 8_190_735_360
    assert "catalogue" in found.told
    assert found.has_template
    assert not found.complete
    assert found.reference == "Qwen/Qwen3-8B"
    assert len(found.sha256()) == 64


def test_a_revision_of_it_is_another_model_of_which_nothing_is_known() -> None:
    assert by_catalogue(Model(name="Qwen/Qwen3-8B", revision="v0")) is None
    with pytest.raises(Refusal, match="the Hub can't be reached"):
        find_config(Model(name="Qwen/Qwen3-8B", revision="v0"))


def test_its_tokenizer_is_not_known_by_heart() -> None:
    with pytest.raises(Refusal, match="the Hub can't be reached"):
        find_model(Model(name="Qwen/Qwen3-8B"))


def test_a_model_nobody_lists_is_still_refused() -> None:
    assert published("somebody/something") is None
    with pytest.raises(Refusal, match="the Hub can't be reached"):
        find_config(Model(name="somebody/something"))


def test_advice_for_a_published_model_needs_no_network(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["advise", "Qwen/Qwen3-8B", "--gpu", "4090"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "fits: lora" in said
    assert "its config.json isn't here: the sizes are those of Pegbox' catalogue" in said
