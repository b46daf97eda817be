"""The machine and a model's shape, with fakes at the library's boundary."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from pegbox_hardware.machine import nvidia_gpus, probe, processor
from pegbox_hardware.shape import read_shape, shape_of

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 576,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "intermediate_size": 1536,
    "vocab_size": 49152,
    "tie_word_embeddings": True,
    "max_position_embeddings": 8192,
}


def test_this_machine_can_be_probed() -> None:
    machine = probe()
    assert machine.cores >= 1
    assert 2**28 < machine.memory_available <= machine.memory_total


def test_the_processors_matrix_instructions_are_read(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: A CPU\nflags\t\t: fpu avx2 avx512f avx512_bf16\n\nprocessor: 1\n")
    assert processor(cpuinfo) == ("A CPU", ("avx2", "avx512f", "avx512_bf16"))
    assert processor(tmp_path / "nowhere")[1] == ()


class Card:
    """One fake device behind NVML's functions."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **answers: Any) -> None:
        told: dict[str, Any] = {
            "nvmlInit": lambda: None,
            "nvmlShutdown": lambda: None,
            "nvmlDeviceGetCount": lambda: 1,
            "nvmlDeviceGetHandleByIndex": lambda index: index,
            "nvmlDeviceGetMemoryInfo": lambda _: SimpleNamespace(total=24 * 2**30, free=20 * 2**30),
            "nvmlDeviceGetCudaComputeCapability": lambda _: (8, 9),
            "nvmlDeviceGetName": lambda _: "NVIDIA GeForce RTX 4090",
            "nvmlDeviceGetUUID": lambda _: "GPU-1",
            **answers,
        }
        for name, function in told.items():
            monkeypatch.setattr(pynvml, name, function)


def raises(error: Exception) -> Any:
    def function(*_: Any) -> None:
        raise error

    return function


def test_a_gpu_is_described_by_its_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    Card(monkeypatch)
    ((gpu,), findings) = nvidia_gpus()
    assert (gpu.name, gpu.memory_free, gpu.compute_capability) == ("NVIDIA GeForce RTX 4090", 20 * 2**30, "8.9")
    assert findings == ()


def test_unified_memory_has_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    Card(monkeypatch, nvmlDeviceGetMemoryInfo=raises(pynvml.NVMLError_NotSupported()))
    ((gpu,), _) = nvidia_gpus()
    assert gpu.memory_total is None


@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED])
def test_a_machine_without_a_driver_is_whole(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    Card(monkeypatch, nvmlInit=raises(pynvml.NVMLError(code)))
    assert nvidia_gpus() == ((), ())


@pytest.mark.parametrize("place", ["nvmlInit", "nvmlDeviceGetHandleByIndex", "nvmlDeviceGetCount"])
def test_a_driver_that_fails_is_a_finding_and_never_an_error(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    Card(monkeypatch, **{place: raises(pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST))})
    gpus, (finding,) = nvidia_gpus()
    assert gpus == ()
    assert "NVIDIA driver" in finding


def test_a_llamas_shape_is_read_from_its_config(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(LLAMA))
    shape, why = read_shape(path)
    assert why == ""
    assert shape is not None
    assert shape.matrices["k_proj"] == (192, 576)
    assert shape.matrices["down_proj"] == (576, 1536)
    assert (shape.layers, shape.positions, shape.tied_head) == (30, 8192, True)


def test_an_unknown_model_has_a_reason_in_place_of_a_shape() -> None:
    assert shape_of({**LLAMA, "model_type": "martian"}) == (
        None,
        "model type 'martian' is not one whose matrices Pegbox knows",
    )
    assert shape_of({**LLAMA, "num_attention_heads": 0})[0] is None
    lacking = {key: value for key, value in LLAMA.items() if key != "hidden_size"}
    assert shape_of(lacking) == (None, "config.json gives no number for hidden_size")
