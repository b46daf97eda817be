"""What the trainer does beyond TRL's: it survives a failed checkpoint, and keeps the losses apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model

from pegbox_methods.recipe import Evaluation, Model, Output, Recipe, Rows, Training
from pegbox_runs.models import BUNDLED
from pegbox_runs.plan import plan
from pegbox_worker import checkpoint_shelf
from pegbox_worker.arguments import training_arguments
from pegbox_worker.labelled_loss import LabelledLoss
from pegbox_worker.precision import NumberFormat
from pegbox_worker.tokens import tokenize
from pegbox_worker.trainer import MeasuredTrainer
from tests.example_rows import examples_of
from tests.worker.tiny_runs import Told

CPU = torch.device("cpu")
FLOAT32 = NumberFormat("float32", torch.float32, torch.float32)


def make_trainer(
    model: Any, tokenizer: Any, folder: Path, *, accumulation: int = 1, ours: bool = True, **changes: Any
) -> MeasuredTrainer:
    """Make a trainer over a few bundled rows: four steps, looked at after each second one."""
    recipe = Recipe(
        model=Model(name="bundled"),
        rows=Rows(file="/rows"),
        training=Training(max_steps=4, micro_batch=4, accumulation=accumulation, learning_rate=1e-3, length=256),
        evaluation=Evaluation(every=2),
        output=Output(checkpoints=1),
    )
    examples = examples_of(BUNDLED / "rows.jsonl", 48)
    rows = [tokenize(part, tokenizer, 256) for part in (examples[:40], examples[40:])]
    trained, held_out = (part.table for part in rows)
    torch.manual_seed(0)
    tuned = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear"))
    arguments = training_arguments(recipe, plan(recipe, 40), FLOAT32, CPU, evaluating=True, folder=folder)
    return MeasuredTrainer(
        model=tuned,
        args=arguments,
        train_dataset=trained,
        eval_dataset=held_out,
        processing_class=tokenizer,
        labelled_loss=LabelledLoss(tuned.get_base_model(), torch.float32) if ours else None,
        **{"added_loss": None, "state": None, "reports": Told(), "tell": lambda _: None, **changes},
    )


@pytest.mark.parametrize(
    "boundary", ["checkpoint-write", "checkpoint-fsync", "checkpoint-manifest", "checkpoint-rename"]
)
def test_a_disk_that_fills_at_a_checkpoint_costs_the_checkpoint_and_not_the_run(
    model: Any, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, boundary: str
) -> None:
    reports = Told()
    trainer = make_trainer(model, tokenizer, tmp_path, reports=reports)

    def strike(passed: str, *, step: int | None = None) -> None:
        if (passed, step) == (boundary, 4):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint_shelf, "strike", strike)
    trainer.train()
    assert [step for step, _ in reports.failed] == [4]
    assert trainer.state.global_step == 4
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-2"]
    assert (tmp_path / "checkpoint-2" / "adapter_model.safetensors").is_file()
    assert [event.folder for event in reports.written] == [f"{tmp_path.name}/checkpoint-2"]
    assert trainer.keep_best() == 4, "the last weights are the best, and they are in memory"


def test_without_room_a_checkpoint_is_left_out_and_the_run_goes_on(
    model: Any, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports = Told()
    trainer = make_trainer(model, tokenizer, tmp_path, reports=reports)
    monkeypatch.setattr(checkpoint_shelf, "free_bytes", lambda _: 2**20)
    trainer.train()
    assert [step for step, _ in reports.failed] == [2, 4]
    assert "the disk has 1 MiB left" in str(reports.failed[0][1])
    assert list(tmp_path.iterdir()) == []


def losses(trainer: MeasuredTrainer) -> list[float]:
    """Train, and give the loss of each step as it is told."""
    told: list[float] = []
    log = trainer.log

    def record(logs: dict[str, float], *rest: Any) -> None:
        if "grad_norm" in logs:
            told.append(trainer.take_step()[0])
        log(logs, *rest)

    trainer.log = record  # type: ignore[method-assign]
    trainer.train()
    return told


@pytest.mark.parametrize("accumulation", [1, 2])
def test_our_loss_and_trls_fused_head_tell_and_train_the_same(
    tokenizer: Any, tmp_path: Path, accumulation: int
) -> None:
    from pegbox_runs.models import find_model
    from pegbox_worker.base_model import load_model

    told = []
    for ours in (True, False):
        model = load_model(find_model(Model(name="bundled")), torch.float32, CPU)
        told.append(losses(make_trainer(model, tokenizer, tmp_path / str(ours), accumulation=accumulation, ours=ours)))
    assert len(told[0]) == 4
    assert told[0] == pytest.approx(told[1], rel=1e-4)


def test_accumulated_losses_are_means_over_tokens_even_if_the_model_takes_no_count(
    model: Any, tokenizer: Any, tmp_path: Path
) -> None:
    model.accepts_loss_kwargs = False
    told = losses(make_trainer(model, tokenizer, tmp_path, accumulation=2))
    assert all(1.0 < loss < 8.0 for loss in told)  # doubled, they would begin above 8


def test_a_methods_own_term_is_trained_and_not_told(tokenizer: Any, tmp_path: Path) -> None:
    from pegbox_runs.models import find_model
    from pegbox_worker.base_model import load_model

    told = []
    for added in (None, lambda: torch.tensor(100.0)):
        model = load_model(find_model(Model(name="bundled")), torch.float32, CPU)
        told.append(losses(make_trainer(model, tokenizer, tmp_path / str(bool(added)), added_loss=added)))
    assert told[0] == told[1]  # a constant has no gradient


def test_evaluation_is_weighted_by_tokens(model: Any, tokenizer: Any, tmp_path: Path) -> None:
    trainer = make_trainer(model, tokenizer, tmp_path)
    whole = trainer.evaluate()["eval_loss"]
    tokens = trainer.evaluated_tokens
    total = 0.0
    for row in trainer.eval_dataset:
        inputs = {"input_ids": torch.tensor([row["input_ids"]]), "labels": torch.tensor([row["labels"]])}
        count = int((inputs["labels"][:, 1:] != -100).sum())
        with torch.no_grad():
            total += float(trainer.model(**inputs).loss) * count
    assert whole == pytest.approx(total / tokens, rel=1e-5)
