"""Runs that left an adapter on a copy of the bundled model, with a log that tells of a whole training."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import numpy as np
from safetensors.numpy import save_file

from pegbox_hardware.forecast.memory import Forecast
from pegbox_hardware.forecast.time import TimeForecast
from pegbox_methods.events import AnyEvent, Change, Evaluation, Finished, Memory, Notice, Replanned, Sample, Step
from pegbox_methods.recipe import Method, Model, Output, Recipe, Rows
from pegbox_runs.arena.results import Interval
from pegbox_runs.environment import describe, prints_of
from pegbox_runs.evaluating.evaluated import Computed, Evaluated, EvaluatedRow, Figure, RowsTold
from pegbox_runs.event_log import EventWriter
from pegbox_runs.expected import Expected
from pegbox_runs.models import BUNDLED, find_model
from pegbox_runs.run_folder import RunFolder, create
from tests.stories import NONE, prepared, started

GIB = 2**30
ROWS = "/data/acme/customers.jsonl"


def base_at(folder: Path, readme: str = "") -> Path:
    """Copy the bundled model, with a model card of its own."""
    base = Path(shutil.copytree(BUNDLED / "model", folder / "our-base"))
    if readme:
        (base / "README.md").write_text(readme)
    return base


def told_run(
    base: Path, events: Sequence[AnyEvent] = (), *, note: str = "", method: str = "lora", **model: str
) -> RunFolder:
    """Make one. Its adapter's config names the base's folder, as PEFT writes it.

    `model`: more keys of the recipe's [model].
    """
    recipe = Recipe(
        model=Model(name=str(base), **model),  # type: ignore[arg-type]
        rows=Rows(file=ROWS),
        method=Method(name=method, settings={"rank": 8}),
        output=Output(note=note),
    )
    found = find_model(recipe.model)
    stands_on = describe(
        rows_sha256="a" * 64,
        held_out_sha256=None,
        base=prints_of(found, recipe.model),
    )
    folder = create(recipe, stands_on)
    folder.adapter.mkdir()
    save_file({"a": np.ones(3000, dtype=np.float32)}, folder.adapter / "adapter_model.safetensors")
    config = {"base_model_name_or_path": str(base), "peft_type": "LORA", "r": 8}
    (folder.adapter / "adapter_config.json").write_text(json.dumps(config))
    (folder.adapter / "README.md").write_text(f"PEFT's own card of {base}")
    write_events(folder, events or whole_story())
    return folder


def write_events(folder: RunFolder, events: Sequence[AnyEvent]) -> None:
    """Write the run's log."""
    with closing(EventWriter(folder.events)) as writer:
        for event in events:
            writer.emit(event)


def told_step(number: int, *, loss: float | None = None) -> Step:
    """Take a step."""
    return Step(
        step=number,
        epoch=number / 10,
        loss=2.0 + 1.0 / number if loss is None else loss,
        learning_rate=1e-4,
        gradient_norm=1.0,
        tokens=100,
        tokens_per_second=50.0,
        step_seconds=2.0,
        memory=Memory(device_now=3 * GIB, device_peak=4 * GIB, process_now=GIB, process_peak=GIB),
    )


def told_look(step: int, loss: float, *, best: bool = False) -> Evaluation:
    """Look at the held-out rows."""
    return Evaluation(step=step, loss=loss, perplexity=9.0, tokens=4, seconds=1.0, best=best, memory=NONE)


def whole_story(*, said: str = "what the model said", until: int = 10, finished: bool = True) -> list[AnyEvent]:
    """Tell a training of ten steps in which something was changed."""
    change = Change(key="training.learning_rate", before=2e-4, after=1e-4)
    story: list[AnyEvent] = [
        started(),
        prepared(),
        told_look(0, 3.0),
        Sample(step=0, index=0, question="the question", answer="before " + said, expected="the row's answer"),
        *(told_step(number) for number in range(1, 6)),
        told_look(5, 2.5, best=True),
        Notice(text=f"noticed: {said}", about="made-up"),
        Replanned(step=5, why="asked", changes=(change,), text="the learning rate is 0.0001 now"),
        *(told_step(number) for number in range(6, 11)),
        told_look(10, 2.25, best=True),
        Sample(step=10, index=0, question="the question", answer="after " + said, expected="the row's answer"),
        Finished(reason="completed", steps=10, kept_step=10, adapter="adapter", seconds=20.0),
    ]
    return story if finished else story[:until]


def forecast() -> Expected:
    """Give what was forecast for such a run."""
    return Expected(
        device="NVIDIA L4",
        accelerator="cuda",
        memory_total=24 * GIB,
        memory_free=23 * GIB,
        memory=Forecast(
            level="analytic",
            allocated_bytes=3 * GIB,
            card_bytes=4 * GIB,
            safe_bytes=5 * GIB,
            low_bytes=2 * GIB,
            high_bytes=5 * GIB,
            items={"linear maps": 2 * GIB, "adapter": GIB},
            phases={"layer": 2 * GIB, "loss": 3 * GIB},
            peak_phase="loss",
            trainable_weights=5,
        ),
        time=TimeForecast(
            tokens_per_second=80.0,
            tokens_per_second_low=60.0,
            tokens_per_second_high=90.0,
            seconds=12.0,
            seconds_low=10.0,
            seconds_high=16.0,
            bound="compute",
            level="estimated",
            flops_per_token=1e9,
            source="a table",
        ),
    )


def evaluated(folder: RunFolder, adapter_sha256: str, *, said: str = "said", worse: bool = False) -> Evaluated:
    """Give an evaluation of such a run."""
    loss = Figure(
        measure="loss",
        rows=40,
        base=3.0,
        tuned=2.25,
        difference=Interval(value=-0.75, low=-0.9, high=-0.6),
        higher_is_better=False,
        finding="better",
    )
    exact = Figure(
        measure="exact-match",
        rows=40,
        base=0.1,
        tuned=0.2,
        difference=Interval(value=0.1, low=-0.025, high=0.225),
        higher_is_better=True,
        finding="no difference shown",
    )
    row = EvaluatedRow(
        number=3, question="asked", expected="the row", tokens=9, base_loss=3.0, tuned_loss=1.0, tuned_answer=said
    )
    return Evaluated(
        run=folder.id,
        method="lora",
        model="our-base",
        adapter_sha256=adapter_sha256,
        model_sha256="m",
        made="2026-01-31T12:00:00Z",
        rows=RowsTold(
            source="held-out",
            name="customers.jsonl",
            sha256="a" * 64,
            tokens_sha256="b" * 64,
            rows=40,
            of=40,
            tokens=900,
        ),
        computed=Computed(
            device="cpu",
            precision="float32",
            weights="float32",
            batch=8,
            answer_batch=8,
            seconds=3.0,
            answer_seconds=1.0,
            libraries={},
        ),
        figures=(loss, exact),
        gained=(row,),
        lost=(),
        verdict="The tuned model is better on these rows.",
        worse=worse,
    )


def write_record(path: Path, record: object) -> None:
    """Write a record as JSON."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(msgspec.json.encode(record))
