"""The forecast from a model's shape: what it adds up to, and what moves it which way."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pegbox_hardware.forecast.adapters import cost_of
from pegbox_hardware.forecast.memory import GIB, Forecast, Learned, forecast_memory
from pegbox_hardware.forecast.setup import TrainingSetup
from pegbox_hardware.forecast.simulated import Stack
from pegbox_hardware.forecast.static import packed_bytes, static_of
from pegbox_hardware.model_config import shape_of
from pegbox_hardware.shape import ModelShape
from tests.models_by_name import CONFIGS

MIB = 2**20


def shape_named(name: str) -> ModelShape:
    found, why = shape_of(CONFIGS[name])
    assert found is not None, why
    return found


def forecast(name: str = "llama-3.1-8b", **changes: Any) -> Forecast:
    shape, setup = shape_named(name), TrainingSetup(**changes)
    return forecast_memory(shape, setup, cost_of(shape, setup))


QLORA = {"method": "qlora", "quantization": "nf4-double", "adapter_dtype": "bf16"}
setups = st.fixed_dictionaries(
    {
        "method": st.sampled_from(["lora", "dora", "adalora", "full"]),
        "rank": st.sampled_from([1, 8, 64]),
        "micro_batch": st.sampled_from([1, 2, 8]),
        "length": st.sampled_from([64, 512, 4096]),
        "checkpointing": st.booleans(),
        "dropout": st.sampled_from([0.0, 0.05]),
        "loss": st.sampled_from(["full", "chunked", "fused"]),
        "attention": st.sampled_from(["flash", "sdpa", "eager"]),
        "padding": st.booleans(),
        "autocast": st.booleans(),
        "adapter_dtype": st.sampled_from(["fp32", "bf16"]),
        "quantization": st.sampled_from(["none", "nf4", "nf4-double"]),
        "kbit_casts": st.booleans(),
        "optimizer": st.sampled_from(["adamw", "adamw_8bit", "paged_adamw_8bit", "adafactor", "sgd"]),
        "accumulation": st.sampled_from([1, 4]),
    }
)


@pytest.mark.parametrize("name", CONFIGS)
@given(changes=setups)
def test_any_set_up_of_any_family_has_a_forecast_whose_parts_add_up(name: str, changes: dict[str, Any]) -> None:
    found = forecast(name, **changes)
    assert sum(found.items.values()) == found.allocated_bytes
    assert all(size >= 0 for size in found.items.values())
    assert found.phases[found.peak_phase] == max(found.phases.values())
    assert found.low_bytes <= found.allocated_bytes < found.card_bytes < found.safe_bytes <= found.high_bytes


@given(changes=setups, name=st.sampled_from(sorted(CONFIGS)))
def test_more_rows_longer_rows_and_a_higher_rank_never_take_less(name: str, changes: dict[str, Any]) -> None:
    base = forecast(name, **changes).allocated_bytes
    for key in ("micro_batch", "length", "rank"):
        assert forecast(name, **{**changes, key: changes[key] * 2}).allocated_bytes >= base


@given(changes=setups, name=st.sampled_from(sorted(CONFIGS)))
def test_checkpointing_never_takes_more_than_a_layers_input(name: str, changes: dict[str, Any]) -> None:
    # A layer that is computed anew lies beside its own checkpoint: a percent or so of a small model.
    on, off = (forecast(name, **{**changes, "checkpointing": way}).allocated_bytes for way in (True, False))
    assert on <= off * 1.02


def test_lora_on_all_linear_maps_of_llama_8b_at_rank_16_trains_41_943_040_weights() -> None:
    # The number PEFT prints for it: 16 x (2 x 8192 + 2 x 5120 + 3 x 18432) x 32.
    assert forecast().trainable_weights == 41_943_040


def test_adalora_is_priced_at_its_first_rank_and_with_its_averages() -> None:
    lora, adalora = forecast(rank=24), forecast(method="adalora", rank=16)
    assert adalora.trainable_weights == lora.trainable_weights + 32 * 7 * 24
    assert adalora.items["optimizer states"] == pytest.approx(2.5 * lora.items["optimizer states"], rel=0.01)


def test_nf4_weights_take_half_a_byte_and_their_scales() -> None:
    weights = 64 * 256 * 1000
    assert packed_bytes(weights, TrainingSetup(quantization="nf4")) == weights / 2 + weights / 64 * 4
    double = packed_bytes(weights, TrainingSetup(quantization="nf4-double"))
    assert double == weights / 2 + weights / 64 + weights / 64 / 256 * 4


def test_quantization_packs_linear_maps_and_leaves_head_and_embedding() -> None:
    items = forecast(**QLORA).items
    assert items["linear maps"] == pytest.approx(6_979_321_856 * (0.5 + 1 / 64 + 4 / 64 / 256), rel=1e-4)
    assert items["embeddings, head, norms"] == forecast().items["embeddings, head, norms"]


def test_falcons_linear_maps_are_not_quantized_and_the_forecast_says_so() -> None:
    found = forecast("falcon-7b", **QLORA)
    assert found.items["linear maps"] == forecast("falcon-7b").items["linear maps"]
    assert "doesn't quantize falcon" in found.notes[0]


def test_small_states_stay_out_of_the_page() -> None:
    shape = shape_named("llama-3.1-8b")
    small = TrainingSetup(optimizer="paged_adamw_8bit", rank=16, targets=("k_proj",))  # 16 x 4096 and 16 x 1024
    assert static_of(shape, small, cost_of(shape, small)).paged == 0
    large = msgspec.structs.replace(small, rank=64)
    assert static_of(shape, large, cost_of(shape, large)).paged == 32 * 64 * 4096 * 2 * (1 + 4 / 256)


def test_with_a_large_vocabulary_the_whole_loss_is_the_largest_term() -> None:
    found = forecast("qwen2.5-0.5b", loss="full")
    assert found.peak_phase == "loss"
    assert found.items["logits and loss"] > found.allocated_bytes / 2
    # 12 bytes for each token and word, and little else.
    assert found.items["logits and loss"] == pytest.approx(12 * 4096 * 151936, rel=0.02)


def test_a_larger_evaluation_batch_can_be_the_peak() -> None:
    found = forecast(micro_batch=1, evaluation_batch=16)
    assert found.peak_phase == "evaluation"
    assert forecast(micro_batch=1).peak_phase == "layer"


def test_an_answer_keeps_the_keys_and_values_of_all_layers() -> None:
    short, long = (forecast(micro_batch=1, length=length).phases["generation"] for length in (1024, 2048))
    cache = 1024 * 32 * 2 * 1024 * 2  # tokens, layers, keys and values, 8 heads of 128, bf16
    assert long - short > cache
    assert long - short < 3 * cache


def test_a_loop_that_evaluates_nothing_has_no_such_phases() -> None:
    shape, setup = shape_named("llama-3.1-8b"), TrainingSetup()
    found = forecast_memory(shape, setup, cost_of(shape, setup), stack=Stack(evaluates=False))
    assert set(found.phases) == {"layer", "loss", "optimizer"}


def test_what_is_not_known_widens_the_range_and_says_why() -> None:
    known = forecast()
    zebra, _ = shape_of({**CONFIGS["llama-3.1-8b"], "model_type": "zebra"})
    assert zebra is not None
    setup = TrainingSetup()
    unknown = forecast_memory(zebra, setup, cost_of(zebra, setup))
    assert unknown.low_bytes <= 0.85 * unknown.allocated_bytes
    assert unknown.high_bytes > known.high_bytes
    assert "unknown architecture" in unknown.notes[0]
    assert "priced as if it were LoRA" in forecast(method="boft").notes[0]
    assert known.notes == ()


def test_a_measurement_on_the_card_replaces_the_general_figures() -> None:
    shape, setup = shape_named("llama-3.1-8b"), TrainingSetup()
    taught = Learned(context_bytes=400 * MIB, reserved_ratio=1.03)
    found = forecast_memory(shape, setup, cost_of(shape, setup), learned=taught)
    assert found.card_bytes == pytest.approx(found.allocated_bytes * 1.03 + 400 * MIB, abs=2)
    assert found.safe_bytes < forecast().safe_bytes


def test_it_fits_where_the_safe_figure_is_free() -> None:
    found = forecast()
    assert found.fits(found.safe_bytes)
    assert not found.fits(found.safe_bytes - 1)
    assert not found.fits(16 * GIB)
