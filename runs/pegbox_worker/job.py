"""The main job: a recipe goes in, events come out, an adapter lies in the run's folder."""

from __future__ import annotations

import gc
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from transformers import TrainerCallback

from pegbox_methods.events import Finished, Prepared, Trouble, WorkerFailed
from pegbox_methods.recipe import Recipe
from pegbox_methods.recipe_file import portable
from pegbox_runs.changes import current_recipe
from pegbox_runs.checkpoints import GoodCheckpoint
from pegbox_runs.event_log import EventWriter
from pegbox_runs.faults import strike
from pegbox_runs.rows.loading import find_rows
from pegbox_runs.run_folder import RunFolder
from pegbox_runs.run_state import RunState
from pegbox_worker.adapter_folder import mend_adapter, when_there_is_room, write_adapter
from pegbox_worker.assembly import Base, loss_on_labels, make_trainer, quiet
from pegbox_worker.base_model import end_tokens, vocabulary_of, weights_in
from pegbox_worker.base_shelf import BaseShelf
from pegbox_worker.checkpoint_size import refuse_little_room
from pegbox_worker.control import Control
from pegbox_worker.failure import explain
from pegbox_worker.first_look import show_rows
from pegbox_worker.going_on import checkpoint_to_go_on_from, device_to_go_on_with, recipe_to_go_on_with
from pegbox_worker.ground import note_weights, refuse_other_model, refuse_other_rows
from pegbox_worker.hands import Hands
from pegbox_worker.judge import Judge, begin_judging
from pegbox_worker.labelled_loss import LabelledLoss
from pegbox_worker.late_evaluation import progress_with_late
from pegbox_worker.load_watch import load_told
from pegbox_worker.prepared import PreparedRows, prepare
from pegbox_worker.random_state import chance_put_aside
from pegbox_worker.reporter import Reporter
from pegbox_worker.row_care import judge_of, refuse_eaten_labels, tell_rows
from pegbox_worker.samples import Sampler
from pegbox_worker.sentinel.sentinel import Sentinel
from pegbox_worker.sharded import shown_whole
from pegbox_worker.sharded_base import LookAtPartedBase
from pegbox_worker.start import Start, begin
from pegbox_worker.trainer import MeasuredTrainer

NOT_RESCUED: frozenset[Trouble] = frozenset({"refused", "diverged", "inspection", "device-lost"})
"""What would come again behind the checkpoint, and a device that nothing can be read from any more."""


def carry(
    folder: RunFolder, writer: EventWriter, control: Control, state: RunState, shelf: BaseShelf | None = None
) -> int:
    """Carry a run to its end, or to where its worker has to. `state`: its log until now. Returns the exit code.

    `shelf`: where its base model comes from; None: it is loaded for this run alone.
    """
    quiet()
    reporter = None
    try:
        checkpoint = checkpoint_to_go_on_from(folder, state, writer)
        device = device_to_go_on_with(state)
        reporter = Reporter(writer, control, device)
        train(Hands(folder, writer, control, reporter, device, shelf or BaseShelf()), checkpoint, state)
    except Exception as error:  # noqa: BLE001  # every end is told
        traceback.print_exc()
        failed = failed_by(error, reporter)
        rescue(reporter, failed, error)
        writer.emit(failed)
        return 1
    return 0


def failed_by(error: BaseException, reporter: Reporter | None) -> WorkerFailed:
    """Say what an exception ended. `reporter`: None where there was none yet."""
    if reporter is None:
        return explain(error, "starting")
    return explain(error, reporter.where, reporter.doing, reporter.steps_done)


def rescue(reporter: Reporter | None, failed: WorkerFailed, error: BaseException | None) -> None:
    """Save what was done, where that helps, after letting go of what the failed step held: its frames keep the
    activations alive.
    """
    trainer = None if reporter is None else reporter.trainer
    if trainer is None or failed.kind in NOT_RESCUED:
        return
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
    trainer.model.zero_grad()
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    try:
        trainer.rescue()
    except Exception:  # noqa: BLE001  # what ended the run is what is told
        traceback.print_exc()


def train(hands: Hands, checkpoint: GoodCheckpoint | None, state: RunState) -> None:
    """Load, prepare, train and save."""
    recipe = current_recipe(hands.folder)
    if checkpoint is not None:
        recipe = recipe_to_go_on_with(recipe, state, hands.device)
    if hands.group.leads:
        mend_adapter(hands.folder)
    refuse_other_model(recipe, hands.folder)
    hands.reporter.phase("loading", portable(recipe.model.name))
    strike("loading")
    base = hands.shelf.base(recipe, hands.device)
    if hands.group.leads:
        note_weights(recipe, hands.folder)

    hands.reporter.phase("preparing", portable(recipe.rows.file))
    strike("preparing")
    found = find_rows(recipe)
    refuse_other_rows(found, hands.folder)
    ends = end_tokens(base.model)
    rows = prepare(recipe, found, base.tokenizer, ends, judge_of(recipe))
    tell_rows(rows, hands.writer)
    judge = begin_judging(hands, recipe, base, rows, ends)
    if hands.control.stopping and checkpoint is None:
        hands.writer.emit(Finished(reason="stopped", steps=0, kept_step=0, adapter=None, seconds=0.0))
        return
    sampler = Sampler(rows.questions, base.tokenizer, recipe.evaluation, recipe.training.length, ends)
    look = None
    if recipe.devices.shards:
        look = LookAtPartedBase(hands, base.card, judge, sampler if checkpoint is None else None)
    elif checkpoint is None:
        sampler.ask(base.model, 0, hands.writer)
    start, trainer = _begin(hands, recipe, base, rows, checkpoint, () if look is None else (look,))
    first = state.started is None or state.started.attempt == 1
    if first and hands.group.leads:  # a later worker does with what there is
        kept = recipe.output.checkpoints
        refuse_little_room(hands.folder.path, trainer.model, trainer.checkpoint_bytes, kept, hands.writer.emit)
    if recipe.evaluation.sample_at == "evaluations":
        hands.reporter.ask = _asking(sampler, trainer, hands.writer)
    with _load_told(hands):
        trainer.train(None if checkpoint is None else str(checkpoint.path))
    hands.reporter.ask = None
    if look is not None:
        look.look(trainer.model)  # where no step was left, no training has begun
    step = trainer.state.global_step
    if hands.control.releasing and trainer.saved_step == step < trainer.state.max_steps and hands.control.release(step):
        return
    _end_pauses(hands, step)
    _finish(hands, start, trainer, sampler, judge)


def _load_told(hands: Hands) -> AbstractContextManager[None]:
    """Tell the load of this process' GPU meanwhile; of several processes, that of the leading one's."""
    if not hands.group.leads:
        return nullcontext()
    return load_told(hands.device, hands.writer.emit, lambda: hands.reporter.steps_done, lambda: hands.control.resting)


def _asking(sampler: Sampler, trainer: MeasuredTrainer, writer: EventWriter) -> Callable[[int], None]:
    """Give what lets the model answer on the way, as if it hadn't: training's chance and modes stay where they are."""

    def ask(step: int) -> None:
        with chance_put_aside():
            sampler.ask(trainer.model, step, writer)

    return ask


def _end_pauses(hands: Hands, step: int) -> None:
    """See to a pause that was asked for before it was known that no step is left; later ones are refused."""
    while not hands.control.training_is_over():
        if hands.control.releasing:
            hands.control.stay(paused=False)
        hands.control.wait_while_paused(step, hands.writer.emit)


def _begin(
    hands: Hands,
    recipe: Recipe,
    base: Base,
    rows: PreparedRows,
    checkpoint: GoodCheckpoint | None,
    looks: tuple[TrainerCallback, ...],
) -> tuple[Start, MeasuredTrainer]:
    """Attach the method and make the trainer; see that all is well before the first step. `looks`: who looks on too."""
    device, writer = hands.device, hands.writer
    start = begin(recipe, base, rows, device, writer, hands.shelf)
    number_format, attached, tokenizer = start.base.number_format, start.attached, start.base.tokenizer
    show_rows(attached, rows.trained, recipe.training.micro_batch, tokenizer.pad_token_id, device)
    labelled_loss = loss_on_labels(attached.model, rows.trained, number_format, device)
    sentinel = Sentinel(attached, start.recipe, rows.trained.facts, writer.emit, device)
    watchers: list[TrainerCallback] = [sentinel, *hands.watchers, *looks]
    trainer = make_trainer(
        hands.folder,
        start.recipe,
        attached,
        start.steps,
        number_format,
        hands.reporter,
        labelled_loss,
        tokenizer,
        (start.sequences, rows.held_out),
        tell=writer.emit,
        watchers=watchers,
        group=hands.group,
    )
    sentinel.trainer = trainer
    refuse_eaten_labels(trainer, start.sequences, rows.held_out)
    writer.emit(_prepared(hands, start, rows, trainer, labelled_loss))
    if checkpoint is not None:
        hands.reporter.go_on_from(progress_with_late(checkpoint.progress, checkpoint.path))
    return start, trainer


def _finish(hands: Hands, start: Start, trainer: MeasuredTrainer, sampler: Sampler, judge: Judge | None) -> None:
    """Take the best weights, show what they say and are worth, save them, and tell the end.

    A run that is stopped while they are judged can go on there: it isn't completed without its judgement.
    """
    kept, step = trainer.keep_best(last=start.recipe.evaluation.keep == "last"), trainer.state.global_step
    hands.reporter.tell_gain()
    with chance_put_aside():
        sampler.ask(trainer.model, step, hands.writer)
    stopped = hands.control.stopping and step < trainer.state.max_steps
    if judge is not None and not stopped:
        stopped = not judge.record(trainer.model, trainer.labelled_loss, kept, hands.folder.path)
    hands.reporter.phase("saving")
    with shown_whole(start.attached.model):
        if hands.group.leads:
            when_there_is_room(
                lambda: write_adapter(hands.folder, lambda place: start.half.save(start.attached, place)),
                hands.writer.emit,
                lambda: hands.control.stopping_here,
            )
        hands.group.wait()
    hands.writer.emit(
        Finished(
            reason="stopped" if stopped else "completed",
            steps=step,
            kept_step=kept,
            adapter="adapter",
            seconds=hands.reporter.training_seconds,
        )
    )


def _prepared(
    hands: Hands, start: Start, rows: PreparedRows, trainer: MeasuredTrainer, labelled_loss: LabelledLoss | None
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
        device=str(hands.device),
        precision=start.base.number_format.name,
        activation_checkpointing=bool(trainer.args.gradient_checkpointing),
        loss_path="trl-fused" if labelled_loss is None else "labelled-positions",
        order=start.recipe.training.order,
        sequences=len(start.sequences) if packed else None,
        rows_kept=rows.kept,
        every=start.steps.every,
        warmup=start.steps.warmup,
        micro_batch=start.recipe.training.micro_batch,
        accumulation=start.recipe.training.accumulation,
        max_gradient_norm=start.recipe.training.max_gradient_norm,
        vocabulary=vocabulary_of(trainer.model),
        processes=hands.group.processes,
    )
