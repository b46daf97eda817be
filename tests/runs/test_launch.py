"""What a worker is started with."""

from __future__ import annotations

import pytest

from pegbox_hardware import amd, nvidia
from pegbox_hardware.machine import Gpu
from pegbox_runs.launch import worker_environment


def gpu(index: int, free: int | None) -> Gpu:
    return Gpu(
        index=index, name="A GPU", uuid=f"GPU-{index}", memory_total=10, memory_free=free, compute_capability="8.0"
    )


@pytest.mark.parametrize(
    ("visible", "gpus", "chosen"),
    [
        (None, (), None),
        (None, (gpu(0, 5),), None),
        (None, (gpu(0, 5), gpu(1, 9), gpu(2, None)), "GPU-1"),
        ("2,3", (gpu(0, 5), gpu(1, 9)), "2"),
        ("1", (gpu(0, 5), gpu(1, 9)), "1"),
        ("", (gpu(0, 5), gpu(1, 9)), ""),
    ],
)
def test_one_process_sees_one_gpu(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, gpus: tuple[Gpu, ...], chosen: str | None
) -> None:
    monkeypatch.setattr(nvidia, "nvidia_gpus", lambda: (gpus, ()))
    monkeypatch.delenv("HIP_VISIBLE_DEVICES", raising=False)
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert worker_environment().get("CUDA_VISIBLE_DEVICES") == chosen


def test_one_process_sees_one_of_amds_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(nvidia, "nvidia_gpus", lambda: ((), ()))
    monkeypatch.setattr(amd, "amd_gpus", lambda: ((gpu(0, 5), gpu(1, 9)), ()))
    assert worker_environment()["HIP_VISIBLE_DEVICES"] == "1"
    monkeypatch.setenv("HIP_VISIBLE_DEVICES", "0,1")
    assert worker_environment()["HIP_VISIBLE_DEVICES"] == "0"
    assert worker_environment(one_gpu=False)["HIP_VISIBLE_DEVICES"] == "0,1"


def test_nothing_is_told_to_the_hub() -> None:
    assert worker_environment()["HF_HUB_DISABLE_TELEMETRY"] == "1"
