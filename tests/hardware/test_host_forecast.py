"""What a machine's RAM must hold while its processes read the base model."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pegbox_hardware.forecast.host import PROCESS, PROCESS_HIGH, PROCESS_LOW, host_memory
from pegbox_hardware.forecast.setup import NumberFormat, TrainingSetup
from pegbox_hardware.forecast.static import packed_bytes
from pegbox_hardware.model_config import shape_of
from pegbox_hardware.shape import ModelShape, Stored
from tests.methods.advice_situations import mixture, model_8b, model_70b, model_135m

GIB, MIB = 2**30, 2**20
MODELS = (model_8b(), model_70b(), model_135m(), mixture())


def stored(shape: ModelShape, kind: Stored | None) -> ModelShape:
    return msgspec.structs.replace(shape, stored=kind)


@pytest.mark.parametrize(
    ("kind", "setup", "each"),
    [  # of a base of 8 B (70 B): GiB that one process holds of its own
        ("bf16", {}, 0.0),
        ("fp16", {}, 15.0),
        ("bf16", {"method": "full", "dtype": "fp32"}, 29.9),
        ("bf16", {"quantization": "nf4-double"}, 0.0),
        ("bf16", {"quantization": "nf4-double", "sharded": True}, 3.4),
        ("fp32", {"quantization": "nf4-double", "sharded": True}, 5.3),
        ("bf16", {"quantization": "nf4-double", "sharded": True, "kbit_casts": True}, 7.3),
        (None, {}, 15.0),
    ],
)
def test_each_process_holds_what_it_converts_or_packs_and_shares_the_rest(
    kind: Stored | None, setup: dict[str, Any], each: float
) -> None:
    found = host_memory(stored(model_8b(), kind), TrainingSetup(processes=8, **setup))
    assert found.base_bytes / GIB == pytest.approx(each, abs=0.06)
    assert found.bytes == pytest.approx(8 * (found.base_bytes + PROCESS), rel=1e-6)
    assert (found.processes, found.low_bytes <= found.bytes <= found.high_bytes) == (8, True)


def test_it_is_what_was_measured_of_smollm2() -> None:
    """What loading a file of 513 MiB in fp32 added to one process: its anonymous memory by /proc/self/smaps_rollup."""
    shape = stored(model_135m(), "fp32")
    for setup, measured in (
        (TrainingSetup(dtype="fp32"), 3 * MIB),
        (TrainingSetup(dtype="bf16"), 259 * MIB),
        (TrainingSetup(dtype="bf16", quantization="nf4-double", sharded=True), 134 * MIB),
    ):
        found = host_memory(shape, msgspec.structs.replace(setup, processes=2))
        assert found.low_bytes <= 2 * (PROCESS_LOW + measured) <= found.high_bytes
        assert found.base_bytes == pytest.approx(measured, abs=30 * MIB)


@given(
    shape=st.sampled_from(MODELS),
    kind=st.sampled_from((None, *get_args(Stored))),
    dtype=st.sampled_from(get_args(NumberFormat)),
    quantization=st.sampled_from(("none", "nf4", "nf4-double")),
    sharded=st.booleans(),
    here=st.integers(1, 16),
    nodes=st.integers(1, 8),
)
def test_its_range_holds_it_and_only_a_machines_own_processes_count(
    shape: ModelShape, kind: Any, dtype: Any, quantization: Any, sharded: bool, here: int, nodes: int
) -> None:
    setup = TrainingSetup(dtype=dtype, quantization=quantization, sharded=sharded, processes=here)
    alone = host_memory(stored(shape, kind), setup)
    assert here * PROCESS_LOW <= alone.low_bytes + 1
    assert alone.low_bytes <= alone.bytes <= alone.high_bytes
    most = 1.1 * (4 * shape.weights + packed_bytes(shape.linear_weights, setup)) + PROCESS_HIGH
    assert alone.high_bytes <= here * most
    spread = msgspec.structs.replace(setup, processes=here * nodes)
    assert host_memory(stored(shape, kind), spread, nodes=nodes) == alone
    one = host_memory(stored(shape, kind), msgspec.structs.replace(setup, processes=1))
    assert alone.bytes == pytest.approx(here * one.bytes, abs=here)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ({"torch_dtype": "bfloat16"}, "bf16"),
        ({"dtype": "float16"}, "fp16"),
        ({"dtype": "torch.float32"}, "fp32"),
        ({}, None),
        ({"dtype": "float8_e4m3fn"}, None),
        ({"dtype": 7}, None),
        ({"dtype": "bfloat16", "quantization_config": {"quant_method": "gptq"}}, None),
    ],
)
def test_the_config_says_in_which_format_the_weights_lie(said: dict[str, Any], kind: Stored | None) -> None:
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "vocab_size": 100}
    shape, why = shape_of({"model_type": "llama", "num_attention_heads": 4, **sizes, **said})
    assert shape is not None, why
    assert shape.stored == kind
