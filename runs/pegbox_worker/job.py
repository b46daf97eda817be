"""The main job: a recipe goes in, events come out, an adapter lies in the run's folder."""

from __future__ import annotations

import shutil
import traceback
from pathlib import Path

import msgspec
import torch

from pegbox_methods.events import Finished, Prepared
from pegbox_methods.recipe_file import portable, read_recipe
from pegbox_methods.refusal import Refusal
from pegbox_methods.torch_half import Attached, TorchHalf
from pegbox_runs.environment import Environment
from pegbox_runs.event_log import EventWriter
from pegbox_runs.rows.loading import FoundRows, find_rows
from pegbox_runs.run_folder import RunFolder
from pegbox_worker.assembly import load_base, loss_on_labels, make_trainer, quiet
from pegbox_worker.base_model import end_tokens, weights_in
from pegbox_worker.failure import explain
from pegbox_worker.first_look import show_rows
from pegbox_worker.labelled_loss import LabelledLoss
from pegbox_worker.precision import this_device
from pegbox_worker.prepared import PreparedRows, prepare
from pegbox_worker.reporter import Control, Reporter
from pegbox_worker.row_care import judge_of, refuse_eaten_labels, tell_rows
from pegbox_worker.samples import Sampler
from pegbox_worker.start import Start, begin
from pegbox_worker.stop_flag import StopFlag
from pegbox_worker.trainer import MeasuredTrainer


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

    reporter.phase("preparing", portable(recipe.rows.file))
    found = find_rows(recipe)
    _refuse_other_rows(found, folder)
    ends = end_tokens(base.model)
    rows = prepare(recipe, found, base.tokenizer, ends, judge_of(recipe))
    tell_rows(rows, writer)
    if control.poll():
        writer.emit(Finished(reason="stopped", steps=0, kept_step=0, adapter=None, seconds=0.0))
        return
    sampler = Sampler(rows.questions, base.tokenizer, recipe.evaluation, recipe.training.length, ends)
    sampler.ask(base.model, 0, writer)

    start = begin(recipe, base, rows, device, writer)
    number_format, attached = start.base.number_format, start.attached
    show_rows(attached, rows.trained, recipe.training.micro_batch, start.base.tokenizer.pad_token_id, device)
    labelled_loss = loss_on_labels(attached.model, rows.trained, number_format, device)
    trainer = make_trainer(
        folder,
        start.recipe,
        attached,
        start.steps,
        number_format,
        reporter,
        labelled_loss,
        start.base.tokenizer,
        (start.sequences, rows.held_out),
    )
    refuse_eaten_labels(trainer, start.sequences, rows.held_out)
    writer.emit(_prepared(start, rows, trainer, labelled_loss))
    trainer.train()
    reporter.tell_gain()
    sampler.ask(trainer.model, trainer.state.global_step, writer)
    _save(folder, start.half, attached, reporter)
    writer.emit(_finished(trainer, control, reporter))


def _refuse_other_rows(found: FoundRows, folder: RunFolder) -> None:
    """Refuse rows that aren't those the run was started with.

    Raises: Refusal.
    """
    told = msgspec.json.decode(folder.environment.read_bytes(), type=Environment)
    if (found.sha256, found.held_out_sha256) != (told.rows_sha256, told.held_out_sha256):
        raise Refusal("the file of rows was changed after the run was started; start it anew.")


def _prepared(
    start: Start, rows: PreparedRows, trainer: MeasuredTrainer, labelled_loss: LabelledLoss | None
) -> Prepared:
    weights = [(weights_in(weight), weight.requires_grad) for weight in trainer.model.parameters()]
    packed = start.recipe.training.order == "packed"
    return Prepared(
        steps=start.steps.steps,
        rows_trained=rows.trained.facts.rows,
        rows_evaluated=rows.held_out.facts.rows,
        tokens=rows.trained.facts.tokens,
        tokens_trained=rows.trained.facts.tokens_trained,
        trainable_weights=sum(count for count, trains in weights if trains),
        model_weights=sum(count for count, _ in weights),
        device=str(trainer.args.device),
        precision=start.base.number_format.name,
        activation_checkpointing=bool(trainer.args.gradient_checkpointing),
        loss_path="trl-fused" if labelled_loss is None else "labelled-positions",
        order=start.recipe.training.order,
        sequences=len(start.sequences) if packed else None,
        rows_kept=rows.kept,
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
