"""Time, energy and money: measured runs lie inside the forecast's range, and what must make a run slower does."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pegbox_hardware.forecast.cost import running_cost
from pegbox_hardware.forecast.setup import TrainingSetup
from pegbox_hardware.forecast.time import TimeForecast, forecast_time, rate_tflops
from pegbox_hardware.forecast.work import active_layer_weights, work_of
from pegbox_hardware.model_config import shape_of
from pegbox_hardware.profiles import load_profiles
from pegbox_hardware.shape import ModelShape

ROWS = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "reference" / "throughput.jsonl").read_text(encoding="utf-8").splitlines()
]
LLAMA_8B = next(row["model_config"] for row in ROWS if row["model"] == "llama-3-8b")
MIXTRAL = next(row["model_config"] for row in ROWS if row["model"] == "mixtral-8x7b")
CARDS = load_profiles(Path(__file__).parents[2] / "hardware" / "pegbox_hardware" / "profiles.toml")


def shape_from(config: dict[str, Any]) -> ModelShape:
    shape, why = shape_of(config)
    assert shape, why
    return shape


def lora_weights(shape: ModelShape, setup: TrainingSetup) -> int:
    return sum(count * setup.rank * (d_out + d_in) for count, _, d_out, d_in in shape.adapted(setup.targets))


def measured_forecast(row: dict[str, Any]) -> TimeForecast:
    shape, setup = shape_from(row["model_config"]), msgspec.convert(row["setup"], TrainingSetup)
    trained = shape.weights if setup.method == "full" else lora_weights(shape, setup)
    card = CARDS.card(row["card"]).with_cores(row.get("cores", 1))
    given = {"row_tokens": row["row_tokens"], "step_time_ratio": row["step_time_ratio"]}
    return forecast_time(shape, setup, trained, card, tokens=10**6, **given)


def on(
    name: str, config: dict[str, Any] | None = None, settings: dict[str, Any] | None = None, **given: Any
) -> TimeForecast:
    """Forecast LoRA of Llama-3 8B (or another model) for a million tokens on a named card."""
    shape, setup = shape_from(config or LLAMA_8B), TrainingSetup(**(settings or {}))
    trained = shape.weights if setup.method == "full" else lora_weights(shape, setup)
    return forecast_time(shape, setup, trained, CARDS.card(name), **{"tokens": 10**6} | given)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['model']}-{row['card']}-{row['tokens_per_second']:.0f}")
def test_a_measured_rate_lies_inside_the_forecast_range(row: dict[str, Any]) -> None:
    forecast = measured_forecast(row)
    assert forecast.tokens_per_second_low <= row["tokens_per_second"] <= forecast.tokens_per_second_high


def test_the_likely_rate_is_near_the_measured_one_and_the_range_is_no_excuse() -> None:
    forecasts = [(measured_forecast(row), row["tokens_per_second"]) for row in ROWS]
    errors = [abs(forecast.tokens_per_second / measured - 1) for forecast, measured in forecasts]
    assert statistics.median(errors) < 0.15
    adapters = [f for f, row in zip((f for f, _ in forecasts), ROWS, strict=True) if "CPU" not in row["card"]]
    widths = [forecast.tokens_per_second_high / forecast.tokens_per_second_low for forecast in adapters]
    assert statistics.median(widths) < 2.0


def test_every_row_says_where_it_was_published() -> None:
    assert all(row["source_repo"] and row["source_path"] and row["source_rev"] for row in ROWS)


def test_a_full_fine_tune_computes_six_flop_a_weight_and_token() -> None:
    shape = shape_from(LLAMA_8B)
    setup = TrainingSetup(method="full", checkpointing=False, loss="full", length=1, attention="flash", padding=False)
    used = active_layer_weights(shape) + shape.head_weights
    assert work_of(shape, setup, shape.weights).flops_per_token == pytest.approx(6 * used, rel=1e-4)


def test_a_frozen_base_computes_four_flop_and_two_more_with_checkpointing() -> None:
    shape = shape_from(LLAMA_8B)
    setup = TrainingSetup(checkpointing=False, loss="full", length=1, attention="flash", padding=False, rank=1)
    layers, head, adapter = active_layer_weights(shape), shape.head_weights, lora_weights(shape, setup)
    plain = work_of(shape, setup, adapter).flops_per_token
    again = work_of(shape, msgspec.structs.replace(setup, checkpointing=True), adapter).flops_per_token
    assert plain == pytest.approx(4 * (layers + head) + 6 * adapter, rel=1e-4)
    assert again - plain == pytest.approx(2 * layers + 2 * adapter, rel=1e-4)


def test_a_mixture_of_experts_counts_only_the_experts_a_token_goes_through() -> None:
    shape = shape_from(MIXTRAL)
    one_expert = 3 * 14336 * 4096
    assert active_layer_weights(shape) == shape.linear_weights + 32 * 2 * one_expert
    assert shape.expert_weights == 32 * 8 * one_expert


@pytest.mark.parametrize(
    ("slower", "faster"),
    [
        ({"checkpointing": True}, {"checkpointing": False}),
        ({"length": 16384, "micro_batch": 1}, {"length": 1024, "micro_batch": 16}),
        ({"quantization": "nf4", "micro_batch": 1}, {"quantization": "none", "micro_batch": 1}),
        ({"dtype": "fp32", "autocast": False}, {"dtype": "bf16"}),
        ({"attention": "eager"}, {"attention": "flash"}),
        ({"method": "full"}, {"targets": ("q_proj", "v_proj")}),
    ],
)
def test_more_work_makes_a_run_slower(slower: dict[str, Any], faster: dict[str, Any]) -> None:
    assert on("A100 80GB", settings=slower).seconds > on("A100 80GB", settings=faster).seconds


def test_adapting_every_linear_map_costs_a_third_more_than_adapting_attention_as_measured() -> None:
    # ms-swift, docs/source_en/LLM/Benchmark.md (rev 46922151): Qwen-7B, A100, length 2048, batch 1, flash attention,
    # checkpointing, rank 8: 4.31 rows/s with c_attn adapted, 3.22 with all linear maps, so 1.34 times the time.
    config = {**LLAMA_8B, "num_key_value_heads": 32, "intermediate_size": 11008, "vocab_size": 151936}
    settings = {"rank": 8, "length": 2048, "micro_batch": 1, "attention": "flash", "loss": "full"}
    attention = {**settings, "targets": ("q_proj", "k_proj", "v_proj")}
    every, some = on("A100 80GB", config, settings), on("A100 80GB", config, attention)
    assert 1.15 < every.seconds / some.seconds < 1.5


def test_a_small_model_in_small_batches_waits_for_launches_on_a_fast_card() -> None:
    small = {**LLAMA_8B, "hidden_size": 256, "num_attention_heads": 4, "num_key_value_heads": 4}
    small |= {"intermediate_size": 512, "vocab_size": 1000}
    assert on("H100", small, {"micro_batch": 1, "length": 128}).bound == "launch"
    assert on("A100 80GB", settings={"micro_batch": 8, "length": 2048}).bound == "compute"


def test_padding_and_a_slower_method_stretch_the_time_by_their_share() -> None:
    plain, padded, slower = on("4090"), on("4090", padding_share=0.5), on("4090", step_time_ratio=2.4)
    assert padded.seconds == pytest.approx(2 * plain.seconds)
    assert slower.seconds == pytest.approx(2.4 * plain.seconds)


def test_evaluation_costs_less_than_training_on_as_many_tokens() -> None:
    plain, with_evaluation, twice = on("4090"), on("4090", evaluation_tokens=10**6), on("4090", tokens=2 * 10**6)
    assert plain.seconds < with_evaluation.seconds < 0.8 * twice.seconds


def test_a_measured_rate_replaces_the_estimate_and_narrows_the_range() -> None:
    forecast = on("4090", measured_tokens_per_second=2000.0)
    assert (forecast.level, forecast.tokens_per_second, forecast.seconds) == ("measured", 2000.0, 500.0)
    assert forecast.seconds_low == pytest.approx(500 / 1.1)
    assert forecast.seconds_high == pytest.approx(500 / 0.9)
    assert on("4090").level == "estimated"


def test_no_tokens_take_no_time() -> None:
    assert on("4090", tokens=0).seconds == 0


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"tokens": -1}, "tokens = -1: accepted is 0 or more"),
        ({"padding_share": 1.0}, "padding_share = 1.0: accepted is from 0 to below 1"),
        ({"step_time_ratio": 0.0}, "step_time_ratio = 0.0: accepted is more than 0"),
        ({"step_time_ratio": float("nan")}, "step_time_ratio = nan"),
        ({"measured_tokens_per_second": 0.0}, "measured_tokens_per_second = 0.0"),
        ({"row_tokens": -3}, "row_tokens = -3"),
    ],
)
def test_an_absurd_count_is_refused_by_name_and_value(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        on("4090", **given)


def test_a_format_without_hardware_runs_at_the_fp32_rate() -> None:
    t4 = CARDS.card("T4")
    assert rate_tflops(t4, "bf16") == t4.fp32_tflops == 8.1
    assert rate_tflops(t4, "fp16") == 65
    assert rate_tflops(t4, "fp32", autocast=True) == 65


def test_every_card_of_the_table_gets_a_forecast_with_an_ordered_range() -> None:
    for card in CARDS.cards:
        forecast = on(card.name)
        assert 0 < forecast.seconds_low < forecast.seconds < forecast.seconds_high < float("inf"), card.name


def test_energy_follows_board_power_and_money_appears_only_with_a_price() -> None:
    card = CARDS.card("4090")
    forecast = on("4090", measured_tokens_per_second=10**6 / 3600)  # one hour
    free = running_cost(forecast, card)
    assert free.money is None
    assert free.money_high is None
    assert free.kwh == pytest.approx(0.75 * 0.45)
    assert free.kwh_low < free.kwh < free.kwh_high == pytest.approx(0.45 / 0.9)
    assert running_cost(forecast, card, price_per_hour=2.0).money == pytest.approx(2.0)
    both = running_cost(forecast, card, price_per_hour=2.0, price_per_kwh=0.3)
    assert both.money == pytest.approx(2.0 + 0.3 * free.kwh)
    assert running_cost(forecast, card, price_per_kwh=0.0).money == 0.0
    with pytest.raises(ValueError, match="price_per_hour = -1"):
        running_cost(forecast, card, price_per_hour=-1.0)
