"""The machine: NVIDIA's devices through a made-up NVML, and what holds on every machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pynvml
import pytest

from pegbox_hardware import machine as machine_module
from pegbox_hardware import nvidia
from pegbox_hardware.gpu import Gpu, Holder
from pegbox_hardware.machine import Machine, probe
from pegbox_hardware.memory import Memory
from pegbox_hardware.nvidia import nvidia_gpus
from tests.hardware.fake_nvml import FIGURES, GIB, Card, install

LOST = pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
UNKNOWN = pynvml.NVMLError(pynvml.NVML_ERROR_UNKNOWN)


def test_this_machine_can_be_probed_without_torch(tmp_path: Path) -> None:
    program = (
        "import sys, msgspec; from pathlib import Path; from pegbox_hardware.machine import probe\n"
        f"print(msgspec.json.encode(probe({{'runs': Path({str(tmp_path)!r})}})).decode())\n"
        "print('torch' in sys.modules, 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    said, heavy = done.stdout.splitlines()
    assert heavy == "False False"
    machine = msgspec.json.decode(said, type=Machine)
    assert machine.cores >= 1
    assert 2**28 < machine.memory_available <= machine.memory_total
    assert machine.disks[0].what == "runs"
    assert machine.disks[0].free


def test_one_gpu_is_described_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, Card())
    assert nvidia_gpus() == (
        (
            Gpu(
                kind="cuda",
                index=0,
                name="NVIDIA GeForce RTX 4090",
                uuid="GPU-8f3a0000-1111",
                memory_total=24 * GIB,
                memory_free=20 * GIB,
                compute_capability="8.9",
                pcie_generation=4,
                pcie_lanes=16,
                driver="570.86.15",
                cuda="12.8",
                temperature_c=41,
                power_w=71.5,
                power_limit_w=450.0,
            ),
        ),
        (),
    )


def test_eight_gpus_and_mixed_ones_keep_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, *(Card(uuid=f"GPU-{n}", free=n * GIB) for n in range(8)))
    gpus, troubles = nvidia_gpus()
    assert [(gpu.index, gpu.memory_free) for gpu in gpus] == [(n, n * GIB) for n in range(8)]
    assert troubles == ()
    install(monkeypatch, Card(), Card(name="Tesla T4", uuid="GPU-t4", total=15 * GIB, capability=(7, 5)))
    gpus, troubles = nvidia_gpus()
    assert [(gpu.name, gpu.compute_capability) for gpu in gpus] == [
        ("NVIDIA GeForce RTX 4090", "8.9"),
        ("Tesla T4", "7.5"),
    ]
    assert troubles == ()


def test_the_links_of_a_card_are_counted_as_far_as_the_driver_knows_them(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, Card(nvlinks=12, pcie=(5, 16)))
    (card,), _ = nvidia_gpus()
    assert (card.nvlinks, card.pcie_generation, card.pcie_lanes) == (12, 5, 16)


def test_mig_slices_are_devices_and_the_card_they_are_cut_from_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    cut = {
        0: Card(name="NVIDIA A100 MIG 1g.5gb", uuid="MIG-a", total=5 * GIB, free=4 * GIB, computing=[(7, GIB)]),
        3: Card(name="NVIDIA A100 MIG 2g.10gb", uuid="MIG-b", total=10 * GIB, free=10 * GIB),
    }
    for piece in cut.values():  # as NVML does: heat, power and capability are the whole card's
        piece.broken = {
            name: pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
            for name in ("nvmlDeviceGetCudaComputeCapability", "nvmlDeviceGetTemperature", "nvmlDeviceGetPowerUsage")
        }
    install(monkeypatch, Card(uuid="GPU-w"), Card(name="NVIDIA A100", uuid="GPU-x", capability=(8, 0), slices=cut))
    gpus, troubles = nvidia_gpus()
    told = [(gpu.uuid, gpu.slice_of, gpu.index, gpu.memory_total, gpu.compute_capability) for gpu in gpus]
    assert told == [
        ("GPU-w", None, 0, 24 * GIB, "8.9"),
        ("MIG-a", 1, 0, 5 * GIB, "8.0"),
        ("MIG-b", 1, 3, 10 * GIB, "8.0"),
    ]
    assert [holder.pid for holder in gpus[1].holders] == [7]
    assert troubles == ()


def test_a_card_set_to_be_cut_but_without_slices_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, Card(slices={}))
    gpus, (trouble,) = nvidia_gpus()
    assert gpus == ()
    assert trouble.command == "sudo nvidia-smi -i 0 -mig 0"


def test_unified_memory_is_the_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    ram = Memory(total=120 * GIB, available=90 * GIB, limit=None, host_total=120 * GIB)
    monkeypatch.setattr(nvidia, "read_memory", lambda: ram)
    install(monkeypatch, Card(name="NVIDIA GB10", total=None, capability=(12, 1)))
    (gpu,), troubles = nvidia_gpus()
    assert (gpu.unified, gpu.memory_total, gpu.memory_free) == (True, 120 * GIB, 90 * GIB)
    assert troubles == ()


def test_who_holds_half_the_memory_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    card = Card(
        free=12 * GIB,
        computing=[(41, 2 * GIB), (42, 9 * GIB), (43, None)],
        drawing=[(41, GIB), (44, None)],
    )
    install(monkeypatch, card, programs={41: "/opt/firefox --tab", 42: "/home/ada/my/python3.11", 44: "[Not Found]"})
    (gpu,), _ = nvidia_gpus()
    assert gpu.memory_free == 12 * GIB
    assert gpu.holders == (
        Holder(pid=42, name="python3.11", memory=9 * GIB),
        Holder(pid=41, name="firefox", memory=2 * GIB),
        Holder(pid=43, name=None, memory=None),
        Holder(pid=44, name=None, memory=None),
    )


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_that_fails_takes_no_other_with_it(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    install(monkeypatch, Card())
    (whole,), _ = nvidia_gpus()
    install(monkeypatch, Card(broken={name: UNKNOWN}))
    (gpu,), troubles = nvidia_gpus()
    differing = [key for key in gpu.__struct_fields__ if getattr(gpu, key) != getattr(whole, key)]
    assert len(differing) <= (2 if name == "nvmlDeviceGetMemoryInfo" else 1), differing
    assert troubles == ()


@pytest.mark.parametrize("name", ["handle", *FIGURES])
def test_a_gpu_that_vanishes_at_any_call_is_a_finding_and_the_others_stay(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    whole = {0: Card(uuid="MIG-x")}  # cut into slices, so that every function is reached
    slices = whole if "Mig" in name and name != "nvmlDeviceGetMigMode" else None
    lost = Card(uuid="GPU-lost", broken={name: LOST}, slices=slices)
    install(monkeypatch, Card(uuid="GPU-a"), lost, Card(uuid="GPU-c"))
    gpus, (trouble,) = nvidia_gpus()
    assert [gpu.uuid for gpu in gpus] == ["GPU-a", "GPU-c"]
    assert trouble.about == "gpu-lost"
    assert trouble.sentence.startswith("GPU 1 can't be reached any more")


def test_a_gpu_that_may_not_be_opened_is_another_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, Card(broken={"handle": pynvml.NVMLError(pynvml.NVML_ERROR_NO_PERMISSION)}))
    gpus, (trouble,) = nvidia_gpus()
    assert gpus == ()
    assert trouble.about == "gpu-closed"


@pytest.mark.parametrize("code", [pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, pynvml.NVML_ERROR_DRIVER_NOT_LOADED])
def test_no_driver_is_a_finding_only_where_a_card_is_on_the_bus(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: int
) -> None:
    install(monkeypatch, broken={"nvmlInit": pynvml.NVMLError(code)})
    monkeypatch.setattr(nvidia, "DRIVER_FOLDER", tmp_path / "no-driver")
    for slot, vendor, kind in (("0", "0x8086", "0x030000"), ("1", "0x10de", "0x040300")):
        (tmp_path / slot).mkdir()
        (tmp_path / slot / "vendor").write_text(vendor + "\n")
        (tmp_path / slot / "class").write_text(kind + "\n")
    assert nvidia_gpus(tmp_path) == ((), ()), "another maker's display and NVIDIA's sound are no card"
    (tmp_path / "1" / "class").write_text("0x030200\n")
    gpus, (trouble,) = nvidia_gpus(tmp_path)
    assert gpus == ()
    assert trouble.command == "sudo modprobe nvidia"


@pytest.mark.parametrize("place", ["nvmlInit", "nvmlDeviceGetCount", "nvmlShutdown"])
@pytest.mark.parametrize(
    "error", [UNKNOWN, OSError("libnvidia-ml.so: bad ELF"), UnicodeDecodeError("utf-8", b"", 0, 1, "x")]
)
def test_a_driver_that_fails_is_a_finding_and_never_an_error(
    monkeypatch: pytest.MonkeyPatch, place: str, error: Exception
) -> None:
    install(monkeypatch, Card(), broken={place: error})
    gpus, troubles = nvidia_gpus()
    if place == "nvmlShutdown":
        assert (len(gpus), troubles) == (1, ())
    else:
        assert gpus == ()
        assert [trouble.about for trouble in troubles] == ["nvidia-driver"]


def test_a_driver_updated_under_a_running_one_asks_for_a_reboot(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, broken={"nvmlInit": pynvml.NVMLError(pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH)})
    _, (trouble,) = nvidia_gpus()
    assert trouble.command == "sudo reboot"


def test_a_missing_library_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    _, (trouble,) = nvidia_gpus()
    assert trouble.command == "python -m pip install nvidia-ml-py"


def test_a_backend_that_breaks_altogether_is_a_finding_and_the_others_are_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken() -> machine_module.Listed:
        raise RuntimeError("no such luck")

    install(monkeypatch, Card())
    monkeypatch.setattr(machine_module, "amd_gpus", broken)
    machine = probe()
    assert len(machine.gpus) == 1
    assert [trouble.sentence for trouble in machine.troubles] == [
        "AMD's devices can't be read: RuntimeError: no such luck."
    ]


def test_the_environment_of_an_older_run_still_decodes() -> None:
    gpu = {
        "index": 0,
        "name": "A GPU",
        "uuid": "GPU-1",
        "memory_total": 10,
        "memory_free": 5,
        "compute_capability": "8.0",
    }
    old = {
        "system": "Linux",
        "python": "3.11",
        "cpu": "A CPU",
        "cores": 2,
        "cpu_flags": ["avx2"],
        "memory_total": 10,
        "memory_available": 5,
        "gpus": [gpu],
        "findings": ["the driver didn't answer"],
    }
    machine = msgspec.json.decode(json.dumps(old), type=Machine)
    assert machine.gpus[0].kind == "cuda"
    assert machine.troubles == ()
