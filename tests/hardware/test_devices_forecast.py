"""What several processes do to the forecasts of memory and time: what is parted, what is copied, what is told."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pegbox_hardware.forecast.adapters import cost_of
from pegbox_hardware.forecast.communication import exchange_of
from pegbox_hardware.forecast.memory import Forecast, forecast_memory
from pegbox_hardware.forecast.setup import Quantization, TrainingSetup
from pegbox_hardware.forecast.simulated import COLLECTIVES_BYTES
from pegbox_hardware.forecast.static import static_of
from pegbox_hardware.forecast.time import SEPARATE, SpeedUp, TimeForecast, forecast_time, speed_up
from pegbox_hardware.profile_rows import LinkRow
from pegbox_hardware.profiles import PACKAGED, load_profiles
from tests.methods.advice_situations import model_8b, model_13b, model_70b

GIB = 2**30
PROFILES = load_profiles(PACKAGED)
H100 = PROFILES.card("H100 SXM")
NVLINK = PROFILES.card_link((9, 0), 18, (5, 16))
PCIE = PROFILES.card_link((8, 9), None, (4, 16))
SHAPE = model_8b()


def memory(setup: TrainingSetup) -> Forecast:
    return forecast_memory(SHAPE, setup, cost_of(SHAPE, setup))


def time(setup: TrainingSetup, link: LinkRow | None) -> TimeForecast:
    return forecast_time(SHAPE, setup, cost_of(SHAPE, setup).trainable_weights, H100, tokens=10**6, link=link)


def gain(setup: TrainingSetup, link: LinkRow) -> SpeedUp:
    alone = msgspec.structs.replace(
        setup, processes=1, sharded=False, accumulation=setup.accumulation * setup.processes
    )
    return speed_up(SHAPE, alone, setup, cost_of(SHAPE, setup).trainable_weights, H100, link)


def test_ddp_holds_all_on_each_and_a_copy_of_the_gradients() -> None:
    setup = TrainingSetup(accumulation=2)
    one, two = memory(setup), memory(msgspec.structs.replace(setup, processes=2))
    gradients = 4 * one.trainable_weights
    assert two.items["gradients' buckets"] == gradients
    assert two.allocated_bytes == one.allocated_bytes + gradients
    assert two.card_bytes == one.card_bytes + gradients + COLLECTIVES_BYTES


@settings(deadline=None, max_examples=30)
@given(
    processes=st.integers(2, 64),
    quantization=st.sampled_from(("none", "nf4", "nf4-double")),
    accumulation=st.sampled_from((1, 4)),
    checkpointing=st.booleans(),
)
def test_a_sharded_base_is_parted_but_for_what_is_gathered_and_never_adds_up_to_less_than_the_whole(
    processes: int, quantization: Quantization, accumulation: int, checkpointing: bool
) -> None:
    setup = TrainingSetup(quantization=quantization, accumulation=accumulation, checkpointing=checkpointing)
    together = msgspec.structs.replace(setup, processes=processes, sharded=True)
    one, each = memory(setup), memory(together)
    more = memory(msgspec.structs.replace(together, processes=processes + 1))
    assert more.card_bytes <= each.card_bytes
    whole = static_of(SHAPE, setup, cost_of(SHAPE, setup)).standing
    assert processes * each.allocated_bytes >= whole
    assert each.items["gathered from the others"] > 2 * one.items["linear maps"] / SHAPE.layers
    assert sum(each.items.values()) == each.allocated_bytes


def test_a_70b_in_4_bits_over_four_devices_takes_about_what_others_measured() -> None:
    # 20,611 MiB on each of four A100 40 GB by nvidia-smi, Llama 3 70B, QLoRA with FSDP, 3,072 tokens, one row.
    # Source: philschmid/deep-learning-pytorch-huggingface, training/fsdp-qlora-distributed-llama3.ipynb
    setup = TrainingSetup(
        quantization="nf4-double", micro_batch=1, length=3072, accumulation=2, processes=4, sharded=True, padding=False
    )
    shape = model_70b()
    found = forecast_memory(shape, setup, cost_of(shape, setup))
    assert found.low_bytes < 20_611 * 2**20 < found.safe_bytes


def test_a_ring_sends_twice_the_gradients_but_for_its_own_part() -> None:
    setup = TrainingSetup(processes=4)
    sent = exchange_of(SHAPE, setup, 1_000_000)
    assert (sent.step_bytes, sent.micro_batch_bytes) == (2 * 3 / 4 * 4_000_000, 0.0)
    sharded = exchange_of(SHAPE, msgspec.structs.replace(setup, sharded=True), 1_000_000)
    assert sharded.step_bytes == 3 / 4 * 4_000_000
    base = 2 * SHAPE.weights
    assert sharded.micro_batch_bytes == pytest.approx(2 * 3 / 4 * (base + 4_000_000), rel=0.01)


def test_one_process_takes_the_time_it_always_took() -> None:
    assert time(TrainingSetup(), NVLINK) == msgspec.structs.replace(time(TrainingSetup(), None), communication=None)


@settings(deadline=None, max_examples=40)
@given(processes=st.sampled_from((2, 4, 8, 64)), accumulation=st.sampled_from((1, 2, 8)), sharded=st.booleans())
def test_several_are_never_faster_than_their_number_and_a_slower_link_never_helps(
    processes: int, accumulation: int, sharded: bool
) -> None:
    setup = TrainingSetup(processes=processes, accumulation=accumulation, sharded=sharded)
    near, far = gain(setup, NVLINK), gain(setup, PCIE)
    assert far.low <= far.likely <= far.high
    assert far.likely <= near.likely <= processes
    assert near.high <= processes * 1.01
    assert time(setup, PCIE).tokens_per_second <= time(setup, NVLINK).tokens_per_second


def test_an_adapters_gradients_cost_little_and_a_sharded_base_over_pcie_much() -> None:
    setup = TrainingSetup(processes=8, accumulation=2)
    assert gain(setup, PCIE).likely > 7
    assert gain(msgspec.structs.replace(setup, sharded=True), PCIE).likely < 4
    assert gain(msgspec.structs.replace(setup, sharded=True), NVLINK).likely > 6


def test_processes_of_a_processor_share_its_cores() -> None:
    processor = PROFILES.card("CPU avx512_bf16").with_cores(2)
    rates = [
        forecast_time(
            model_13b(),
            TrainingSetup(dtype="fp32", processes=processes, accumulation=4 // processes),
            10**6,
            processor,
            tokens=10**6,
            link=PROFILES.shared_memory,
        ).tokens_per_second
        for processes in (1, 2)
    ]
    assert rates[1] / rates[0] == pytest.approx(SEPARATE["likely"], rel=0.2)


def test_the_link_is_what_the_driver_tells_or_a_wide_range() -> None:
    assert PROFILES.card_link((9, 0), 18, (5, 16)).gbs > 300
    assert PROFILES.card_link((8, 6), 4, (4, 16)).name.startswith("NVLink bridge")
    assert PROFILES.card_link((8, 9), None, (4, 8)).gbs == PCIE.gbs / 2
    unknown = PROFILES.card_link(None, None, (None, None))
    assert unknown.gbs_high / unknown.gbs_low >= 8
    assert PROFILES.network(100).gbs == pytest.approx(9)
    assert PROFILES.network(None).gbs_high > 10 * PROFILES.network(None).gbs
