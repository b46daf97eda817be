"""The main job: a recipe goes in, events come out, an adapter lies in the run's folder."""

from __future__ import annotations

import shutil
import traceback
from pathlib import Path

import msgspec
import torch
from transformers import set_seed

from pegbox_methods.events import Finished, Notice, Prepared
from pegbox_methods.recipe import Recipe
from pegbox_methods.recipe_file import portable, read_recipe
from pegbox_methods.refusal import Refusal
from pegbox_methods.torch_half import Attached, TorchHalf, load_torch_half
from pegbox_runs.environment import Environment
from pegbox_runs.event_log import EventWriter
from pegbox_runs.rows.loading import LoadedRows, load_rows
from pegbox_runs.run_folder import RunFolder
from pegbox_worker.assembly import counted, load_base, loss_on_labels, make_trainer, quiet
from pegbox_worker.base_model import end_tokens, weights_in
from pegbox_worker.failure import explain
from pegbox_worker.first_look import show_rows
from pegbox_worker.labelled_loss import LabelledLoss
from pegbox_worker.plan import Plan, plan
from pegbox_worker.precision import NumberFormat, this_device
from pegbox_worker.reporter import Control, Reporter
from pegbox_worker.samples import Sampler
from pegbox_worker.stop_flag import StopFlag
from pegbox_worker.tokens import TokenRows, tokenize
from pegbox_worker.trainer import MeasuredTrainer

ENOUGH_ENDS = 0.99
"""Share of rows whose end token must be learned, or the model may never stop talking."""


def carry(folder: RunFolder, writer: EventWriter, stop: StopFlag) -> int:
    """Carry a run to its end, whatever that is. Returns the worker's exit code."""
    quiet()
    device = this_device()
    control = Control(folder, writer, stop)
    reporter = Reporter(folder, writer, control, device)
    try:
        _train(folder, writer, control, reporter, device)
    except Exception as error:  # noqa: BLE001  # every end is told
        traceback.print_exc()
        writer.emit(explain(error, reporter.where))
        return 1
    return 0


def _train(folder: RunFolder, writer: EventWriter, control: Control, reporter: Reporter, device: torch.device) -> None:
    recipe = read_recipe(folder.recipe)
    reporter.phase("loading", portable(recipe.model.name))
    base = load_base(recipe, device)
    model, tokenizer, number_format = base.model, base.tokenizer, base.number_format

    reporter.phase("preparing", portable(recipe.rows.file))
    rows = load_rows(recipe)
    _refuse_other_rows(rows, folder)
    ends = end_tokens(model)
    trained = tokenize(rows.trained, tokenizer, recipe.training.length, ends)
    held_out = tokenize(rows.held_out, tokenizer, recipe.training.length, ends)
    _tell_losses(trained, held_out, writer)
    _refuse_nothing(trained, held_out, recipe)
    if control.poll():
        writer.emit(Finished(reason="stopped", steps=0, kept_step=0, adapter=None, seconds=0.0))
        return
    sampler = Sampler(rows.held_out, tokenizer, recipe.evaluation, recipe.training.length, ends)
    sampler.ask(model, 0, writer)

    set_seed(recipe.seeds.training)  # before attaching: PEFT draws the adapter's first weights
    steps = plan(recipe, len(trained.input_ids))
    half = load_torch_half(base.card)
    attached = half.attach(model, counted(recipe, steps))
    show_rows(attached, trained, recipe.training.micro_batch, tokenizer.pad_token_id, device)
    labelled_loss = loss_on_labels(attached.model, trained, number_format, device)
    trainer = make_trainer(
        folder, recipe, attached, steps, number_format, reporter, labelled_loss, tokenizer, (trained, held_out)
    )
    writer.emit(_prepared(steps, trained, held_out, trainer, labelled_loss, number_format))
    trainer.train()
    reporter.tell_gain()
    sampler.ask(trainer.model, trainer.state.global_step, writer)
    _save(folder, half, attached, reporter)
    writer.emit(_finished(trainer, control, reporter))


def _tell_losses(trained: TokenRows, held_out: TokenRows, writer: EventWriter) -> None:
    """Say what the length limit costs, and whether the model will learn to stop."""
    for rows, name in ((trained, "training"), (held_out, "held-out")):
        if rows.truncated:
            whole = rows.tokens_trained + rows.tokens_lost
            text = (
                f"{rows.truncated} {name} rows are longer than training.length and lose their end: "
                f"{100 * rows.tokens_lost / max(whole, 1):.1f} % of the tokens to learn; {rows.dropped} rows have "
                "nothing left to learn and are left out. Raise training.length to keep them."
            )
            writer.emit(Notice(text=text, about="truncated"))
    if trained.rewritten:
        text = (
            f"the chat template leaves out a part of the answer in {trained.rewritten} of {len(trained.input_ids)} "
            "rows (of reasoning, often), so it isn't learned. Another template as model.chat_template may keep it."
        )
        writer.emit(Notice(text=text, about="answer-rewritten"))
    if trained.without_end > (1 - ENOUGH_ENDS) * len(trained.input_ids):
        text = (
            f"the end token carries no label in {trained.without_end} of {len(trained.input_ids)} rows; the model may "
            "not learn to stop. Raise training.length if rows are cut, or use a template that ends each answer."
        )
        writer.emit(Notice(text=text, about="end-not-learned"))


def _refuse_other_rows(rows: LoadedRows, folder: RunFolder) -> None:
    """Refuse rows that aren't those the run was started with.

    Raises: Refusal.
    """
    told = msgspec.json.decode(folder.environment.read_bytes(), type=Environment)
    if (rows.sha256, rows.held_out_sha256) != (told.rows_sha256, told.held_out_sha256):
        raise Refusal("the file of rows was changed after the run was started; start it anew.")


def _refuse_nothing(trained: TokenRows, held_out: TokenRows, recipe: Recipe) -> None:
    """Refuse to train on nothing, or to judge by nothing.

    Raises: Refusal.
    """
    for rows, name in ((trained, "training"), (held_out, "held-out")):
        if rows.dropped and not rows.input_ids:
            raise Refusal(
                f"no {name} row has a token to learn within training.length = {recipe.training.length}: "
                "the questions alone fill it. Raise training.length."
            )


def _prepared(
    steps: Plan,
    trained: TokenRows,
    held_out: TokenRows,
    trainer: MeasuredTrainer,
    labelled_loss: LabelledLoss | None,
    number_format: NumberFormat,
) -> Prepared:
    weights = [(weights_in(weight), weight.requires_grad) for weight in trainer.model.parameters()]
    return Prepared(
        steps=steps.steps,
        rows_trained=len(trained.input_ids),
        rows_evaluated=len(held_out.input_ids),
        tokens=trained.tokens,
        tokens_trained=trained.tokens_trained,
        trainable_weights=sum(count for count, trains in weights if trains),
        model_weights=sum(count for count, _ in weights),
        device=str(trainer.args.device),
        precision=number_format.name,
        activation_checkpointing=bool(trainer.args.gradient_checkpointing),
        loss_path="trl-fused" if labelled_loss is None else "labelled-positions",
    )


def _save(folder: RunFolder, half: TorchHalf, attached: Attached, reporter: Reporter) -> None:
    """Write the adapter aside and rename it, so that it appears whole or not at all."""
    reporter.phase("saving")
    aside = folder.path / ".adapter.part"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(mode=0o700)
    half.save(attached, aside)
    aside.rename(folder.adapter)


def _finished(trainer: MeasuredTrainer, control: Control, reporter: Reporter) -> Finished:
    state = trainer.state
    best = state.best_model_checkpoint
    return Finished(
        reason="stopped" if control.stopping and state.global_step < state.max_steps else "completed",
        steps=state.global_step,
        kept_step=int(Path(best).name.rpartition("-")[2]) if best else state.global_step,
        adapter="adapter",
        seconds=reporter.training_seconds,
    )
