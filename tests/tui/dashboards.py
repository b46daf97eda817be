"""Made-up runs on a dashboard, and waiting for it to show them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any

import msgspec
from textual.pilot import Pilot

from pegbox_hardware.forecast.memory import Forecast
from pegbox_hardware.forecast.time import TimeForecast
from pegbox_methods.events import (
    AnyEvent,
    Change,
    Check,
    Checkpoint,
    Failed,
    Finished,
    Inspected,
    Load,
    Memory,
    Notice,
    Paused,
    Phase,
    Prepared,
    Ranks,
    Replanned,
    Restarting,
    Resumed,
    Sample,
    Step,
    WorkerEnded,
    WorkerFailed,
)
from pegbox_runs.event_log import EventWriter
from pegbox_runs.expected import Expected
from pegbox_runs.run_folder import RunFolder
from pegbox_tui.app import WatchApp
from pegbox_tui.dashboard.screen import DashboardScreen
from pegbox_tui.shell.sheet import Sheet
from tests.stories import STORY, evaluation, made, started, step

NOW = 1_767_225_600.0
GIB = 2**30
HOSTILE = "[red]markup[/red] [@click=app.quit]x[/] \x1b[31mescape\x1b[0m"
DONE = Finished(reason="completed", steps=10, kept_step=3, adapter="adapter", seconds=61.0)
FAILED = Failed(what="the device ran out of memory", where="training at step 3", remedy="Lower it.")
PAUSED = Paused(step=7, memory="kept")
EVENTFUL: tuple[AnyEvent, ...] = (
    Checkpoint(step=6, folder="checkpoints/checkpoint-6"),
    WorkerFailed(
        kind="device-memory",
        what="the device ran out of memory",
        where="training at step 7",
        remedy="Lower it.",
        doing="forward and backward of 8 rows of 512 positions",
    ),
    WorkerEnded(attempt=1, exit_code=1, signal=None),
    Replanned(
        step=7,
        why="memory",
        changes=(Change(key="training.micro_batch", before=8, after=4),),
        text="4 rows at once in place of 8, twice as many times; the effective batch stays 16",
    ),
    Restarting(attempt=2, why="the device ran out of memory", after_seconds=1.0, left=4),
    started(attempt=2),
    Resumed(step=6, folder="checkpoints/checkpoint-6", tokens=42, training_seconds=12.0),
    Phase(phase="training"),
    step(7),
    Inspected(step=7, checks=(Check(name="gradients", verdict="passed", text="all"),), seconds=0.1),
    step(8),
)
EXPECTED = Expected(
    device="NVIDIA L4",
    accelerator="cuda",
    memory_total=24 * GIB,
    memory_free=22 * GIB,
    memory=Forecast(
        level="analytic",
        allocated_bytes=9 * GIB,
        card_bytes=10 * GIB,
        safe_bytes=12 * GIB,
        low_bytes=8 * GIB,
        high_bytes=12 * GIB,
        items={"linear maps": 5 * GIB, "adapter": GIB, "optimizer states": GIB, "checkpoints": 2 * GIB},
        phases={"layer": 8 * GIB, "loss": 9 * GIB},
        peak_phase="loss",
        trainable_weights=5,
    ),
    time=TimeForecast(
        tokens_per_second=2000.0,
        tokens_per_second_low=1500.0,
        tokens_per_second_high=2500.0,
        seconds=100.0,
        seconds_low=80.0,
        seconds_high=130.0,
        bound="compute",
        level="estimated",
        flops_per_token=1e9,
        source="a table",
    ),
)


def gpu_step(number: int) -> Step:
    """Take a step as a GPU run tells it, with some noise in its loss."""
    return msgspec.structs.replace(
        step(number),
        epoch=number / 30,
        loss=0.9 + 2.5 * math.exp(-number / 15) + 0.3 * math.sin(number * 12.9898) ** 3,
        learning_rate=2e-4 * min(number / 5, 1.0),
        gradient_norm=1.5 / math.sqrt(number),
        tokens_per_second=1800.0 + 100 * math.sin(number),
        step_seconds=0.5,
        rows_seconds=0.01,
        optimizer_seconds=0.04,
        memory=Memory(device_now=7 * GIB, device_peak=9 * GIB, process_now=2 * GIB, process_peak=2 * GIB),
    )


def gpu_run(steps: int = 40) -> list[AnyEvent]:
    """Tell a run with everything in it."""
    events: list[AnyEvent] = []
    for event in STORY[:6]:
        is_plan = isinstance(event, Prepared)
        events.append(msgspec.structs.replace(event, steps=60, every=10, device="cuda:0") if is_plan else event)
    for number in range(1, steps + 1):
        events.append(gpu_step(number))
        if number % 10 == 0:
            events.append(msgspec.structs.replace(evaluation(number, 1.2 + 2 * math.exp(-number / 12)), seconds=4.0))
            said = "A pin." if number < 30 else "A pin that holds a string."
            events.append(Sample(step=number, index=0, question="What is a peg?", answer=said, expected="A pin."))
    layers = [(layer, kind) for layer in range(4) for kind in ("self_attn.q_proj", "mlp.down_proj")]
    ranks = {f"model.layers.{layer}.{kind}": (3 * layer + len(kind)) % 9 for layer, kind in layers}
    events += [
        Load(step=steps, device_use=0.97, temperature_c=71.0, power_w=68.0, power_limit_w=72.0),
        Checkpoint(step=steps, folder=f"checkpoints/checkpoint-{steps}"),
        Ranks(step=steps, ranks=ranks, before=96),
        Inspected(step=3, checks=(Check(name="gradients", verdict="passed", text="all tensors"),), seconds=0.1),
        Notice(text="3 rows are longer than training.length."),
    ]
    return events


def run_of(*events: AnyEvent, expected: Expected | None = None, log: str = "") -> RunFolder:
    """Put events into a run's folder of a fixed name."""
    folder = made()
    folder = RunFolder(folder.path.rename(folder.path.with_name("20260101-000000-lora-abcd")))
    writer = EventWriter(folder.events)
    for event in events:
        writer.emit(event)
    writer.close()
    folder.summary.write_text("{}")
    folder.log.write_text(log)
    if expected is not None:
        folder.forecast.write_bytes(msgspec.json.encode(expected))
    return folder


def dashboard(app: WatchApp) -> DashboardScreen:
    """Give the dashboard, which must be on the screen."""
    shown = app.screen
    assert isinstance(shown, DashboardScreen)
    return shown


async def until(pilot: Pilot[Any], holds: Callable[[], bool], what: str = "it") -> None:
    """Wait until something is so."""
    for _ in range(1000):
        if holds():
            await pilot.pause()
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{what} never came")


async def drawn(pilot: Pilot[Any], seq: int) -> None:
    """Wait until the dashboard shows the event of that number."""

    def caught_up() -> bool:
        shown = pilot.app.screen
        return isinstance(shown, DashboardScreen) and shown.state.last_seq >= seq

    await until(pilot, caught_up, "the newest event")


def text(app: WatchApp, name: str) -> str:
    """Give all that a part of the screen says."""
    return app.screen.query_one(name, Sheet).said


def seen(app: WatchApp) -> str:
    """Give what is drawn on the whole screen."""
    return "\n".join("".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips())
