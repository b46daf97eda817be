"""The GPU's load is told beside the training, and whatever fails there troubles nobody; a step's time has its parts."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from pegbox_hardware.gpu_load import GpuLoad
from pegbox_methods.events import Event, Load
from pegbox_worker import step_clock
from pegbox_worker.load_watch import READINGS, load_of, load_told
from pegbox_worker.step_clock import StepClock, wait_of
from tests.commands import wait_until

CUDA, CPU = torch.device("cuda:0"), torch.device("cpu")


class MadeUpMeter:
    """Reads what it is told to, the last of it for ever."""

    def __init__(self, *readings: GpuLoad | Exception) -> None:
        self._readings: Iterator[GpuLoad | Exception] = iter(readings)
        self._last: GpuLoad | Exception = readings[-1]
        self.closed = False
        self.count = 0

    def read(self) -> GpuLoad:
        self.count += 1
        now = next(self._readings, self._last)
        if isinstance(now, Exception):
            raise now
        return now

    def close(self) -> None:
        self.closed = True


def watching(meter: MadeUpMeter | None, told: list[Event], **named: Any) -> Any:
    whole: dict[str, Any] = {"open_meter": lambda: meter, "seconds": 0.001, **named}
    return load_told(CUDA, told.append, lambda: 7, whole.pop("resting", lambda: False), **whole)


def test_the_load_is_told_every_few_readings_until_the_training_ends() -> None:
    told: list[Event] = []
    meter = MadeUpMeter(*(GpuLoad(device_use=use / 10, power_w=100.0 * use) for use in range(1, 6)))
    with watching(meter, told):
        wait_until(lambda: len(told) >= 2)
    assert meter.closed
    count = len(told)
    time.sleep(0.02)
    assert len(told) == count
    first = told[0]
    assert isinstance(first, Load)
    assert (first.step, first.device_use, first.power_w) == (7, pytest.approx(0.3), pytest.approx(300.0))
    assert not [thread for thread in threading.enumerate() if thread.name == "load"]


def test_of_memory_and_heat_the_largest_counts_and_what_is_unknown_is_left_out() -> None:
    readings = [
        GpuLoad(memory_used=5, memory_total=9, temperature_c=50.0),
        GpuLoad(temperature_c=70.0),
        GpuLoad(memory_used=4, memory_total=9),
    ]
    assert load_of(readings, 3) == Load(
        step=3,
        device_use=None,
        temperature_c=70.0,
        power_w=None,
        power_limit_w=None,
        memory_used=5,
        memory_total=9,
    )


def test_of_a_processor_nothing_is_told_and_no_thread_runs() -> None:
    def never() -> None:
        pytest.fail("there is nothing to read")

    with load_told(CPU, pytest.fail, lambda: 0, lambda: False, open_meter=never):
        assert not [thread for thread in threading.enumerate() if thread.name == "load"]


def test_a_run_that_rests_is_not_told_of() -> None:
    told: list[Event] = []
    looks = iter([True] * 20 + [False] * 10**6)
    meter = MadeUpMeter(GpuLoad(device_use=0.5))
    with watching(meter, told, resting=lambda: next(looks)):
        wait_until(lambda: bool(told))
    assert meter.count >= READINGS
    assert next(looks) is False


def test_a_driver_that_knows_nothing_gives_no_events() -> None:
    told: list[Event] = []
    meter = MadeUpMeter(GpuLoad())
    with watching(meter, told):
        wait_until(lambda: meter.count > 3 * READINGS)
    with watching(None, told):
        pass
    assert told == []


@pytest.mark.parametrize("fails", ["open", "read"])
def test_a_driver_that_breaks_ends_the_telling_alone(fails: str, capfd: pytest.CaptureFixture[str]) -> None:
    def broken() -> None:
        raise OSError("the driver is gone")

    meter = MadeUpMeter(OSError("the driver is gone"))
    told: list[Event] = []
    with watching(meter, told, **({"open_meter": broken} if fails == "open" else {})):
        wait_until(lambda: not [thread for thread in threading.enumerate() if thread.name == "load"])
    assert told == []
    assert "isn't told any more: OSError: the driver is gone" in capfd.readouterr().out
    assert meter.closed == (fails == "read")


def test_an_exception_of_the_training_ends_the_watch_and_goes_on() -> None:
    meter = MadeUpMeter(GpuLoad(device_use=0.5))
    with pytest.raises(ValueError, match="diverged"), watching(meter, []):
        raise ValueError("diverged")
    assert meter.closed


class MadeUpClock:
    """A clock that stands still until something is done, and a device that works behind the host's back."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.owed = 100.0, 0.0
        monkeypatch.setattr(step_clock.time, "monotonic", lambda: self.now)

    def host(self, seconds: float) -> None:
        self.now += seconds

    def device(self, seconds: float) -> None:
        self.owed += seconds

    def wait(self) -> None:
        self.now, self.owed = self.now + self.owed, 0.0


def test_the_parts_of_a_step_are_the_device_s_and_not_those_of_the_host_that_runs_ahead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = MadeUpClock(monkeypatch)
    clock = StepClock(world.wait)
    for _ in range(2):  # micro-batches come in one portion, and their passes follow
        with clock.rows():
            world.host(0.5)
    world.device(8.0)  # forward and backward
    with clock.clipping():
        world.host(0.1)
        world.device(0.4)
    world.host(3.0)  # somebody looks at the gradients
    clock.update_begins()
    world.device(0.6)
    world.host(0.01)
    clock.step_ends()
    assert clock.take() == (pytest.approx(1.0), pytest.approx(0.1 + 0.4 + 0.6 + 0.01))
    assert clock.take() == (0.0, 0.0)


def test_a_processor_is_not_waited_for_and_a_gpu_is(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    wait_of(CPU)()
    assert waited == []
    wait_of(CUDA)()
    assert waited == [CUDA]
