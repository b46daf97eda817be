"""What a GPU is doing just now: use, heat, power, memory. Cheap enough for every second; each figure fails alone.

Source: NVML's API reference for NVIDIA, docs.kernel.org/gpu/amdgpu/thermal.html for AMD.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Protocol

import msgspec

from pegbox_hardware.amd import AmdFiles, amd_folder
from pegbox_hardware.gpu import Gpu
from pegbox_hardware.sysfs import number_in, sensors_of


class GpuLoad(msgspec.Struct, frozen=True, kw_only=True):
    """One moment of a device; None: the driver doesn't tell."""

    device_use: float | None = None
    """Share of the last second, or of a part of it, in which a kernel ran."""
    temperature_c: float | None = None
    temperature_limit_c: float | None = None
    """At which the card slows itself down."""
    power_w: float | None = None
    power_limit_w: float | None = None
    memory_used: int | None = None
    """Bytes, of all processes."""
    memory_total: int | None = None


class LoadMeter(Protocol):
    """Reads one device again and again."""

    def read(self) -> GpuLoad:
        """Read it now. Never raises."""

    def close(self) -> None:
        """Let go of the driver."""


def meter_of(gpu: Gpu, files: AmdFiles | None = None) -> LoadMeter | None:
    """Open a device for reading; None: its maker tells nothing, or the driver can't be reached."""
    if gpu.kind == "rocm":
        folder = amd_folder(gpu.index, files)
        return None if folder is None else _AmdMeter(folder)
    return _nvidia_meter(gpu) if gpu.kind == "cuda" else None


class _NvidiaMeter:
    def __init__(self, nvml: Any, handle: Any, card: Any, *, whole: bool) -> None:
        """`card` is the whole card, which alone knows its heat; `whole`: the device is that card, not a slice of it."""
        self._nvml, self._handle, self._card, self._whole = nvml, handle, card, whole
        self._heat_limit = self._ask("DeviceGetTemperatureThreshold", card, nvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN)

    def read(self) -> GpuLoad:
        use = self._ask("DeviceGetUtilizationRates", self._handle)
        memory = self._ask("DeviceGetMemoryInfo", self._handle)
        # Of a slice's card the others take their share of the power.
        power = self._ask("DeviceGetPowerUsage", self._card) if self._whole else None
        limit = self._ask("DeviceGetEnforcedPowerLimit", self._card) if self._whole else None
        return GpuLoad(
            device_use=None if use is None else use.gpu / 100,
            temperature_c=self._ask("DeviceGetTemperature", self._card, self._nvml.NVML_TEMPERATURE_GPU),
            temperature_limit_c=self._heat_limit,
            power_w=None if power is None else power / 1000,
            power_limit_w=None if limit is None else limit / 1000,
            memory_used=None if memory is None else int(memory.used),
            memory_total=None if memory is None else int(memory.total),
        )

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self._nvml.nvmlShutdown()

    def _ask(self, what: str, *arguments: Any) -> Any:
        try:
            return getattr(self._nvml, f"nvml{what}")(*arguments)
        except Exception:  # noqa: BLE001  # a figure that can't be read takes no other with it
            return None


def _nvidia_meter(gpu: Gpu) -> LoadMeter | None:
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:  # noqa: BLE001  # whatever a broken driver does, a run goes on without these figures
        return None
    try:
        handle = card = pynvml.nvmlDeviceGetHandleByUUID(gpu.uuid)
        if gpu.slice_of is not None:
            card = pynvml.nvmlDeviceGetHandleByIndex(gpu.slice_of)
        return _NvidiaMeter(pynvml, handle, card, whole=gpu.slice_of is None)
    except Exception:  # noqa: BLE001
        with contextlib.suppress(Exception):
            pynvml.nvmlShutdown()
        return None


class _AmdMeter:
    def __init__(self, folder: Path) -> None:
        self._folder, self._sensors = folder, sensors_of(folder)

    def read(self) -> GpuLoad:
        busy = number_in(self._folder / "gpu_busy_percent")
        heat, heat_limit = (number_in(self._sensors / name) for name in ("temp1_input", "temp1_crit"))
        power = number_in(self._sensors / "power1_average")
        power = number_in(self._sensors / "power1_input") if power is None else power
        limit = number_in(self._sensors / "power1_cap")
        return GpuLoad(
            device_use=None if busy is None else busy / 100,
            temperature_c=None if heat is None else heat / 1000,
            temperature_limit_c=None if heat_limit is None else heat_limit / 1000,
            power_w=None if power is None else power / 1e6,
            power_limit_w=None if limit is None else limit / 1e6,
            memory_used=number_in(self._folder / "mem_info_vram_used"),
            memory_total=number_in(self._folder / "mem_info_vram_total"),
        )

    def close(self) -> None:
        """Nothing is held open."""
