"""The simulator against numbers worked out by hand, against itself at full depth, and through a real worker."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pegbox_hardware.forecast.setup import TrainingSetup
from pegbox_hardware.forecast.simulated import CUBLAS_WORKSPACE_BYTES, SimulationRequest, SimulationResult, Stack
from pegbox_runs.jobs import JobFailed, ask_worker
from pegbox_worker.simulation.answer import simulate
from pegbox_worker.simulation.unsupported import CannotSimulate

WIDTH, INNER, VOCABULARY, LAYERS = 256, 768, 4096, 6
LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "intermediate_size": INNER,
    "vocab_size": VOCABULARY,
    "tie_word_embeddings": False,
    "max_position_embeddings": 2048,
}
SHORT = TrainingSetup(length=256, micro_batch=2)
TRAINS_ONLY = Stack(evaluates=False)


def asked(setup: TrainingSetup, config: dict[str, Any] = LLAMA, **named: Any) -> SimulationResult:
    return simulate(SimulationRequest(config=config, setup=setup, **named))


def with_words(**words: Any) -> TrainingSetup:
    return msgspec.structs.replace(SHORT, **words)


def rounded(count: int, width: int) -> int:
    """Bytes of a tensor as the GPU's allocator rounds them."""
    return -(-count * width // 512) * 512


def test_weights_gradients_and_adams_state_are_those_counted_by_hand() -> None:
    linear = {"q": (WIDTH, 256), "k": (WIDTH, 128), "v": (WIDTH, 128), "o": (256, WIDTH)} | {
        "gate": (WIDTH, INNER),
        "up": (WIDTH, INNER),
        "down": (INNER, WIDTH),
    }
    one_layer = sum(rounded(a * b, 2) for a, b in linear.values()) + 2 * rounded(WIDTH, 2)
    tables = rounded(64 // 2, 4) * 2  # rotary frequencies, and the original ones
    base = LAYERS * one_layer + 2 * rounded(VOCABULARY * WIDTH, 2) + rounded(WIDTH, 2) + tables
    rank = 8
    adapter = LAYERS * sum(rounded(rank * a, 4) + rounded(rank * b, 4) for a, b in linear.values())
    steps = LAYERS * len(linear) * 2 * 512  # Adam counts steps on the device, once for each weight
    items = asked(with_words(rank=rank), full_depth=True, stack=TRAINS_ONLY).items
    assert items["base weights"] == base
    assert items["trainable weights"] == items["gradients"] == adapter
    assert items["optimizer"] == 2 * adapter + steps
    assert items["cuBLAS workspace"] == CUBLAS_WORKSPACE_BYTES


def test_items_add_up_to_the_peak() -> None:
    result = asked(SHORT)
    assert sum(result.items.values()) == result.allocated_bytes == max(result.phases.values())
    assert (result.reserved_bytes, result.card_bytes) == (None, None)


def test_the_card_holds_no_less_than_the_tensors() -> None:
    result = asked(SHORT, full_depth=True)
    assert result.reserved_bytes is not None
    assert sum(result.items.values()) == result.allocated_bytes <= result.reserved_bytes
    assert result.card_bytes == result.reserved_bytes + Stack().context_bytes


@pytest.mark.parametrize(
    "setup",
    [
        pytest.param(SHORT, id="lora"),
        pytest.param(with_words(method="full", accumulation=1, loss="full"), id="full"),
        pytest.param(with_words(method="qdora", checkpointing=False), id="qdora", marks=pytest.mark.slow),
        pytest.param(with_words(method="adalora"), id="adalora", marks=pytest.mark.slow),
    ],
)
def test_a_few_layers_tell_the_whole_models_peaks(setup: TrainingSetup) -> None:
    few, whole = asked(setup), asked(setup, full_depth=True)
    assert few.layers_traced < whole.layers_traced == LAYERS
    assert few.trainable_weights == whole.trainable_weights
    assert few.phases == {phase: pytest.approx(peak, rel=0.005) for phase, peak in whole.phases.items()}


@pytest.mark.slow
def test_layers_of_two_kinds_are_extended_apart() -> None:
    config = {**LLAMA, "model_type": "gemma3_text", "sliding_window": 128, "pad_token_id": 0}
    setup = with_words(padding=False, loss="full")
    few, whole = asked(setup, config), asked(setup, config, full_depth=True)
    assert few.phases == {phase: pytest.approx(peak, rel=0.005) for phase, peak in whole.phases.items()}


def test_a_mask_costs_what_the_kernel_makes_of_it() -> None:
    """At the least one boolean mask (rows, 1, length, length) for all layers."""
    plain = with_words(padding=False, loss="chunked")
    masked, bare = asked(msgspec.structs.replace(plain, padding=True)), asked(plain)
    rows = SHORT.micro_batch
    assert masked.phases["forward"] - bare.phases["forward"] >= rows * SHORT.length**2


@pytest.mark.slow
def test_paged_state_lies_on_the_card_but_not_in_the_allocator() -> None:
    """In processes of their own: bitsandbytes remembers for a whole process which weights had a state of 32 bits."""
    words = {"rank": 512, "targets": ("gate_proj",)}
    paged, plain = (
        ask_worker(
            "simulate",
            SimulationRequest(config=LLAMA, setup=with_words(optimizer=optimizer, **words), full_depth=True),
            SimulationResult,
            timeout_seconds=300,
        )
        for optimizer in ("paged_adamw_8bit", "adamw_8bit")
    )
    weights = LAYERS * 512 * (WIDTH + INNER)
    assert plain.items["optimizer"] - paged.items["optimizer"] == 2 * weights
    assert paged.reserved_bytes is not None
    assert paged.card_bytes == paged.reserved_bytes + 2 * weights + Stack().context_bytes


def test_layer_norms_give_fp32_under_autocast_as_on_a_gpu() -> None:
    import torch

    from pegbox_worker.simulation.cuda_autocast import cuda_autocast_list

    norm = torch.nn.LayerNorm(8).bfloat16()
    values = torch.ones(2, 8, dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert norm(values).dtype == torch.bfloat16
        with cuda_autocast_list():
            assert norm(values).dtype == (values.softmax(-1).dtype) == torch.float32
        assert norm(values).dtype == torch.bfloat16


def test_what_is_patched_while_tracing_is_whole_again() -> None:
    import torch
    from torch.nn import functional

    before = (functional.dropout, functional.scaled_dot_product_attention, torch.Tensor.__getitem__)
    asked(SHORT)
    assert (functional.dropout, functional.scaled_dot_product_attention, torch.Tensor.__getitem__) == before
    chosen = torch.arange(4)[torch.tensor([True, False, True, False])]
    assert chosen.tolist() == [0, 2]


@pytest.mark.parametrize(
    ("config", "setup", "said"),
    [
        ({**LLAMA, "model_type": "no-such"}, SHORT, "no-such"),
        ({"hidden_size": 8}, SHORT, "model_type"),
        (LLAMA, with_words(method="levitation"), "levitation"),
        (LLAMA, with_words(targets=("nowhere",)), "nowhere"),
    ],
)
def test_what_cannot_be_simulated_is_said_in_one_line(config: dict[str, Any], setup: TrainingSetup, said: str) -> None:
    with pytest.raises(CannotSimulate, match=said) as refused:
        asked(setup, config)
    assert "\n" not in refused.value.sentence


def test_a_library_that_is_not_here_is_not_pretended() -> None:
    with pytest.raises(CannotSimulate, match=r"0\.43\.3"):
        asked(SHORT, stack=Stack(keeps_packed_inputs=True))


def test_a_worker_answers_and_refuses() -> None:
    request = SimulationRequest(config=LLAMA, setup=SHORT)
    answer = ask_worker("simulate", request, SimulationResult, timeout_seconds=120)
    assert answer.allocated_bytes == asked(SHORT).allocated_bytes
    refused = msgspec.structs.replace(request, setup=with_words(method="levitation"))
    with pytest.raises(JobFailed, match="levitation"):
        ask_worker("simulate", refused, SimulationResult, timeout_seconds=120)


@pytest.mark.slow
def test_measured_runs_of_known_libraries_are_met_within_three_percent() -> None:
    from tests.accuracy.rows import measured_rows
    from tests.accuracy.simulated import request_of

    compared = [row for row in measured_rows() if row.source == "fms" and row.allocated]
    assert len(compared) == 8
    for row in compared:
        predicted = simulate(request_of(row, full_depth=False)).allocated_bytes
        assert predicted == pytest.approx(row.allocated, rel=0.03), row.id
