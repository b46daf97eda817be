"""A thread that tells what the GPU is doing while the run trains; of a processor nothing is told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, TypeVar

import msgspec
import torch

from pegbox_hardware.gpu_load import GpuLoad, LoadMeter, meter_of
from pegbox_hardware.machine import probe
from pegbox_methods.events import Event, Load
from pegbox_runs.conditions import gpu_of_run

READING_SECONDS = 1.0
"""The driver's own figure of use is of the last second at most."""
READINGS = 5
"""In an event: use and power are their means."""
LEAVING_SECONDS = 5.0
MAKER: Literal["nvidia", "amd"] = "amd" if torch.version.hip else "nvidia"
"""Of the cards that this torch can use."""

Figure = TypeVar("Figure", int, float)


def meter_of_run() -> LoadMeter | None:
    """Open the device that this worker was shown."""
    gpu = gpu_of_run(probe())
    return None if gpu is None else meter_of(gpu)


@contextmanager
def load_told(
    device: torch.device,
    tell: Callable[[Event], None],
    steps_done: Callable[[], int],
    resting: Callable[[], bool],
    *,
    open_meter: Callable[[], LoadMeter | None] = meter_of_run,
    seconds: float = READING_SECONDS,
) -> Iterator[None]:
    """Tell the device's load while the body runs, in a thread beside it; nothing while the run rests.

    The driver's calls let the trainer's thread go on. Whatever fails there ends the telling and nothing else.
    """
    if device.type != "cuda":
        yield
        return
    over = threading.Event()

    def watch() -> None:
        meter = open_meter()
        if meter is None:
            return
        try:
            _watch(meter, tell, steps_done, resting, over, seconds)
        finally:
            meter.close()

    thread = threading.Thread(target=_softly, args=(watch,), name="load", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(LEAVING_SECONDS)


def _watch(
    meter: LoadMeter,
    tell: Callable[[Event], None],
    steps_done: Callable[[], int],
    resting: Callable[[], bool],
    over: threading.Event,
    seconds: float,
) -> None:
    readings: list[GpuLoad] = []
    while not over.wait(seconds):
        if resting():
            readings.clear()
            continue
        readings.append(meter.read())
        if len(readings) == READINGS:
            if any(reading != GpuLoad() for reading in readings) and not over.is_set():
                tell(msgspec.structs.replace(load_of(readings, steps_done()), maker=MAKER))
            readings.clear()


def load_of(readings: Sequence[GpuLoad], step: int) -> Load:
    """Sum up some readings, one or more: of memory and heat the largest counts."""
    newest = readings[-1]
    return Load(
        step=step,
        device_use=_mean(reading.device_use for reading in readings),
        temperature_c=_largest(reading.temperature_c for reading in readings),
        temperature_limit_c=newest.temperature_limit_c,
        power_w=_mean(reading.power_w for reading in readings),
        power_limit_w=newest.power_limit_w,
        memory_used=_largest(reading.memory_used for reading in readings),
        memory_total=newest.memory_total,
    )


def _mean(figures: Iterable[float | None]) -> float | None:
    known = [figure for figure in figures if figure is not None]
    return sum(known) / len(known) if known else None


def _largest(figures: Iterable[Figure | None]) -> Figure | None:
    return max((figure for figure in figures if figure is not None), default=None)


def _softly(work: Callable[[], None]) -> None:
    try:
        work()
    except Exception as error:  # noqa: BLE001  # the run goes on without these figures
        print(f"the device's load isn't told any more: {type(error).__name__}: {error}")
