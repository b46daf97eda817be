"""The job `measure`: a run's first steps for real, at its worst-case shape, to see what they take. Nothing is kept."""

from __future__ import annotations

import traceback
from importlib.metadata import version
from pathlib import Path

import msgspec
import torch
from torch import nn
from transformers import set_seed

from pegbox_hardware.gpu import Gpu
from pegbox_hardware.machine import probe, processor
from pegbox_methods.recipe import Recipe
from pegbox_methods.torch_half import load_torch_half
from pegbox_runs.event_log import EventWriter
from pegbox_runs.measured import DeviceKind, Measurement, MeasureRequest
from pegbox_runs.plan import Plan, plan
from pegbox_runs.run_folder import RunFolder
from pegbox_worker.assembly import counted, load_base, loss_on_labels, make_trainer, quiet
from pegbox_worker.control import Control
from pegbox_worker.first_look import show_rows
from pegbox_worker.jobs.contact import Contact
from pegbox_worker.measure.answer import MeasuredDevice, measurement
from pegbox_worker.measure.ledger import Ledger, PartsOfSteps
from pegbox_worker.measure.meters import CardMeter, Meter, ProcessMeter
from pegbox_worker.measure.rows import STEPS, evaluation_rows, ordinary_tokens, probe_rows
from pegbox_worker.out_of_memory import is_out_of_memory
from pegbox_worker.precision import this_device
from pegbox_worker.reporter import Reporter
from pegbox_worker.stop_flag import StopFlag
from pegbox_worker.token_rows import TokenRows
from pegbox_worker.trainer import MeasuredTrainer

MOST_ACCUMULATED = 4
"""Micro-batches in a step of the probe: from the second on they take no more memory, only time."""
HARMLESS_RATE = 1e-6
"""Learning rate: random tokens teach nothing, and must not end the probe as a run that diverged."""


def run(request: bytes, _contact: Contact) -> Measurement:
    """Answer a MeasureRequest in JSON. Running out of memory is an answer, not a failure.

    Raises: Refusal: the recipe can't be trained as it stands; and whatever a run would raise.
    """
    asked = msgspec.json.decode(request, type=MeasureRequest)
    quiet()
    device = this_device()
    described = _describe(device)  # before torch opens the device: what its context takes is seen by the difference
    meter: Meter = CardMeter(device, _card) if device.type == "cuda" else ProcessMeter()
    ledger = Ledger(meter)
    ran_out: str | None = None
    try:
        ledger.enter("loading")
        _probe(asked, device, ledger)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        traceback.print_exc()
        ran_out = ledger.running or "loading"
    ledger.leave()
    return measurement(asked, described, ledger, ran_out=ran_out, accumulation=_accumulated(asked.recipe))


def _probe(asked: MeasureRequest, device: torch.device, ledger: Ledger) -> None:
    """Build what a run would build, and let its trainer take the probe's steps."""
    recipe = asked.recipe
    base = load_base(recipe, device)
    model, tokenizer, number_format = base.model, base.tokenizer, base.number_format
    short = _shortened(recipe)
    vocabulary = ordinary_tokens(tokenizer, _embedded(model))
    trained = probe_rows(short, vocabulary)
    held_out = evaluation_rows(short, vocabulary) if asked.evaluates else _no_rows()
    set_seed(recipe.seeds.training)
    # A method with a schedule divides the steps of the whole run, not those of the probe.
    attached = load_torch_half(base.card).attach(model, counted(recipe, plan(recipe, asked.trained_rows)))
    show_rows(attached, trained, recipe.training.micro_batch, tokenizer.pad_token_id, device)
    labelled_loss = loss_on_labels(attached.model, trained, number_format, device)
    folder = RunFolder(Path(asked.scratch))
    reporter = _reporter(folder, device)
    steps = Plan(steps=len(STEPS), every=len(STEPS), warmup=0)
    trainer = make_trainer(
        folder, short, attached, steps, number_format, reporter, labelled_loss, tokenizer, (trained, held_out)
    )
    _take_steps(trainer, ledger, trained)


def _take_steps(trainer: MeasuredTrainer, ledger: Ledger, trained: TokenRows) -> None:
    trainer.args.train_sampling_strategy = "sequential"
    trainer.args.eval_on_start = False
    rows = len(trained) // len(STEPS)
    tokens = [sum(map(len, trained.input_ids[step * rows : (step + 1) * rows])) for step in range(len(STEPS))]
    trainer.add_callback(PartsOfSteps(ledger, tokens))
    trainer.train()


def _accumulated(recipe: Recipe) -> int:
    return min(recipe.training.accumulation, MOST_ACCUMULATED)


def _shortened(recipe: Recipe) -> Recipe:
    training = msgspec.structs.replace(
        recipe.training, accumulation=_accumulated(recipe), learning_rate=HARMLESS_RATE, schedule="constant"
    )
    return msgspec.structs.replace(recipe, training=training)


def _reporter(folder: RunFolder, device: torch.device) -> Reporter:
    """Make the reporter of a run, which costs memory and time too; it writes into the folder that is thrown away."""
    writer = EventWriter(folder.events)
    return Reporter(writer, Control(folder, writer, StopFlag()), device)


def _embedded(model: nn.Module) -> int:
    return int(model.get_input_embeddings().weight.shape[0])


def _no_rows() -> TokenRows:
    return TokenRows.of([], [])


def _card() -> Gpu | None:
    """Look at the card that torch calls number 0, through its driver."""
    kind = _kind(torch.device("cuda"))
    return next((gpu for gpu in probe().gpus if gpu.kind == kind), None)


def _kind(device: torch.device) -> DeviceKind:
    if device.type != "cuda":
        return "cpu"
    return "rocm" if torch.version.hip else "cuda"


def _describe(device: torch.device) -> MeasuredDevice:
    """Name what is measured, as `probe()` names it: by these words what was learned is found again."""
    if device.type != "cuda":
        return MeasuredDevice("cpu", processor()[0], None, version("torch"))
    card = _card()
    if card is None:
        return MeasuredDevice(_kind(device), torch.cuda.get_device_name(device), None, version("torch"))
    return MeasuredDevice(_kind(device), card.name, card.driver, version("torch"))
