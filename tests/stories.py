"""Made-up runs: their events, and folders to put them in."""

from __future__ import annotations

import socket

import msgspec
import psutil

from pegbox_hardware.machine import probe
from pegbox_methods.events import AnyEvent, Evaluation, Memory, Phase, Prepared, Sample, Started, Step
from pegbox_methods.recipe import Model, Recipe, Rows
from pegbox_runs.environment import Environment
from pegbox_runs.process_mark import process_mark
from pegbox_runs.run_folder import RunFolder, create

RECIPE = Recipe(model=Model(name="bundled"), rows=Rows(file="/rows.jsonl"))


def environment() -> Environment:
    return Environment(pegbox="0", libraries={}, machine=probe(), rows_sha256="", held_out_sha256=None, model_sha256="")


def made() -> RunFolder:
    return create(RECIPE, environment())


NONE = Memory()


def started(**changes: object) -> Started:
    process = psutil.Process()
    event = Started(
        time=100.0,
        run="20260101-000000-lora-abcd",
        method="lora",
        model="bundled",
        host=socket.gethostname(),
        supervisor_pid=process.pid,
        supervisor_mark=process_mark(process.pid) or "",
        worker_pid=process.pid,
        worker_mark=process_mark(process.pid) or "",
        version="0",
    )
    return msgspec.structs.replace(event, **changes)


def prepared() -> Prepared:
    return Prepared(
        steps=10,
        rows_trained=8,
        rows_evaluated=2,
        tokens=100,
        tokens_trained=40,
        trainable_weights=5,
        model_weights=50,
        device="cpu",
        precision="float32",
        activation_checkpointing=False,
        loss_path="labelled-positions",
    )


def step(number: int, *, process: int = 10, device: int | None = None) -> Step:
    return Step(
        time=100.0 + number,
        step=number,
        epoch=number / 10,
        loss=3.0 - number / 10,
        learning_rate=1e-4,
        gradient_norm=1.0,
        tokens=7,
        tokens_per_second=3.5,
        step_seconds=2.0,
        memory=Memory(process_now=1, process_peak=process, device_peak=device),
    )


def evaluation(at: int, loss: float) -> Evaluation:
    return Evaluation(step=at, loss=loss, perplexity=1.0, tokens=4, seconds=1.0, best=False, memory=NONE)


STORY: list[AnyEvent] = [
    started(),
    Phase(phase="loading"),
    prepared(),
    Sample(step=0, index=0, question="q", answer="a", expected="e"),
    Phase(phase="training"),
    evaluation(0, 3.0),
    step(1, process=30, device=100),
    step(2, process=20, device=300),
    evaluation(2, 2.5),
    step(3),
    evaluation(3, 2.6),
]
