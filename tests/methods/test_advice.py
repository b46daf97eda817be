"""The advice on a dozen made-up machines: the method, the number format, whether it fits, and a sound reason."""

from __future__ import annotations

import json
from collections.abc import Callable

import msgspec
import pytest

from pegbox_hardware.gpu import Holder
from pegbox_hardware.shape import ModelShape
from pegbox_methods.advice.changes import _rounded, _rounded_down
from pegbox_methods.advice.data_card import DataCard
from pegbox_methods.advice.places import planned_memory
from pegbox_methods.refusal import Refusal
from pegbox_methods.suitability import Conditions
from tests.methods.advice_situations import (
    PROFILES,
    ask,
    falcon,
    mixture,
    model_1b5,
    model_3b,
    model_7b,
    model_8b,
    model_13b,
    model_70b,
    model_135m,
    rows,
    shape,
    value,
    why,
)
from tests.runs.made_up_machines import GIB, gpu, machine


def test_a_laptop_of_4_gib_takes_a_small_model_packed_into_4_bits() -> None:
    advice = ask("RTX 3050 Laptop GPU", model_1b5(), rows(length=250))
    assert (advice.method, advice.fits, value(advice, "training.precision")) == ("qlora", True, "bfloat16")
    assert value(advice, "training.optimizer") == "paged_adamw_8bit"
    assert value(advice, "method.settings.rank") <= 8
    assert why(advice, "lora").startswith("lacks")


def test_a_t4_trains_a_7b_in_4_bits_and_float16_with_an_fp32_adapter() -> None:
    advice = ask("T4", model_7b(), rows())
    assert (advice.method, advice.fits, value(advice, "training.precision")) == ("qlora", True, "float16")
    precision = next(choice for choice in advice.choices if choice.key == "training.precision")
    assert "8.0" in precision.why
    assert "adapter stays fp32" in precision.why


def test_a_3060_trains_an_8b_in_4_bits_and_bfloat16() -> None:
    advice = ask("RTX 3060", model_8b(), rows())
    assert (advice.method, advice.fits, value(advice, "training.precision")) == ("qlora", True, "bfloat16")
    assert "doesn't fit in 16 bits" in advice.choices[0].why


def test_an_8b_on_a_4090_is_trained_in_16_bits_only_where_that_leaves_its_margin() -> None:
    short, long = ask("RTX 4090", model_8b(), rows(length=250)), ask("RTX 4090", model_8b(), rows(length=6000))
    assert short.method == "lora"
    assert short.fits
    assert short.margin_bytes >= 0
    assert long.fits
    assert long.method in ("lora", "qlora")
    if long.method == "qlora":
        assert why(long, "lora").startswith("lacks")


def test_an_a100_has_room_for_plain_lora_of_an_8b_and_says_what_packing_would_cost() -> None:
    advice = ask("A100 80GB", model_8b(), rows())
    assert (advice.method, advice.fits, value(advice, "training.activation_checkpointing")) == ("lora", True, "off")
    assert "unpacks every weight" in why(advice, "qlora")


def test_two_cards_of_24_gib_are_never_one_of_48() -> None:
    two = machine(gpu(), gpu(index=1, uuid="GPU-second", memory_free=23.5 * GIB))
    advice = ask(two, model_13b(), rows())
    assert (advice.method, advice.fits) == ("qlora", True)
    assert advice.memory.safe_bytes < 24 * GIB
    assert advice.place.uuid == "GPU-second"
    assert any("doesn't add up" in note for note in advice.place.notes)


def test_an_h100_trains_a_70b_in_4_bits() -> None:
    advice = ask("H100 SXM", model_70b(), rows())
    assert (advice.method, advice.fits, value(advice, "training.precision")) == ("qlora", True, "bfloat16")
    assert value(advice, "training.learning_rate") == pytest.approx(1e-4)


def test_a_mac_of_16_gib_takes_16_bit_weights_and_keeps_a_quarter_of_its_ram_free() -> None:
    mac = gpu(kind="mps", name="Apple M2", unified=True, compute_capability=None, uuid="")
    mac = msgspec.structs.replace(mac, memory_total=16 * GIB, memory_free=14 * GIB)
    advice = ask(machine(mac), model_3b(), rows(length=250))
    assert (advice.method, value(advice, "training.precision"), advice.place.margin) == ("lora", "bfloat16", 0.25)
    assert advice.fits
    assert any("RAM" in note for note in advice.place.notes)
    assert "4-bit" in why(advice, "qlora")


def test_a_processor_trains_a_small_model_with_fp32_weights_in_its_ram() -> None:
    advice = ask(machine(memory_total=16 * GIB, memory_available=14 * GIB, cores=2), model_135m(), rows(length=250))
    assert (advice.method, advice.fits, value(advice, "training.precision")) == ("lora", True, "bfloat16")
    assert advice.memory.items["linear maps"] > 4 * 100e6
    assert "its weights in fp32, computing in bfloat16:" in advice.choices[0].why
    old = ask(machine(cpu_flags=("avx2",)), model_135m(), rows(length=250))
    assert value(old, "training.precision") == "float32"
    assert "its weights in fp32:" in old.choices[0].why


def test_a_gpu_whose_memory_is_unknown_is_not_counted_on_and_the_advice_says_so() -> None:
    blind = gpu(memory_total=None, memory_free=None)
    advice = ask(machine(blind), model_135m(), rows(length=250))
    assert advice.place.accelerator == "cpu"
    assert "pegbox doctor" in advice.place.notes[0]


def test_a_v100_has_no_bfloat16() -> None:
    advice = ask("V100 SXM2 16GB", model_7b(), rows())
    assert (advice.method, advice.fits, value(advice, "training.precision")) == ("qlora", True, "float16")
    assert "efficient" in next(choice.why for choice in advice.choices if choice.key == "attention")


def test_memory_that_somebody_else_holds_does_not_count() -> None:
    taken = gpu(memory_free=9 * GIB, holders=(Holder(pid=4711, name="python", memory=15 * GIB),))
    advice = ask(machine(taken), model_8b(), rows(length=250))
    assert (advice.method, advice.fits) == ("qlora", True)
    full = ask(machine(msgspec.structs.replace(taken, memory_free=2 * GIB)), model_8b(), rows(length=250))
    assert not full.fits
    assert full.changes[0].what.startswith("free ")
    assert "python (4711)" in full.changes[0].what


def test_an_unknown_architecture_is_advised_with_a_wide_range_and_says_so() -> None:
    advice = ask("A100 80GB", shape(model_type="unheard_of"), rows())
    known = ask("A100 80GB", model_8b(), rows())
    assert advice.fits
    spread = [one.memory.high_bytes / one.memory.low_bytes for one in (advice, known)]
    assert spread[0] > 1.15 / 0.85
    assert spread[0] > spread[1]
    assert any("unheard_of" in warning for warning in advice.warnings)


def test_where_nothing_fits_it_says_what_would() -> None:
    advice = ask("GTX 1650", model_8b(), rows(length=500))
    assert not advice.fits
    assert advice.margin_bytes < 0
    said = " ".join(change.what for change in advice.changes)
    assert "a model of at most about" in said
    assert "a card of" in said
    assert all(not one.fits for one in advice.alternatives if one.kind == "method")


def test_a_shorter_length_is_named_where_it_would_help_and_it_does() -> None:
    helped = 0
    for quarter_gib in range(28, 44):
        place = planned_memory(quarter_gib / 4, PROFILES)
        advice = ask(place, model_8b(), rows(length=1000))
        shorter = [change.overrides["training.length"] for change in advice.changes if change.overrides]
        if shorter:
            helped += 1
            assert not advice.fits
            assert ask(place, model_8b(), rows(length=shorter[0], limits=(shorter[0],))).fits
    assert helped


def test_the_card_that_would_help_does() -> None:
    advice = ask("RTX 4060", model_13b(), rows(length=500))
    named = next(change.what for change in advice.changes if change.what.startswith("a card of"))
    assert ask(named.partition(": ")[2].partition(",")[0], model_13b(), rows(length=500)).fits


@pytest.mark.parametrize(("card", "model"), [("T4", model_8b), ("GTX 1650", model_8b), ("RTX 3060", model_13b)])
@pytest.mark.parametrize("given", [Conditions(), Conditions(packed_by="gptq")], ids=["16-bit", "packed"])
@pytest.mark.parametrize("data", [None, rows(length=900)])
def test_every_card_that_would_help_does_under_the_same_conditions(
    card: str, model: Callable[[], ModelShape], given: Conditions, data: DataCard | None
) -> None:
    advice = ask(card, model(), data, given=given)
    named = [change.what.partition(": ")[2] for change in advice.changes if change.what.startswith("a card of")]
    assert advice.fits or named
    for name in ", ".join(named).removesuffix(", ...").split(", ") if named else ():
        assert ask(name, model(), data, given=given).fits, name


@pytest.mark.parametrize(
    ("architecture", "card", "warned"),
    [
        ("gemma2", "T4", True),
        ("gemma3_text", "V100", True),
        ("gemma2", "L4", False),
        ("llama", "T4", False),
    ],
)
def test_gemma_in_float16_comes_with_what_is_known_of_it(architecture: str, card: str, warned: bool) -> None:
    advice = ask(card, msgspec.structs.replace(model_1b5(), architecture=architecture), rows())
    assert any("exceed float16's range" in warning for warning in advice.warnings) is warned


def test_sizes_of_models_are_said_without_exponents_and_a_limit_is_never_rounded_up() -> None:
    huge = shape(hidden_size=18432, num_hidden_layers=200, num_attention_heads=144, intermediate_size=65536)
    said = [change.what for change in ask("T4", huge, rows()).changes if change.what.startswith("a model of")]
    assert [text.partition(" in place of ")[2] for text in said] == [f"{huge.weights / 1e9:.0f} B"]
    assert [
        _rounded_down(size) for size in (189_600_000, 7_990_000_000, 999_999_999, 1_000_000_000, 668_400_000_000)
    ] == [
        "180 M",
        "7.9 B",
        "990 M",
        "1 B",
        "660 B",
    ]
    assert [_rounded(size) for size in (671_026_419_200, 8_030_261_248, 134_515_008, 5_200_000, 900_000)] == [
        "671 B",
        "8 B",
        "135 M",
        "5.2 M",
        "0.900 M",
    ]


@pytest.mark.parametrize("gib", [0, -1, 1e12, float("inf"), float("nan")])
def test_an_amount_of_memory_that_cannot_be_is_refused_with_both_its_bounds(gib: float) -> None:
    with pytest.raises(Refusal, match="above 0 and at most 100000"):
        planned_memory(gib, PROFILES)


def test_a_mixture_of_experts_gets_adapters_on_attention_alone_and_no_4_bit_base() -> None:
    advice = ask("H100 SXM", mixture(), rows())
    assert value(advice, "method.settings.targets") == "attention"
    assert advice.method != "qlora"
    assert "experts" in why(advice, "qlora")


def test_a_falcon_is_never_packed_without_a_word() -> None:
    advice = ask("RTX 3060", falcon(), rows())
    assert advice.method != "qlora"
    assert "leaves falcon's own class of linear maps alone" in why(advice, "qlora")


def test_a_mig_slice_has_its_own_memory_and_an_unknown_speed() -> None:
    slice_of = gpu(name="NVIDIA A100-SXM4-80GB", memory_total=10 * GIB, memory_free=10 * GIB, slice_of=0)
    advice = ask(machine(slice_of), model_8b(), rows(length=250))
    assert advice.place.memory_total == 10 * GIB
    assert advice.time is None
    assert "MIG" in (advice.time_unknown or "")
    assert advice.method == "qlora"


def test_unified_memory_keeps_a_larger_margin() -> None:
    spark = gpu(name="NVIDIA GB10", unified=True, memory_total=120 * GIB, memory_free=110 * GIB)
    spark = msgspec.structs.replace(spark, compute_capability="12.1")
    assert ask(machine(spark), model_8b(), rows()).place.margin > ask("H200", model_8b(), rows()).place.margin


def test_the_whole_record_is_json() -> None:
    advice = ask("T4", model_7b(), rows(), price_per_hour=0.5)
    assert advice.cost is not None
    assert advice.cost.money is not None
    assert json.loads(msgspec.json.encode(advice))["settings"]["training"]["precision"] == "float16"
