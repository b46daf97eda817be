"""A built-in method on the bundled model, in this process: attached as the worker does it, or a whole run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from msgspec import structs
from transformers import set_seed

from pegbox_methods.events import Checkpoint
from pegbox_methods.recipe import Evaluation, Method, Model, Output, Recipe, Rows, Training
from pegbox_methods.registry import find_card
from pegbox_methods.setting import resolve_settings
from pegbox_methods.torch_half import Attached, load_torch_half
from pegbox_runs.checkpoints import Progress
from pegbox_runs.event_log import EventWriter
from pegbox_runs.models import BUNDLED, find_model
from pegbox_runs.plan import plan
from pegbox_runs.preflight import check
from pegbox_runs.run_folder import RunFolder, create
from pegbox_runs.run_state import RunState
from pegbox_worker import job
from pegbox_worker.arguments import training_arguments
from pegbox_worker.base_model import admit_bitsandbytes, load_model, load_packed_model, load_tokenizer
from pegbox_worker.control import Control
from pegbox_worker.precision import NumberFormat
from pegbox_worker.stop_flag import StopFlag
from pegbox_worker.trainer import MeasuredTrainer

CPU = torch.device("cpu")
FLOAT32 = NumberFormat("float32", torch.float32, torch.float32)
METHODS = ("lora", "rslora", "dora", "qlora", "adalora")
FOUND = find_model(Model(name="bundled"))
IDS = torch.arange(20, 60)[None]
FEW_STEPS: dict[str, dict[str, Any]] = {"adalora": {"interval": 2, "rank": 4, "alpha": 64}}
RATES = {"adalora": 2e-2}
"""AdaLoRA's values begin at zero beside short vectors, so that a few steps at LoRA's rate move nothing yet."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute in one thread: two that wait for each other beside a busy neighbour cost ten times the work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def recipe(name: str, *, steps: int = 100, **settings: Any) -> Recipe:
    """Make a recipe as a half gets it: every setting filled in, the steps counted."""
    filled, faults = resolve_settings(find_card(name).settings, settings, file="test")
    assert not faults
    return Recipe(
        model=Model(name="bundled"),
        rows=Rows(file=str(BUNDLED / "rows.jsonl")),
        method=Method(name=name, settings=filled),
        training=Training(max_steps=steps, learning_rate=find_card(name).learning_rate),
    )


def plain_base() -> Any:
    """Load the bundled model in full precision."""
    return load_model(FOUND, torch.float32, CPU)


def packed_base(compute: torch.dtype = torch.float32) -> Any:
    """Load the bundled model in 4 bits."""
    admit_bitsandbytes()
    return load_packed_model(FOUND, torch.float32, compute, CPU)


def base(name: str) -> Any:
    """Load the bundled model as the method's card asks for it."""
    return packed_base() if find_card(name).needs.quantized_base else plain_base()


def attach(name: str, *, steps: int = 100, **settings: Any) -> Attached:
    """Put a method on the bundled model."""
    torch.manual_seed(0)
    return load_torch_half(find_card(name)).attach(base(name), recipe(name, steps=steps, **settings))


def run_job(name: str, *, settings: dict[str, Any] | None = None, every: int = 4, **training: Any) -> RunFolder:
    """Carry one run as the worker does."""
    asked = Recipe(
        model=Model(name="bundled"),
        rows=Rows(file=str(BUNDLED / "rows.jsonl"), limit=40),
        method=Method(name=name, settings={**FEW_STEPS.get(name, {}), **(settings or {})}),
        training=Training(
            **{
                "max_steps": 8,
                "length": 256,
                "accumulation": 1,
                "precision": "float32",
                "learning_rate": RATES.get(name, 2e-3),
                **training,
            }
        ),
        evaluation=Evaluation(every=every, sample_tokens=8),
    )
    checked = check(asked, file="recipe.toml")
    folder = create(checked.recipe, checked.environment())
    writer = EventWriter(folder.events)
    job.carry(folder, writer, Control(folder, writer, StopFlag()), RunState())
    return folder


class NoFailure:
    """A trainer's reports, to a test in which every checkpoint can be written."""

    def progress(self, step: int) -> Progress:
        return Progress(step=step)

    def checkpoint_written(self, event: Checkpoint) -> None:
        """Nobody is told."""

    def saving(self) -> AbstractContextManager[None]:
        """Nobody waits for it."""
        return nullcontext()

    def evaluation_begins(self, _step: int) -> None:
        """Not looked at."""

    def evaluation_ends(self, _step: int) -> None:
        """Not looked at."""

    def checkpoint_failed(self, _step: int, error: BaseException) -> None:
        pytest.fail(repr(error))


def trainer_for(name: str, folder: Path, *, steps: int, **settings: Any) -> MeasuredTrainer:
    """Make the trainer of a short run with a checkpoint every second step; the caller trains."""
    asked = recipe(name, steps=steps, **settings)
    training = structs.replace(asked.training, micro_batch=1, accumulation=1, learning_rate=RATES.get(name, 2e-3))
    asked = structs.replace(asked, training=training, evaluation=Evaluation(every=2), output=Output(checkpoints=100))
    set_seed(0)
    attached = load_torch_half(find_card(name)).attach(base(name), asked)
    rows = Dataset.from_list([{"input_ids": ids, "labels": ids} for ids in (IDS[0] + 40 * row for row in range(6))])
    return MeasuredTrainer(
        model=attached.model,
        args=training_arguments(asked, plan(asked, 6), FLOAT32, CPU, evaluating=False, folder=folder),
        train_dataset=rows,
        processing_class=load_tokenizer(FOUND, asked.model),
        callbacks=list(attached.callbacks),
        optimizers=(attached.optimizer, None),
        labelled_loss=None,
        added_loss=attached.added_loss,
        state=attached.state,
        reports=NoFailure(),
        tell=lambda _: None,
    )


def logits(model: Any) -> torch.Tensor:
    """Give the logits of one fixed row, (1, 40, vocabulary)."""
    with torch.no_grad():
        found: torch.Tensor = model.eval()(input_ids=IDS).logits
    return found
