"""Runs of the worker's own trainer on a model so small that a step takes milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from msgspec import structs
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM, PrinterCallback, TrainerCallback, set_seed

from pegbox_methods.events import Checkpoint, Event, Notice
from pegbox_methods.recipe import Evaluation, Model, Output, Recipe, Rows, Training
from pegbox_runs.checkpoints import Progress
from pegbox_runs.models import find_model
from pegbox_runs.plan import plan
from pegbox_worker.arguments import training_arguments
from pegbox_worker.base_model import load_tokenizer
from pegbox_worker.checkpoint import trained_weights
from pegbox_worker.labelled_loss import LabelledLoss
from pegbox_worker.precision import NumberFormat
from pegbox_worker.trainer import MeasuredTrainer

CPU = torch.device("cpu")
FLOAT32 = NumberFormat("float32", torch.float32, torch.float32)
BUNDLED = Model(name="bundled")
TOKENIZER = load_tokenizer(find_model(BUNDLED), BUNDLED)
ROWS = 11
"""A number that no batch divides, so that each epoch ends with a smaller one."""
HELD_OUT = 3
LENGTHS = (5, 17, 9, 30, 12, 7, 22, 14, 6, 26, 11)


class Interrupted(Exception):
    """What ends a run in a test."""


@dataclass
class Told:
    """A trainer's reports, kept."""

    written: list[Checkpoint] = field(default_factory=list)
    failed: list[tuple[int, BaseException]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def progress(self, step: int) -> Progress:
        return Progress(step=step)

    def checkpoint_written(self, event: Checkpoint) -> None:
        self.written.append(event)

    def saving(self) -> AbstractContextManager[None]:
        """Nobody waits for it."""
        return nullcontext()

    def evaluation_begins(self, _step: int) -> None:
        """Not looked at."""

    def evaluation_ends(self, _step: int) -> None:
        """Not looked at."""

    def checkpoint_failed(self, step: int, error: BaseException) -> None:
        self.failed.append((step, error))

    def notices(self) -> list[str]:
        return [event.about for event in self.events if isinstance(event, Notice)]


class Losses(TrainerCallback):
    """Writes down what each step came to, and each evaluation."""

    trainer: MeasuredTrainer

    def __init__(self) -> None:
        self.steps: dict[int, tuple[float, float, float]] = {}
        self.looks: dict[int, float] = {}

    def on_log(self, _args: Any, state: Any, _control: Any, logs: Any = None, **_: Any) -> None:
        if "grad_norm" in logs:
            taken = self.trainer.take_step()
            self.steps[state.global_step] = (taken.loss, logs["learning_rate"], float(logs["grad_norm"]))

    def on_evaluate(self, _args: Any, state: Any, _control: Any, metrics: Any = None, **_: Any) -> None:
        self.looks[state.global_step] = metrics["eval_loss"]


@dataclass
class TinyRun:
    """A trainer, and what it told."""

    trainer: MeasuredTrainer
    losses: Losses
    told: Told
    folder: Path

    def weights(self) -> dict[str, torch.Tensor]:
        return {name: weight.detach().clone() for name, weight in trained_weights(self.trainer.model).items()}

    def checkpoint(self, step: int) -> Path:
        return self.folder / f"checkpoint-{step}"


def tiny_recipe(**training: Any) -> Recipe:
    """Two epochs of six steps of two rows, looked at after each second step."""
    return Recipe(
        model=BUNDLED,
        rows=Rows(file="/rows"),
        training=Training(
            **{
                "epochs": 2.0,
                "micro_batch": 2,
                "accumulation": 1,
                "learning_rate": 5e-3,
                "length": 64,
                "order": "grouped",
                **training,
            }
        ),
        evaluation=Evaluation(every=2),
        output=Output(checkpoints=1000),
    )


def tiny_model(seed: int = 0) -> LlamaForCausalLM:
    """Make a Llama of two layers of width 16."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=TOKENIZER.vocab_size,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=256,
        pad_token_id=TOKENIZER.pad_token_id,
    )
    return LlamaForCausalLM(config)


def tiny_run(
    folder: Path,
    recipe: Recipe | None = None,
    *,
    save_every: int = 1,
    evaluating: bool = True,
    callbacks: Sequence[TrainerCallback] = (),
    model: Any = None,
    **named: Any,
) -> TinyRun:
    """Make one; the caller trains."""
    recipe = recipe or tiny_recipe()
    steps = plan(recipe, ROWS)
    set_seed(recipe.seeds.training)
    if model is None:
        model = get_peft_model(
            tiny_model(), LoraConfig(task_type="CAUSAL_LM", r=2, lora_dropout=0.2, target_modules="all-linear")
        )
    arguments = training_arguments(recipe, steps, FLOAT32, CPU, evaluating=evaluating, folder=folder)
    arguments.save_steps = save_every
    told, losses = Told(), Losses()
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    trainer = MeasuredTrainer(
        model=model,
        args=arguments,
        train_dataset=_rows(LENGTHS, 0),
        eval_dataset=_rows(LENGTHS[:HELD_OUT], 1) if evaluating else None,
        processing_class=TOKENIZER,
        callbacks=[losses, *callbacks],
        labelled_loss=LabelledLoss(base, torch.float32),
        **{"added_loss": None, "state": None, "reports": told, "tell": told.events.append, **named},
    )
    losses.trainer = trainer
    trainer.remove_callback(PrinterCallback)
    return TinyRun(trainer, losses, told, folder)


def changed(recipe: Recipe, **training: Any) -> Recipe:
    """Change a recipe's training."""
    return structs.replace(recipe, training=structs.replace(recipe.training, **training))


def _rows(lengths: Sequence[int], salt: int) -> Dataset:
    ids = [[(7 * row + 3 * place + salt) % 500 + 10 for place in range(length)] for row, length in enumerate(lengths)]
    return Dataset.from_dict({"input_ids": ids, "labels": ids, "length": list(lengths)})
