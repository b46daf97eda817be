"""NVIDIA's devices, as NVML describes them. Each figure fails alone, and nothing here ever raises."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from pegbox_hardware.gpu import Gpu, Holder, Trouble
from pegbox_hardware.memory import read_memory
from pegbox_hardware.visible import visible

VENDOR = "0x10de"
PCI = Path("/sys/bus/pci/devices")
DRIVER_FOLDER = Path("/proc/driver/nvidia")


class _Lost(Exception):
    """The device went away while it was being read, or couldn't be opened at all; `gone` tells which."""

    def __init__(self, error: Exception, *, gone: bool) -> None:
        super().__init__(str(error))
        self.gone = gone


def nvidia_gpus(pci: Path = PCI) -> tuple[tuple[Gpu, ...], tuple[Trouble, ...]]:
    """List the NVIDIA devices that this process may use, in CUDA's order.

    A card cut into MIG slices is given as its slices, since CUDA runs on nothing else of it.
    Returns: (devices, troubles). No card at all is no trouble: most machines without a GPU are whole.
    """
    try:
        import pynvml
    except ImportError:
        return (), (
            Trouble(
                about="nvidia-ml-py",
                sentence="nvidia-ml-py isn't installed, so NVIDIA GPUs can't be seen.",
                command="python -m pip install nvidia-ml-py",
            ),
        )
    try:
        pynvml.nvmlInit()
    except Exception as error:  # noqa: BLE001  # whatever a broken driver does, it is a finding
        return (), _no_driver(pynvml, error, pci)
    try:
        return _listed(pynvml)
    except Exception as error:  # noqa: BLE001
        return (), (_failed(error),)
    finally:
        _quietly(pynvml.nvmlShutdown)


def _listed(nvml: Any) -> tuple[tuple[Gpu, ...], tuple[Trouble, ...]]:
    common = {"driver": _value(nvml, nvml.nvmlSystemGetDriverVersion), "cuda": _cuda(nvml)}
    gpus: list[Gpu] = []
    troubles: list[Trouble] = []
    for index in range(nvml.nvmlDeviceGetCount()):
        try:
            handle = _must(nvml, nvml.nvmlDeviceGetHandleByIndex, index)
            found = list(_devices(nvml, handle, index, common))
        except _Lost as lost:
            troubles.append(_lost(index, lost))
            continue
        if not found:
            troubles.append(_no_slices(index))
        gpus += found
    kept, chosen = visible(gpus, os.environ.get("CUDA_VISIBLE_DEVICES"))
    return kept, (*troubles, *chosen)


def _devices(nvml: Any, handle: Any, index: int, common: dict[str, Any]) -> Iterator[Gpu]:
    """Describe a card, or each slice of it."""
    mode = _value(nvml, nvml.nvmlDeviceGetMigMode, handle)
    if not mode or mode[0] != nvml.NVML_DEVICE_MIG_ENABLE:
        yield _gpu(nvml, handle, index, handle, common)
        return
    for place in range(_value(nvml, nvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0):
        part = _value(nvml, nvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, place)
        if part is not None:  # else: no slice was made at this place
            yield _gpu(nvml, part, place, handle, {**common, "slice_of": index})


def _gpu(nvml: Any, handle: Any, index: int, card: Any, common: dict[str, Any]) -> Gpu:
    """Describe one device; `card` is the whole card, which alone knows its heat, power and capability."""
    total, free, unified = _memory(nvml, handle)
    capability = _value(nvml, nvml.nvmlDeviceGetCudaComputeCapability, card)
    power = _value(nvml, nvml.nvmlDeviceGetPowerUsage, card)
    limit = _value(nvml, nvml.nvmlDeviceGetEnforcedPowerLimit, card)
    name = _value(nvml, nvml.nvmlDeviceGetName, handle) or _value(nvml, nvml.nvmlDeviceGetName, card)
    return Gpu(
        index=index,
        name=_text(name) or "NVIDIA GPU",
        uuid=_text(_value(nvml, nvml.nvmlDeviceGetUUID, handle)) or "",
        memory_total=total,
        memory_free=free,
        unified=unified,
        compute_capability=".".join(map(str, capability)) if capability else None,
        temperature_c=_value(nvml, nvml.nvmlDeviceGetTemperature, card, nvml.NVML_TEMPERATURE_GPU),
        power_w=None if power is None else power / 1000,
        power_limit_w=None if limit is None else limit / 1000,
        holders=_holders(nvml, handle),
        pcie_generation=_value(nvml, nvml.nvmlDeviceGetMaxPcieLinkGeneration, card),
        pcie_lanes=_value(nvml, nvml.nvmlDeviceGetMaxPcieLinkWidth, card),
        nvlinks=_nvlinks(nvml, card),
        **common,
    )


def _nvlinks(nvml: Any, card: Any) -> int | None:
    """Count the links that are up; the driver knows no more of them than a card has."""
    states = []
    for link in range(nvml.NVML_NVLINK_MAX_LINKS):
        state = _value(nvml, nvml.nvmlDeviceGetNvLinkState, card, link)
        if state is None:
            break
        states.append(bool(state))
    return sum(states) or None


def _memory(nvml: Any, handle: Any) -> tuple[int | None, int | None, bool]:
    """Read (total, free, unified) in bytes. Chips that share the RAM (GB10) have no figure of their own."""
    try:
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    except nvml.NVMLError_GpuIsLost as error:
        raise _Lost(error, gone=True) from error
    except nvml.NVMLError_NotSupported:
        ram = read_memory()
        return ram.total, ram.available, True
    except Exception:  # noqa: BLE001
        return None, None, False
    return int(memory.total), int(memory.free), False


def _holders(nvml: Any, handle: Any) -> tuple[Holder, ...]:
    """List who holds memory; a process that computes and draws is one holder."""
    held: dict[int, int | None] = {}
    for ask in (nvml.nvmlDeviceGetComputeRunningProcesses, nvml.nvmlDeviceGetGraphicsRunningProcesses):
        for process in _value(nvml, ask, handle) or ():
            pid, memory = int(process.pid), process.usedGpuMemory
            known = held.get(pid)
            held[pid] = known if memory is None else max(known or 0, int(memory))
    named = (Holder(pid=pid, name=_program(nvml, pid), memory=memory) for pid, memory in held.items())
    return tuple(sorted(named, key=lambda holder: -(holder.memory or 0)))


def _program(nvml: Any, pid: int) -> str | None:
    """Name a process as the driver does: a number of the host's may be anybody's in here."""
    path = _text(_value(nvml, nvml.nvmlSystemGetProcessName, pid))
    return PurePosixPath(path.split(" ", 1)[0]).name or None if path and not path.startswith("[Not Found") else None


def _cuda(nvml: Any) -> str | None:
    number = _value(nvml, nvml.nvmlSystemGetCudaDriverVersion)
    return f"{number // 1000}.{number % 1000 // 10}" if number else None


def _value(nvml: Any, ask: Callable[..., Any], *arguments: Any) -> Any:
    """Ask one thing. Returns: None where the driver doesn't know. Raises: _Lost: the device is gone."""
    try:
        return ask(*arguments)
    except nvml.NVMLError_GpuIsLost as error:
        raise _Lost(error, gone=True) from error
    except Exception:  # noqa: BLE001  # a figure that can't be read takes no other with it
        return None


def _must(nvml: Any, ask: Callable[..., Any], *arguments: Any) -> Any:
    """Ask what nothing can be said without."""
    try:
        return ask(*arguments)
    except nvml.NVMLError as error:
        raise _Lost(error, gone=isinstance(error, nvml.NVMLError_GpuIsLost)) from error


def _text(value: Any) -> str | None:
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else value


def _quietly(ask: Callable[[], Any]) -> None:
    with contextlib.suppress(Exception):  # the driver is of no more use to us
        ask()


def _no_driver(nvml: Any, error: Exception, pci: Path) -> tuple[Trouble, ...]:
    """Tell a machine without NVIDIA's cards from one whose driver is missing or broken."""
    absent = {nvml.NVML_ERROR_LIBRARY_NOT_FOUND, nvml.NVML_ERROR_DRIVER_NOT_LOADED}
    if getattr(error, "value", None) not in absent or DRIVER_FOLDER.exists():
        return (_failed(error),)
    if not _on_the_bus(pci):
        return ()
    return (
        Trouble(
            about="nvidia-driver",
            sentence=f"an NVIDIA card is in this machine, but its driver can't be reached ({error}). Load or install "
            "it; in a container, start it with `--gpus all`.",
            command="sudo modprobe nvidia",
        ),
    )


def _on_the_bus(pci: Path) -> bool:
    for device in pci.glob("*"):
        try:
            # Class 03 is a display or a 3D controller; NVIDIA's network cards and sound don't count.
            if (device / "vendor").read_text().strip() == VENDOR and (device / "class").read_text().startswith("0x03"):
                return True
        except (OSError, ValueError):
            continue
    return False


def _failed(error: Exception) -> Trouble:
    mismatch = "mismatch" in str(error).lower()
    return Trouble(
        about="nvidia-driver",
        sentence=f"the NVIDIA driver doesn't answer: {error or type(error).__name__}."
        + (" It was updated while the old one is still loaded; a reboot loads the new one." if mismatch else ""),
        command="sudo reboot" if mismatch else "nvidia-smi",
    )


def _lost(index: int, lost: _Lost) -> Trouble:
    if not lost.gone:
        text = f"GPU {index} can't be opened: {lost}. Another user's device, or one that the container doesn't hand in."
        return Trouble(about="gpu-closed", sentence=text, command=f"nvidia-smi -i {index}")
    return Trouble(
        about="gpu-lost",
        sentence=f"GPU {index} can't be reached any more ({lost}): its driver lost it, by heat, power or its slot most "
        "often. A reboot brings it back.",
        command="sudo reboot",
    )


def _no_slices(index: int) -> Trouble:
    return Trouble(
        about="mig-without-slices",
        sentence=f"GPU {index} is set to be cut into MIG slices, but has none, so nothing can run on it.",
        command=f"sudo nvidia-smi -i {index} -mig 0",
    )
