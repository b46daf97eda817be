"""A pynvml without a driver behind it: made-up cards, and failures where a test wants them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import pynvml
import pytest

GIB = 2**30


@dataclass
class Card:
    """One made-up card, or a slice of one. Memory in bytes; None as total: unified memory."""

    name: str = "NVIDIA GeForce RTX 4090"
    uuid: str = "GPU-8f3a0000-1111"
    total: int | None = 24 * GIB
    free: int = 20 * GIB
    capability: tuple[int, int] = (8, 9)
    computing: Sequence[tuple[int, int | None]] = ()
    drawing: Sequence[tuple[int, int | None]] = ()
    pcie: tuple[int, int] = (4, 16)
    """Generation and lanes."""
    nvlinks: int = 0
    use: int = 87
    """Per cent."""
    slices: dict[int, Card] | None = None
    """By place; None: MIG isn't on."""
    broken: dict[str, Exception] = field(default_factory=dict)
    """What a function raises for this card."""


class FakeNvml(ModuleType):
    """pynvml's functions over made-up cards; its errors and constants are pynvml's own."""

    def __init__(self, cards: Sequence[Card], broken: dict[str, Exception], programs: dict[int, str]) -> None:
        super().__init__("pynvml")
        self._cards, self._broken, self._programs = cards, broken, programs
        self.open = False

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("nvml"):
            return getattr(pynvml, name)
        answer = getattr(type(self), f"_{name}")

        def function(*arguments: Any) -> Any:
            card = arguments[0] if arguments and isinstance(arguments[0], Card) else None
            for broken in (self._broken, card.broken if card else {}):
                if name in broken:
                    raise broken[name]
            assert self.open or name == "nvmlInit"
            return answer(self, *arguments)

        return function

    def _nvmlInit(self) -> None:  # noqa: N802
        self.open = True

    def _nvmlShutdown(self) -> None:  # noqa: N802
        self.open = False

    def _nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802
        return "570.86.15"

    def _nvmlSystemGetCudaDriverVersion(self) -> int:  # noqa: N802
        return 12080

    def _nvmlSystemGetProcessName(self, pid: int) -> str:  # noqa: N802
        if pid not in self._programs:
            raise pynvml.NVMLError_NotFound()
        return self._programs[pid]

    def _nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self._cards)

    def _nvmlDeviceGetHandleByIndex(self, index: int) -> Card:  # noqa: N802
        card = self._cards[index]
        if "handle" in card.broken:
            raise card.broken["handle"]
        return card

    def _nvmlDeviceGetHandleByUUID(self, uuid: str) -> Card:  # noqa: N802
        parts = [*self._cards, *(part for card in self._cards for part in (card.slices or {}).values())]
        found = next((card for card in parts if card.uuid == uuid), None)
        if found is None:
            raise pynvml.NVMLError_NotFound()
        return found

    def _nvmlDeviceGetUtilizationRates(self, card: Card) -> SimpleNamespace:  # noqa: N802
        if card.uuid.startswith("MIG"):
            raise pynvml.NVMLError_NotSupported()
        return SimpleNamespace(gpu=card.use, memory=12)

    def _nvmlDeviceGetTemperatureThreshold(self, _card: Card, kind: int) -> int:  # noqa: N802
        assert kind == pynvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN
        return 93

    def _nvmlDeviceGetName(self, card: Card) -> str:  # noqa: N802
        return card.name

    def _nvmlDeviceGetUUID(self, card: Card) -> str:  # noqa: N802
        return card.uuid

    def _nvmlDeviceGetMemoryInfo(self, card: Card) -> SimpleNamespace:  # noqa: N802
        if card.total is None:
            raise pynvml.NVMLError_NotSupported()
        return SimpleNamespace(total=card.total, free=card.free, used=card.total - card.free)

    def _nvmlDeviceGetCudaComputeCapability(self, card: Card) -> tuple[int, int]:  # noqa: N802
        return card.capability

    def _nvmlDeviceGetTemperature(self, card: Card, sensor: int) -> int:  # noqa: N802
        assert sensor == pynvml.NVML_TEMPERATURE_GPU
        return 41

    def _nvmlDeviceGetPowerUsage(self, card: Card) -> int:  # noqa: N802
        return 71_500

    def _nvmlDeviceGetEnforcedPowerLimit(self, card: Card) -> int:  # noqa: N802
        return 450_000

    def _nvmlDeviceGetMaxPcieLinkGeneration(self, card: Card) -> int:  # noqa: N802
        return card.pcie[0]

    def _nvmlDeviceGetMaxPcieLinkWidth(self, card: Card) -> int:  # noqa: N802
        return card.pcie[1]

    def _nvmlDeviceGetNvLinkState(self, card: Card, link: int) -> int:  # noqa: N802
        if link >= card.nvlinks:
            raise pynvml.NVMLError_InvalidArgument()
        return 1

    def _nvmlDeviceGetComputeRunningProcesses(self, card: Card) -> list[SimpleNamespace]:  # noqa: N802
        return [SimpleNamespace(pid=pid, usedGpuMemory=memory) for pid, memory in card.computing]

    def _nvmlDeviceGetGraphicsRunningProcesses(self, card: Card) -> list[SimpleNamespace]:  # noqa: N802
        return [SimpleNamespace(pid=pid, usedGpuMemory=memory) for pid, memory in card.drawing]

    def _nvmlDeviceGetMigMode(self, card: Card) -> list[int]:  # noqa: N802
        if card.capability < (8, 0):
            raise pynvml.NVMLError_NotSupported()
        return [int(card.slices is not None)] * 2

    def _nvmlDeviceGetMaxMigDeviceCount(self, card: Card) -> int:  # noqa: N802
        return 7

    def _nvmlDeviceGetMigDeviceHandleByIndex(self, card: Card, place: int) -> Card:  # noqa: N802
        if place not in (card.slices or {}):
            raise pynvml.NVMLError_NotFound()
        return (card.slices or {})[place]


NO_FIGURES = {"_nvmlDeviceGetCount", "_nvmlDeviceGetHandleByIndex", "_nvmlDeviceGetHandleByUUID"}
OF_LOAD = {"_nvmlDeviceGetUtilizationRates", "_nvmlDeviceGetTemperatureThreshold"}
FIGURES = tuple(
    name.removeprefix("_")
    for name in vars(FakeNvml)
    if name.startswith("_nvmlDeviceGet") and name not in NO_FIGURES | OF_LOAD
)
"""The functions that tell one thing of a card, as a probe asks them."""


def install(
    monkeypatch: pytest.MonkeyPatch,
    *cards: Card,
    broken: dict[str, Exception] | None = None,
    programs: dict[int, str] | None = None,
) -> None:
    """Put the fake in pynvml's place for one test; no device is hidden from it."""
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml(cards, broken or {}, programs or {}))
    for name in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
        monkeypatch.delenv(name, raising=False)
