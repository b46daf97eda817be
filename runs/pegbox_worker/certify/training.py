"""A few steps of a real run: the worker's own trainer, watched by one more callback."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from pegbox_methods.recipe import Recipe
from pegbox_methods.torch_half import Attached
from pegbox_runs.event_log import EventWriter
from pegbox_runs.plan import Plan
from pegbox_runs.run_folder import RunFolder
from pegbox_worker.assembly import loss_on_labels, make_trainer
from pegbox_worker.certify.bench import CPU, Bench
from pegbox_worker.certify.tensors import Tensors, copied, differing
from pegbox_worker.checkpoint import trained_weights
from pegbox_worker.control import Control
from pegbox_worker.precision import decide
from pegbox_worker.reporter import Reporter
from pegbox_worker.stop_flag import StopFlag
from pegbox_worker.token_rows import TokenRows
from pegbox_worker.trainer import MeasuredTrainer

LOOKED_AT_STEPS = 2
"""Steps whose gradients are kept: where B begins at zero, A gets its first gradient in the second."""
NO_ROWS = TokenRows.of([], [])


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How far a run goes, and what it leaves behind."""

    stop_after: int | None = None
    """End after this step, as one that is stopped; None: at its last one."""
    save_at: int | None = None
    """Write a checkpoint after this step."""
    resume_from: Path | None = None


class Watch(TrainerCallback):
    """Keeps what the checks need of a run, and ends it in time. Add it last: it overrules the callbacks before it."""

    def __init__(self, model: nn.Module, pace: Pace) -> None:
        self._model = model
        self._pace = pace
        self.before: Tensors = {}
        """The trained weights when the training began."""
        self.gradients: list[Tensors] = []
        """Of the first steps; a weight that got none is missing."""

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """Remember the weights."""
        self.before = copied(trained_weights(self._model))

    def on_pre_optimizer_step(self, *_: Any, **__: Any) -> None:
        """Keep the gradients while they are there."""
        if len(self.gradients) < LOOKED_AT_STEPS:
            trained = trained_weights(self._model)
            found = {name: weight.grad for name, weight in trained.items() if weight.grad is not None}
            self.gradients.append(copied(found))

    def on_step_end(
        self, _args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        """Stop where the check has seen enough."""
        if state.global_step == self._pace.stop_after:
            control.should_training_stop = True
        control.should_evaluate = False
        return control

    def on_log(
        self, _args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        """Save only what was asked for; the reporter would save at every end."""
        control.should_save = state.global_step == self._pace.save_at
        return control

    def with_gradient(self) -> set[str]:
        """Name the weights that got a gradient that isn't all zero in one of the first steps."""
        return {name for step in self.gradients for name, gradient in step.items() if bool(gradient.any())}

    def unmoved(self) -> list[str]:
        """Name the trained weights that are what they were."""
        changed = differing(self.before, trained_weights(self._model))
        return [name for name in self.before if name not in changed]


@dataclass(frozen=True)
class Trained:
    """A run that came to its end."""

    attached: Attached
    trainer: MeasuredTrainer
    watch: Watch
    folder: RunFolder


def train(
    bench: Bench,
    recipe: Recipe,
    attached: Attached,
    folder: Path,
    pace: Pace,
    *,
    shared: bool = False,
    find_unused: bool = False,
) -> Trained:
    """Take a run's steps. `recipe.training.max_steps` is the length it was planned for.

    `shared`: several processes carry it, each this way; the loss is then TRL's, and `find_unused` is what DDP needs to
    hear of weights that a step leaves out.
    """
    steps = recipe.training.max_steps or 1
    number_format = decide(recipe.training.precision, CPU)
    loss = None if shared else loss_on_labels(attached.model, bench.trained, number_format, CPU)
    place = RunFolder(folder)
    with closing(EventWriter(place.events)) as writer:
        reporter = Reporter(writer, Control(place, writer, StopFlag()), CPU)
        trainer = make_trainer(
            place,
            recipe,
            attached,
            Plan(steps=steps, every=pace.save_at or steps, warmup=0),
            number_format,
            reporter,
            loss,
            bench.tokenizer,
            (bench.trained, NO_ROWS),
        )
        if trainer.accelerator.ddp_handler is not None:
            trainer.accelerator.ddp_handler.find_unused_parameters = find_unused
        watch = Watch(trainer.model, pace)
        trainer.add_callback(watch)
        trainer.train(resume_from_checkpoint=str(pace.resume_from) if pace.resume_from else None)
    return Trained(attached, trainer, watch, place)
