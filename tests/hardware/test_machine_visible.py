"""CUDA_VISIBLE_DEVICES in all its forms."""

from __future__ import annotations

import pytest

from pegbox_hardware.gpu import Gpu
from pegbox_hardware.nvidia import nvidia_gpus
from pegbox_hardware.visible import visible
from tests.hardware.fake_nvml import Card, install


def gpu(index: int, uuid: str, *, slice_of: int | None = None, name: str = "A GPU") -> Gpu:
    return Gpu(
        index=index,
        name=name,
        uuid=uuid,
        slice_of=slice_of,
        memory_total=None,
        memory_free=None,
        compute_capability=None,
    )


FOUR = (gpu(0, "GPU-aa11"), gpu(1, "GPU-aa22"), gpu(0, "MIG-c1", slice_of=2), gpu(1, "MIG-c2", slice_of=2))


@pytest.mark.parametrize(
    ("chosen", "kept", "trouble"),
    [
        (None, "GPU-aa11 GPU-aa22 MIG-c1 MIG-c2", ""),
        ("0", "GPU-aa11", ""),
        ("1, 0", "GPU-aa22 GPU-aa11", ""),
        ("2", "MIG-c1", ""),
        ("GPU-aa2", "GPU-aa22", ""),
        ("GPU-aa22,GPU-aa11", "GPU-aa22 GPU-aa11", ""),
        ("MIG-c2,MIG-c1", "MIG-c2 MIG-c1", ""),
        ("", "", "hides every GPU"),
        ("-1", "", "hides every GPU"),
        ("1,-1,0", "GPU-aa22", ""),
        ("1,7,0", "GPU-aa22", '"7" names no device, and CUDA ends the list there. The cards here: 0, 1, 2.'),
        ("GPU-aa", "", '"GPU-aa" names several devices'),
        ("G", "", '"G" names no device'),
        ("none", "", '"none" names no device'),
        ("0,0", "", 'names "0" twice'),
    ],
)
def test_the_devices_that_cuda_would_show(chosen: str | None, kept: str, trouble: str) -> None:
    gpus, troubles = visible(FOUR, chosen)
    assert " ".join(gpu.uuid for gpu in gpus) == kept
    assert len(troubles) == bool(trouble)
    assert all(trouble in found.sentence for found in troubles)


def test_hiding_devices_where_there_are_none_is_no_finding() -> None:
    assert visible((), "-1") == ((), ())


def test_numbers_among_unlike_cards_may_mean_another(monkeypatch: pytest.MonkeyPatch) -> None:
    cards = (gpu(0, "GPU-a", name="T4"), gpu(1, "GPU-b", name="A100"))
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)
    _, (trouble,) = visible(cards, "1")
    assert trouble.command == "export CUDA_DEVICE_ORDER=PCI_BUS_ID"
    assert visible(cards, "GPU-a")[1] == ()
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    assert visible(cards, "1")[1] == ()


def test_the_variable_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, *(Card(uuid=f"GPU-{letter}") for letter in "abc"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,0,9")
    gpus, (trouble,) = nvidia_gpus()
    assert [gpu.uuid for gpu in gpus] == ["GPU-c", "GPU-a"]
    assert trouble.about == "cuda-visible-devices"
