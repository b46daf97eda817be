"""Runs of the bundled model on made-up rows, taken by one process or by each of several; started by torchrun, it takes
the turns of an order, and the leading process writes down what each came to.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors.torch import save_file
from torch.distributed.tensor import DTensor
from transformers import TrainerCallback

from pegbox_methods.event import Event
from pegbox_methods.events import Checkpoint, Evaluation, Notice, Step
from pegbox_methods.recipe import Devices, Method, Model, Output, Recipe, Rows, Training
from pegbox_methods.recipe import Evaluation as Looks
from pegbox_methods.registry import find_card
from pegbox_methods.setting import resolve_settings
from pegbox_methods.torch_half import load_torch_half
from pegbox_runs.event_log import EventWriter
from pegbox_runs.plan import plan
from pegbox_runs.run_folder import RunFolder
from pegbox_worker import checkpoint_shelf
from pegbox_worker.adapter_folder import write_adapter
from pegbox_worker.assembly import counted, load_base, loss_on_labels, make_trainer, quiet
from pegbox_worker.checkpoint import trained_weights
from pegbox_worker.control import Control
from pegbox_worker.engine import engine_of
from pegbox_worker.packing import pack
from pegbox_worker.questions import Asker, Question, resting
from pegbox_worker.ranks.group import Alone, Group, Together
from pegbox_worker.ranks.silent import SilentWriter
from pegbox_worker.reporter import Reporter
from pegbox_worker.sharded import shown_whole, whole
from pegbox_worker.stop_flag import StopFlag
from pegbox_worker.token_rows import TokenRows

CPU = torch.device("cpu")
LENGTHS = (5, 17, 9, 30, 12, 7, 22, 14, 6, 26, 11)
"""Eleven rows: no batch divides them, so each epoch ends with fillers."""
HELD_OUT = (8, 15, 4, 21, 10)
ORDER, FOUND = "order.json", "found.json"


@dataclass(frozen=True)
class Trial:
    """One run; or, with `resume`, the rest of one."""

    name: str
    method: str = "lora"
    settings: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    engine: str = "ddp"
    ours: bool = True
    """Whether our loss is taken; else TRL's fused head."""
    resume: str = ""
    """A checkpoint's folder."""
    full_disk: bool = False
    """Whether no checkpoint can be written."""
    answers: bool = False
    """Whether the model answers in the end: the leading process' answer may have one token, the others' five."""


@dataclass(frozen=True)
class Found:
    """What it came to."""

    steps: dict[int, float]
    tokens: dict[int, tuple[int, int]]
    looks: dict[int, float]
    looked_at: int
    notices: list[str]
    checkpoints: list[str]
    engine: str
    saved_step: int | None
    kept: int = 0
    """Step of the weights that it ended with."""
    held: tuple[int, int] = (0, 0)
    """Numbers of the base model that this process held while training, and of all of it."""
    answered: tuple[int, ...] = ()
    """How long each process' answer is, in characters."""
    drawn: tuple[float, ...] = ()
    """A random number of each process at the end."""


def recipe_of(trial: Trial, processes: int) -> Recipe:
    """Make a run's recipe: two epochs of three steps, without dropout unless the trial has some."""
    card = find_card(trial.method)
    settings = trial.settings
    if "dropout" in [setting.name for setting in card.settings]:
        settings = {"dropout": 0.0, **settings}
    filled, faults = resolve_settings(card.settings, settings, file="a trial")
    assert not faults
    training: dict[str, Any] = {
        "epochs": 2.0,
        "micro_batch": 1,
        "accumulation": 4,
        "learning_rate": 5e-3,
        "length": 64,
        "precision": "float32",
        "order": "grouped",
        **trial.training,
    }
    return Recipe(
        model=Model(name="bundled"),
        rows=Rows(file="/rows"),
        method=Method(name=trial.method, settings=filled),
        training=Training(**training),
        evaluation=Looks(every=2),
        output=Output(checkpoints=1000),
        devices=Devices(processes=processes, engine=trial.engine if processes > 1 else "auto"),  # type: ignore[arg-type]
    )


def take(trial: Trial, folder: Path, group: Group | None = None) -> Found:
    """Carry it, as one of the group's processes; the checkpoints and the adapter lie in the folder then."""
    group = group or Alone()
    place, recipe = RunFolder(folder), recipe_of(trial, group.processes)
    if group.leads:
        folder.mkdir(parents=True)
    group.wait()
    base = load_base(recipe, CPU)
    rows, held_out = _rows(LENGTHS, 0), _rows(HELD_OUT, 1)
    if recipe.training.order == "packed":
        rows = pack(rows, recipe.training.length, 0, folder / f"packed-{group.rank}.arrow")
    steps = plan(recipe, len(rows))
    torch.manual_seed(recipe.seeds.training)
    half = load_torch_half(base.card)
    attached = half.attach(base.model, counted(recipe, steps))
    loss = loss_on_labels(attached.model, held_out, base.number_format, CPU) if trial.ours else None
    told: list[Event] = []
    with closing(EventWriter(place.events) if group.leads else SilentWriter()) as writer, _disk(full=trial.full_disk):
        keeping: Any = _Keeping(writer, told)
        reporter = Reporter(keeping, Control(place, writer, StopFlag()), CPU, group)
        watch = _HeldWatch()
        trainer = make_trainer(
            *(place, recipe, attached, steps, base.number_format, reporter, loss, base.tokenizer, (rows, held_out)),
            tell=keeping.emit,
            watchers=[watch],
            group=group,
        )
        trainer.train(trial.resume or None)
        engine = engine_of(trainer)
        kept = trainer.keep_best()
        answer = _answer(trainer.model, base.tokenizer, group) if trial.answers else ""
        with shown_whole(attached.model):
            if group.leads:
                write_adapter(place, lambda there: half.save(attached, there))
            group.wait()
        weights = {name: whole(weight.detach()).clone() for name, weight in trained_weights(attached.model).items()}
        if group.leads:
            save_file(weights, folder / "weights.safetensors")
    taken = [event for event in told if isinstance(event, Step)]
    return Found(
        steps={step.step: step.loss for step in taken},
        tokens={step.step: (step.tokens, step.padding) for step in taken},
        looks={look.step: look.loss for look in told if isinstance(look, Evaluation)},
        looked_at=trainer.evaluated_tokens,
        notices=[str(notice.about) for notice in told if isinstance(notice, Notice)],
        checkpoints=[one.folder for one in told if isinstance(one, Checkpoint)],
        engine=engine,
        saved_step=trainer.saved_step,
        kept=kept,
        held=watch.held,
        answered=tuple(int(characters) for (characters,) in group.gather([float(len(answer))])),
        drawn=tuple(number for (number,) in group.gather([float(torch.rand(()))])),
    )


def read_found(folder: Path) -> dict[str, Found]:
    """Read what the turns of an order came to."""
    return msgspec.json.decode((folder / FOUND).read_bytes(), type=dict[str, Found])


def _answer(model: Any, tokenizer: Any, group: Group) -> str:
    """Let the model answer; to the leading process any token is an end."""
    ends = set(range(len(tokenizer))) if group.leads else set()
    asker = Asker((), tokenizer, count=0, tokens=5, length=64, ends=ends)
    with resting(model):
        return asker.answer(model, Question("", list(range(20, 40)), ""))


class _HeldWatch(TrainerCallback):  # type: ignore[misc]
    """Counts what of the model this process holds, once it is wrapped."""

    held = (0, 0)

    def on_train_begin(self, *_: Any, model: Any = None, **__: Any) -> None:
        frozen = [weight for weight in model.parameters() if not weight.requires_grad]
        own = sum((one.to_local() if isinstance(one, DTensor) else one).numel() for one in frozen)
        self.held = own, sum(one.numel() for one in frozen)


class _Keeping:
    """Writes events, and keeps them, so that a process without a log can be asked too."""

    def __init__(self, writer: EventWriter, told: list[Event]) -> None:
        self._writer, self._told = writer, told

    def emit(self, event: Event) -> None:
        self._told.append(event)
        self._writer.emit(event)


@contextmanager
def _disk(*, full: bool) -> Iterator[None]:
    """Let the disk refuse every checkpoint."""
    plain = checkpoint_shelf.strike

    def strike(boundary: str, *, step: int | None = None) -> None:
        if boundary == "checkpoint-write":
            raise OSError(28, "No space left on device")
        plain(boundary, step=step)

    checkpoint_shelf.strike = strike if full else plain  # type: ignore[attr-defined]
    try:
        yield
    finally:
        checkpoint_shelf.strike = plain  # type: ignore[attr-defined]


def _rows(lengths: Sequence[int], salt: int) -> TokenRows:
    ids = [[(7 * row + 3 * place + salt) % 500 + 10 for place in range(length)] for row, length in enumerate(lengths)]
    labels = [[-100] * (len(row) // 3) + row[len(row) // 3 :] for row in ids]
    return TokenRows.of(ids, labels)


def main() -> None:
    """Take all turns of an order together."""
    place = Path(sys.argv[1])
    quiet()
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo")
    group = Together()
    found: dict[str, Found] = {}
    for turn in json.loads((place / ORDER).read_text()):
        trial = Trial(**turn)
        while trial.resume and not Path(trial.resume).is_dir():
            time.sleep(0.1)  # somebody else writes it meanwhile
        found[trial.name] = take(trial, place / trial.name, group)
        others = group.collect(msgspec.json.encode(found[trial.name]))
        if group.leads:
            (place / f"{trial.name}.other.json").write_bytes(others[-1])
    if group.leads:
        (place / FOUND).write_bytes(msgspec.json.encode(found))
    group.wait()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # no library's tear-down may hang after the last turn


def written(trials: Sequence[Trial], place: Path) -> None:
    """Write an order."""
    (place / ORDER).write_text(json.dumps([asdict(trial) for trial in trials]))


if __name__ == "__main__":
    main()
