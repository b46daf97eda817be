"""What a run is put together from: base model, method, loss, trainer. The job of a run and its measurement share it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import datasets
import msgspec
import torch
import transformers
from torch import nn
from transformers import PrinterCallback, TrainerCallback, set_seed

from pegbox_methods.abilities import packs_base
from pegbox_methods.card import Card
from pegbox_methods.events import Event
from pegbox_methods.recipe import Recipe
from pegbox_methods.registry import find_card
from pegbox_methods.torch_half import Attached
from pegbox_runs.models import FoundModel
from pegbox_runs.plan import Plan
from pegbox_runs.run_folder import RunFolder
from pegbox_worker.adapter_care import declare_adapter, keep_float32
from pegbox_worker.arguments import training_arguments
from pegbox_worker.base_model import admit_bitsandbytes, fetch, load_model, load_packed_model, load_tokenizer
from pegbox_worker.engine import leaves_out, shard_on_processors
from pegbox_worker.labelled_loss import LabelledLoss, labelled_loss_of
from pegbox_worker.precision import NumberFormat, decide
from pegbox_worker.ranks.group import Alone, Group
from pegbox_worker.reporter import Reporter
from pegbox_worker.row_order import fillers_for, mixed
from pegbox_worker.token_rows import TokenRows, with_fillers
from pegbox_worker.trainer import MeasuredTrainer


@dataclass
class Base:
    """A recipe's model as it will be trained, without its method yet."""

    model: nn.Module
    """Deleted where another one must take its place in memory."""
    tokenizer: Any
    card: Card
    number_format: NumberFormat


def quiet() -> None:
    """Keep progress bars and advice for programmers out of the log; what matters is raised, or told as an event."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    warnings.simplefilter("ignore", FutureWarning)


@dataclass(frozen=True)
class WantedBase:
    """Which model a recipe asks for, and how it is to be loaded."""

    found: FoundModel
    """All its files are here."""
    chat_template: str | None
    """A file whose template is used in place of the model's own."""
    card: Card
    number_format: NumberFormat
    packs: bool
    """Into 4 bits."""


def wanted_base(recipe: Recipe, device: torch.device) -> WantedBase:
    """Find a recipe's model, and download what it lacks; let bitsandbytes in where the recipe needs it.

    Raises: Refusal.
    """
    number_format = decide(recipe.training.precision, device)
    card = find_card(recipe.method.name)
    packs = packs_base(recipe, card)
    if packs or recipe.training.optimizer.endswith("8bit"):
        admit_bitsandbytes()
    return WantedBase(fetch(recipe.model), recipe.model.chat_template, card, number_format, packs)


def load_base(recipe: Recipe, device: torch.device, wanted: WantedBase | None = None) -> Base:
    """Load tokenizer and model, in 4 bits where the method needs that. `wanted`: if it is known already.

    One that is to be sharded stays with the processor: no device might hold all of it, and each gets its part later.
    Raises: Refusal.
    """
    wanted = wanted or wanted_base(recipe, device)
    found, number_format, shards = wanted.found, wanted.number_format, recipe.devices.shards
    tokenizer = load_tokenizer(found, recipe.model)
    place = place_of(recipe, device)
    if wanted.packs:
        model = load_packed_model(found, number_format.weights, number_format.compute, place, shards=shards)
    else:
        model = load_model(found, number_format.weights, place)
    return Base(model, tokenizer, wanted.card, number_format)


def place_of(recipe: Recipe, device: torch.device) -> torch.device:
    """Say where a base model lies before its training begins."""
    return torch.device("cpu") if recipe.devices.shards else device


def counted(recipe: Recipe, steps: Plan) -> Recipe:
    """Write the number of steps that the run will take into its recipe, for methods that divide it."""
    return msgspec.structs.replace(recipe, training=msgspec.structs.replace(recipe.training, max_steps=steps.steps))


def loss_on_labels(
    model: nn.Module, rows: TokenRows, number_format: NumberFormat, device: torch.device
) -> LabelledLoss | None:
    """Take our loss on a CPU where it is this model's own loss; None: TRL's fused head does it."""
    if device.type != "cpu":
        return None
    shortest = rows.table[rows.facts.shortest]
    ids, labels = (torch.tensor([shortest[side]], device=device) for side in ("input_ids", "labels"))
    return labelled_loss_of(model, ids, labels, number_format.compute)


def make_trainer(
    folder: RunFolder,
    recipe: Recipe,
    attached: Attached,
    steps: Plan,
    number_format: NumberFormat,
    reporter: Reporter,
    labelled_loss: LabelledLoss | None,
    tokenizer: Any,
    rows: tuple[TokenRows, TokenRows],
    *,
    tell: Callable[[Event], None] = lambda _: None,
    watchers: Sequence[TrainerCallback] = (),
    group: Group | None = None,
) -> MeasuredTrainer:
    """Make the trainer of a run. `rows`: for training and for evaluation; of the latter there may be none.

    `watchers` look on, after the method's own callbacks and before the reporter. `group`: who carries the run; each
    process makes such a trainer, and they part each step's micro-batches.
    """
    group = group or Alone()
    declare_adapter(attached.model)
    arguments = training_arguments(
        recipe,
        steps,
        number_format,
        reporter.device,
        evaluating=len(rows[1]) > 0,
        folder=folder.checkpoints,
        processes=group.processes,
        find_unused=leaves_out(attached.model),
    )
    micro_batch, look_batch = arguments.per_device_train_batch_size, arguments.per_device_eval_batch_size
    trained, training_fillers = _shared(rows[0], micro_batch, group, tokenizer)
    held_out, look_fillers = _shared(rows[1], look_batch, group, tokenizer)
    shards = bool(arguments.fsdp)
    if shards and reporter.device.type == "cpu":
        shard_on_processors()
    trainer = MeasuredTrainer(
        model=attached.model,
        args=arguments,
        train_dataset=trained,
        eval_dataset=held_out if len(held_out) else None,
        processing_class=tokenizer,
        callbacks=[*attached.callbacks, *watchers, reporter],
        optimizers=(attached.optimizer, None),
        labelled_loss=None if shards else labelled_loss,  # ours holds the head's weights, which go to all processes
        added_loss=attached.added_loss,
        fillers=(training_fillers, look_fillers),
        state=attached.state,
        reports=reporter,
        tell=tell,
        group=group,
    )
    keep_float32(trainer.model)
    if not group.leads:
        set_seed(mixed(recipe.seeds.training, group.rank) % 2**32)  # dropout is another one in each process
    trainer.remove_callback(PrinterCallback)
    reporter.trainer, reporter.tell = trainer, attached.tell
    return trainer


def _shared(rows: TokenRows, micro_batch: int, group: Group, tokenizer: Any) -> tuple[datasets.Dataset, int]:
    """Lay as many fillers behind rows as it takes to part them among the processes. Returns: (them, how many)."""
    count = fillers_for(len(rows), micro_batch=micro_batch, processes=group.processes)
    return with_fillers(rows.table, count, tokenizer.pad_token_id), count
