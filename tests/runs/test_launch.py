"""What a worker is started with."""

from __future__ import annotations

import pytest

from pegbox_hardware.machine import Gpu
from pegbox_runs import launch
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
    monkeypatch.setattr(launch, "nvidia_gpus", lambda: (gpus, ()))
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert worker_environment().get("CUDA_VISIBLE_DEVICES") == chosen


def test_nothing_is_told_to_the_hub() -> None:
    assert worker_environment()["HF_HUB_DISABLE_TELEMETRY"] == "1"
