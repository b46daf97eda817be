"""A run of a few steps on the bundled model with the sentinel watching, in this process."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from transformers import TrainerCallback

from pegbox_methods.events import Check, Event, Inspected, Notice
from pegbox_methods.recipe import Evaluation, Output, Recipe
from pegbox_methods.registry import find_card
from pegbox_methods.torch_half import Attached, load_torch_half
from pegbox_runs.event_log import EventWriter
from pegbox_runs.plan import Plan
from pegbox_runs.run_folder import RunFolder
from pegbox_worker.assembly import loss_on_labels, make_trainer
from pegbox_worker.certify.bench import CPU, Bench
from pegbox_worker.certify.case import Case
from pegbox_worker.control import Control
from pegbox_worker.precision import decide
from pegbox_worker.reporter import Reporter
from pegbox_worker.sentinel.sentinel import Sentinel
from pegbox_worker.stop_flag import StopFlag
from pegbox_worker.token_rows import TokenRows
from pegbox_worker.trainer import MeasuredTrainer

HELD_OUT = 4
Break = Callable[[Attached], Attached]


@dataclass(frozen=True)
class Watched:
    """What the sentinel told of a run, and what the run came to."""

    told: list[Event]
    losses: list[float]
    error: Exception | None
    trainer: MeasuredTrainer

    @property
    def inspected(self) -> list[Inspected]:
        """What it saw, each time a verdict changed."""
        return [event for event in self.told if isinstance(event, Inspected)]

    @property
    def notices(self) -> dict[str, str]:
        """Give the notices by what they are about."""
        return {event.about: event.text for event in self.told if isinstance(event, Notice)}

    def check(self, name: str) -> Check:
        """Give the last word on one thing."""
        return next(check for check in self.inspected[-1].checks if check.name == name)


class Losses(TrainerCallback):  # type: ignore[misc]
    """Keeps the loss of each step, whole."""

    def __init__(self) -> None:
        self.trainer: MeasuredTrainer | None = None
        self.seen: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Read it before the reporter takes it."""
        assert self.trainer is not None
        self.seen.append(sum(float(part) for part in self.trainer._step_loss))


def watched_run(
    bench: Bench,
    folder: Path,
    method: str,
    steps: int = 24,
    *,
    settings: dict[str, Any] | None = None,
    broken: Break = lambda attached: attached,
    beside: Sequence[TrainerCallback] = (),
    watching: bool = True,
    every: int | None = None,
    warmup: int = 0,
    changed: Callable[[Recipe], Recipe] = lambda recipe: recipe,
    after_making: Callable[[MeasuredTrainer], None] = lambda _: None,
    resume_from: Path | None = None,
    **training: Any,
) -> Watched:
    """Train, with a callback `beside` that may do harm, and give what was seen. Only an exception of a step is kept."""
    training = {"micro_batch": 2, **training}
    card = find_card(method)
    case = Case(card, load_torch_half(card), bench, folder)
    made: list[tuple[Recipe, Attached]] = []

    def attach(count: int) -> None:
        recipe = changed(case.recipe(count, settings, **training))
        made.append((recipe, case.attach(recipe)))

    case.fitting(steps, attach)
    recipe, attached = made[-1]
    recipe = msgspec.structs.replace(recipe, evaluation=Evaluation(micro_batch=2), output=Output(checkpoints=20))
    attached = broken(attached)
    place = RunFolder(folder / "run")
    place.checkpoints.mkdir(parents=True)
    told: list[Event] = []
    sentinel = Sentinel(attached, recipe, bench.trained.facts, told.append, CPU)
    losses = Losses()
    number_format = decide(recipe.training.precision, CPU)
    error: Exception | None = None
    with closing(EventWriter(place.events)) as writer:
        reporter = Reporter(writer, Control(place, writer, StopFlag()), CPU)
        length = recipe.training.max_steps or steps
        trainer = make_trainer(
            place,
            recipe,
            attached,
            Plan(steps=length, every=every or length, warmup=warmup),
            number_format,
            reporter,
            loss_on_labels(attached.model, bench.trained, number_format, CPU),
            bench.tokenizer,
            (bench.trained, first_rows(bench.held_out, HELD_OUT)),
            watchers=[*beside, *([sentinel] if watching else []), losses],
        )
        sentinel.trainer = losses.trainer = trainer
        after_making(trainer)
        try:
            trainer.train(resume_from_checkpoint=str(resume_from) if resume_from else None)
        except Exception as raised:  # noqa: BLE001  # what ended the run is what is looked at
            error = raised
    return Watched(told, losses.seen, error, trainer)


def first_rows(rows: TokenRows, count: int) -> TokenRows:
    """Take the first of them."""
    return TokenRows.of(rows.input_ids[:count], rows.labels[:count])


def without_callbacks(attached: Attached) -> Attached:
    """Forget what must run beside the model."""
    return dataclasses.replace(attached, callbacks=())
