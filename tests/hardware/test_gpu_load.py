"""What a GPU does just now, read at the drivers' boundary; each figure may fail alone."""

from __future__ import annotations

from pathlib import Path

import pynvml
import pytest

from pegbox_hardware.amd import amd_gpus
from pegbox_hardware.gpu import Gpu
from pegbox_hardware.gpu_load import GpuLoad, LoadMeter, meter_of
from pegbox_hardware.nvidia import nvidia_gpus
from tests.hardware.fake_nvml import GIB, Card, install
from tests.hardware.test_machine_files import amd_tree, write

UNKNOWN = pynvml.NVMLError_Unknown()
LOST = pynvml.NVMLError_GpuIsLost()
WHOLE = GpuLoad(
    device_use=0.87,
    temperature_c=41,
    temperature_limit_c=93,
    power_w=71.5,
    power_limit_w=450.0,
    memory_used=4 * GIB,
    memory_total=24 * GIB,
)


def of(gpu: Gpu) -> LoadMeter:
    meter = meter_of(gpu)
    assert meter is not None
    return meter


def first(*cards: Card) -> Gpu:
    (gpu, *_), _ = nvidia_gpus()
    return gpu


def test_nvidias_driver_tells_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, Card())
    meter = of(first())
    assert meter.read() == meter.read() == WHOLE
    meter.close()
    assert meter.read() == GpuLoad(temperature_limit_c=93)  # the driver is closed, and nothing raises


@pytest.mark.parametrize(
    ("name", "lacking"),
    [
        ("nvmlDeviceGetUtilizationRates", {"device_use"}),
        ("nvmlDeviceGetTemperature", {"temperature_c"}),
        ("nvmlDeviceGetTemperatureThreshold", {"temperature_limit_c"}),
        ("nvmlDeviceGetPowerUsage", {"power_w"}),
        ("nvmlDeviceGetEnforcedPowerLimit", {"power_limit_w"}),
        ("nvmlDeviceGetMemoryInfo", {"memory_used", "memory_total"}),
    ],
)
@pytest.mark.parametrize("error", [UNKNOWN, LOST], ids=["unknown", "lost"])
def test_each_of_nvidias_figures_fails_alone(
    monkeypatch: pytest.MonkeyPatch, name: str, lacking: set[str], error: Exception
) -> None:
    install(monkeypatch, Card())
    gpu = first()
    install(monkeypatch, Card(broken={name: error}))
    read = of(gpu).read()
    assert {key for key in read.__struct_fields__ if getattr(read, key) != getattr(WHOLE, key)} == lacking
    assert all(getattr(read, key) is None for key in lacking)


def test_a_slice_has_its_own_memory_and_its_card_s_heat(monkeypatch: pytest.MonkeyPatch) -> None:
    part = Card(uuid="MIG-1", total=10 * GIB, free=9 * GIB)
    install(monkeypatch, Card(name="NVIDIA A100", slices={0: part}))
    gpu = first()
    assert gpu.slice_of == 0
    assert of(gpu).read() == GpuLoad(temperature_c=41, temperature_limit_c=93, memory_used=GIB, memory_total=10 * GIB)


def test_of_several_cards_the_right_one_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, Card(uuid="GPU-a", use=5), Card(uuid="GPU-b", use=95))
    gpus, _ = nvidia_gpus()
    assert [of(gpu).read().device_use for gpu in gpus] == [0.05, 0.95]


@pytest.mark.parametrize("name", ["nvmlInit", "nvmlDeviceGetHandleByUUID"])
def test_a_driver_that_does_not_answer_gives_no_meter(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    install(monkeypatch, Card())
    gpu = first()
    install(monkeypatch, Card(), broken={name: UNKNOWN})
    assert meter_of(gpu) is None


def test_amds_files_tell_it_too_each_as_far_as_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    files = amd_tree(tmp_path)
    write(tmp_path, {"drm/card1/device/gpu_busy_percent": 64, "drm/card1/device/hwmon/hwmon4/temp1_crit": 100_000})
    one, other = (meter_of(gpu, files) for gpu in amd_gpus(files)[0])
    assert one is not None
    assert other is not None
    assert one.read() == GpuLoad(
        device_use=0.64,
        temperature_c=45.6,
        temperature_limit_c=100.0,
        power_w=150.0,
        power_limit_w=750.0,
        memory_used=100 * GIB,
        memory_total=192 * GIB,
    )
    assert other.read() == GpuLoad(memory_total=24 * GIB)
    (tmp_path / "drm/card1/device/gpu_busy_percent").write_text("nonsense\n")
    assert one.read().device_use is None


def test_what_no_driver_tells_of_has_no_meter(tmp_path: Path) -> None:
    apple = Gpu(kind="mps", index=0, name="Apple M3", uuid="", memory_total=1, memory_free=1, compute_capability=None)
    assert meter_of(apple) is None
    gone = Gpu(kind="rocm", index=7, name="AMD", uuid="", memory_total=1, memory_free=1, compute_capability=None)
    assert meter_of(gone, amd_tree(tmp_path)) is None
