"""The machine, the model and the run that the pictures in the documentation show: nobody has them, all is fixed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec

from pegbox_hardware.machine import Machine
from pegbox_methods.advice.data_card import DataCard
from pegbox_methods.events import (
    AnyEvent,
    Check,
    Checkpoint,
    Evaluation,
    Failed,
    Finished,
    Inspected,
    Load,
    Memory,
    Paused,
    Phase,
    Prepared,
    Sample,
    Started,
    Step,
)
from pegbox_methods.recipe import Method, Model, Output, Recipe, Rows
from pegbox_methods.recipe_file import write_recipe
from pegbox_runs.drafts import Draft
from pegbox_runs.expected import Expected
from pegbox_runs.models import FoundModel
from pegbox_runs.run_folder import RunFolder, runs_root
from pegbox_runs.settling import Settled
from pegbox_runs.summary import summarise, write_summary
from pegbox_runs.torch_facts import TorchFacts
from pegbox_runs.viewing import state_of
from pegbox_tui.wizard.workbench import Workbench
from tests.methods.advice_situations import PROFILES, model_8b, rows
from tests.runs.made_up_machines import GIB, device, gpu, machine, torch
from tests.stories import started

BEGUN = 1_767_366_000.0
"""The second of January 2026, 15:00 in Greenwich."""
MODEL = "meta-llama/Llama-3.1-8B-Instruct"
SMALL_MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
STEPS, DONE_STEPS, EVERY = 400, 340, 40
STEP_SECONDS = 2.85
BEST_STEP = 200
ROWS_FILE = "/home/ada/data/support-chats.jsonl"
DRAFT = Draft(step="settings", reached="settings", model=Model(name=MODEL), rows=Rows(file=ROWS_FILE))
ROWS = rows(count=3_560, length=310)


def here() -> Machine:
    """Give a rented machine with one card."""
    return machine(gpu(memory_free=23 * GIB, holders=()))


class PictureBench(Workbench):
    """Knows this story; what is settled is settled for real."""

    def machine(self) -> Machine:
        return here()

    def torch(self) -> TorchFacts:
        return torch(device())

    def model(self, draft: Draft) -> FoundModel | None:
        return FoundModel(MODEL, Path("/"), {"max_position_embeddings": 131_072}, model_8b(), True, True)

    def data(self, draft: Draft) -> DataCard | None:
        return ROWS

    def learned(self) -> dict[str, Any]:
        return {}

    def profiles(self) -> Any:
        return PROFILES


def settled() -> Settled:
    """Settle the story's draft."""
    return PictureBench().settled(DRAFT)


def wobble(number: int) -> float:
    """Give noise between -1 and 1 that is the same everywhere."""
    return math.modf(math.sin(number * 12.9898) * 43758.5453)[0]


def evaluated(step: int) -> float:
    """Give the evaluation loss: it falls until the best step, then rises a little."""
    late = max(0, step - BEST_STEP)
    return 1.128 + 0.6 * math.exp(-min(step, BEST_STEP) / 55) + 0.00035 * late


def story(
    done: int = DONE_STEPS,
    planned: int = STEPS,
    method: str = "lora",
    model: str = MODEL,
    worse: float = 0.0,
    **changes: Any,
) -> list[AnyEvent]:
    """Tell a run until one of its steps. `worse`: nats above the loss of the pictured one; `changes`: of its start."""
    events: list[AnyEvent] = [
        msgspec.structs.replace(started(), method=method, model=model, **changes),
        Phase(phase="loading"),
        Prepared(
            steps=planned,
            rows_trained=3_204,
            rows_evaluated=356,
            tokens=993_000,
            tokens_trained=497_000,
            trainable_weights=41_943_040,
            model_weights=8_030_261_248,
            device="cuda:0",
            precision="bfloat16",
            activation_checkpointing=True,
            loss_path="labelled-positions",
        ),
        Sample(step=0, index=0, question="Where is my parcel?", answer="I don't have access to parcels.", expected="?"),
        evaluation(0, worse),
        Phase(phase="training"),
    ]
    for number in range(1, done + 1):
        events.append(step(number))
        if number % EVERY == 0:
            events += [evaluation(number, worse), Checkpoint(step=number, folder=f"checkpoints/checkpoint-{number}")]
        if number == 20:
            checks = tuple(Check(name=name, verdict="passed", text="as it should") for name in ("base", "gradients"))
            events.append(Inspected(step=20, checks=checks, seconds=0.2))
    answer = "It left our depot this morning. You can follow it with the link in your order's mail."
    events.append(Sample(step=done, index=0, question="Where is my parcel?", answer=answer, expected="?"))
    events.append(Load(step=done, device_use=0.97, temperature_c=71.0, power_w=402.0, power_limit_w=450.0))
    return events


def step(number: int) -> Step:
    """Take one step."""
    warmup, through = min(1.0, number / 20), number / STEPS
    return Step(
        step=number,
        epoch=2 * through,
        loss=0.92 + 0.8 * math.exp(-number / 60) - 0.12 * through + 0.14 * wobble(number),
        learning_rate=2e-4 * warmup * 0.5 * (1 + math.cos(math.pi * through)),
        gradient_norm=0.55 + 0.5 * math.exp(-number / 25) + 0.1 * wobble(number + 7),
        tokens=4_960,
        tokens_per_second=4_960 / STEP_SECONDS + 20 * wobble(number + 3),
        step_seconds=STEP_SECONDS,
        rows_seconds=0.02,
        optimizer_seconds=0.09,
        memory=Memory(
            device_now=int(15.6 * GIB), device_peak=int(16.4 * GIB), process_now=2 * GIB, process_peak=3 * GIB
        ),
    )


def evaluation(number: int, worse: float = 0.0) -> Evaluation:
    """Look at the held-out rows."""
    loss = evaluated(number) + worse
    return Evaluation(
        step=number,
        loss=loss,
        perplexity=math.exp(loss),
        tokens=44_800,
        seconds=31.0,
        best=0 < number <= BEST_STEP,
        memory=Memory(device_now=int(15.6 * GIB), device_peak=int(16.1 * GIB)),
    )


def expected() -> Expected:
    """Give what was forecast of that run."""
    forecast = settled()
    return Expected(
        device="NVIDIA GeForce RTX 4090",
        accelerator="cuda",
        memory_total=24 * GIB,
        memory_free=23 * GIB,
        memory=forecast.memory,
        time=forecast.time,
    )


def run_folder(name: str, begun: float, *events: AnyEvent, note: str = "") -> RunFolder:
    """Write a run's folder; its events are a step's time apart."""
    folder = RunFolder(runs_root() / name)
    folder.checkpoints.mkdir(parents=True)
    first = events[0]
    assert isinstance(first, Started)
    recipe = Recipe(
        model=Model(name=first.model),
        rows=Rows(file=ROWS_FILE),
        method=Method(name=first.method),
        output=Output(note=note),
    )
    write_recipe(recipe, folder.recipe)
    timed = [
        msgspec.structs.replace(event, seq=number + 1, time=begun + STEP_SECONDS * number)
        for number, event in enumerate(events)
    ]
    folder.events.write_bytes(b"".join(msgspec.json.encode(event) + b"\n" for event in timed))
    if isinstance(events[-1], Finished):
        write_summary(summarise(folder.id, state_of(folder)), folder.summary)
    return folder


def live_run() -> RunFolder:
    """Write the run that goes on, with its forecast."""
    folder = run_folder("20260102-150000-lora-7f3a", BEGUN, *story(), note="second try")
    folder.forecast.write_bytes(msgspec.json.encode(expected()))
    folder.log.touch()
    return folder


def earlier_runs() -> None:
    """Write runs that came before: one of each kind."""

    def ended(steps: int) -> Finished:
        seconds = STEP_SECONDS * steps
        return Finished(reason="completed", steps=steps, kept_step=BEST_STEP, adapter="adapter", seconds=seconds)

    hour = 3600
    small = {"planned": 240, "model": SMALL_MODEL}
    killed = {"supervisor_mark": "gone", "worker_mark": "gone"}
    failed = Failed(
        what="the device ran out of memory",
        where="training at step 31",
        remedy="Take a method that needs less.",
        kind="device-memory",
    )
    for name, hours, events, note in (
        ("20260102-091500-lora-22c9", -5.75, [*story(240, worse=0.4, **small), ended(240)], "to learn the screens"),
        (
            "20260102-102000-dora-b6e1",
            -4.66,
            [*story(240, method="dora", worse=0.38, **small), ended(240)],
            "is DoRA better?",
        ),
        ("20260102-113000-dora-01d4", -3.5, [*story(30, method="dora"), failed], "first try"),
        ("20260102-124500-rslora-c8aa", -2.25, story(51, method="rslora", worse=0.41, **small, **killed), ""),
        (
            "20260102-141000-qlora-5e0b",
            -0.83,
            [*story(120, method="qlora", worse=0.02), Paused(step=120, memory="released")],
            "",
        ),
    ):
        run_folder(name, BEGUN + hours * hour, *events, note=note)
