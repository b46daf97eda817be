"""TRL's trainer with checkpoints of our own: whole or not there, exact, and never a pickle."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import msgspec
from accelerate.utils import is_peft_model
from safetensors.torch import save_file
from transformers import TrainerCallback, TrainerState
from trl import SFTTrainer

from pegbox_methods.events import Checkpoint, Event, Notice
from pegbox_methods.torch_half import Stateful
from pegbox_runs.checkpoints import Progress, Reason, folder_of
from pegbox_runs.faults import strike
from pegbox_worker.checkpoint import save_method
from pegbox_worker.checkpoint_shelf import CheckpointShelf, Part
from pegbox_worker.checkpoint_size import expected_bytes
from pegbox_worker.optimizer_state import (
    optimizer_kind,
    read_optimizer,
    read_schedule,
)
from pegbox_worker.random_state import RandomState, chance_put_aside
from pegbox_worker.ranks.group import Alone, Group
from pegbox_worker.sharded import is_sharded, shown_whole
from pegbox_worker.state_tree import to_tree
from pegbox_worker.training_record import Evaluated, TrainingRecord

OPTIMIZER = "optimizer.safetensors"
RANDOM = "random.safetensors"
STATE_JSON = "trainer_state.json"
"""transformers' own: where in the run it is."""
RANDOM_OF = "random.{}.safetensors"
"""Where chance stood in each of the other processes, by its number."""
CARD = "README.md"
"""PEFT writes one beside its adapter; a checkpoint is nobody's model."""


class Reports(Protocol):
    """Who tells what becomes of checkpoints, and knows how far the run has come."""

    def progress(self, step: int) -> Progress:
        """Give the run's figures at the end of the step just done."""

    def checkpoint_written(self, event: Checkpoint) -> None:
        """Hear of one that is whole."""

    def checkpoint_failed(self, step: int, error: BaseException) -> None:
        """Hear of one that couldn't be written."""

    def saving(self) -> AbstractContextManager[None]:
        """Hear of the time in which one is written, that of the others' waiting for it too."""

    def evaluation_begins(self, step: int) -> None:
        """Hear of an evaluation before its first row: the trainer calls nobody until that is through."""

    def evaluation_ends(self, step: int) -> None:
        """Hear of one that counts already, whatever is done behind it."""


class SavingTrainer(SFTTrainer):
    """Writes checkpoints from which it can go on exactly. One that can't be written costs itself alone."""

    def __init__(
        self,
        *arguments: Any,
        state: Stateful | None,
        reports: Reports,
        tell: Callable[[Event], None],
        group: Group | None = None,
        **named: Any,
    ) -> None:
        self.group: Group = group or Alone()
        """The processes that carry the run; what lies on the disk the leading one writes."""
        self._method_state = state
        self._reports = reports
        self._tell = tell
        self.checkpoint_reason: Reason = "planned"
        """Why the next one is written."""
        self.saved_step: int | None = None
        """Step of the newest one that is whole."""
        self._best: Evaluated | None = None
        """The lowest evaluation whose weights are on the disk."""
        self._evaluated: Evaluated | None = None
        """The newest."""
        self._updating = False
        self._step_end: tuple[int, RandomState] | None = None
        """The last step that was done and told, and where chance stood then."""
        super().__init__(*arguments, **named)
        place = Path(str(self.args.output_dir))
        self._shelf = CheckpointShelf(place, limit=self.args.save_total_limit or 1)
        self._brings_optimizer = self.optimizer is not None
        self.add_callback(_UpdateWatch(self))

    @property
    def checkpoint_bytes(self) -> int:
        """What a checkpoint takes: as the largest was, or by the weights before there is one."""
        optimizer = "" if self._brings_optimizer else str(self.args.optim)
        return self._shelf.largest or expected_bytes(self.model, optimizer, self._method_state)

    def evaluate(self, *arguments: Any, **named: Any) -> dict[str, float]:
        """Evaluate, and leave training's chance where it stood: how often one looks must change nothing."""
        self._reports.evaluation_begins(self.state.global_step)
        with chance_put_aside():
            metrics: dict[str, float] = super().evaluate(*arguments, **named)
        self._evaluated = Evaluated(step=self.state.global_step, loss=metrics["eval_loss"])
        self._reports.evaluation_ends(self.state.global_step)
        return metrics

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Tell, keep no history, which would grow in every checkpoint; behind a step, remember where chance stood."""
        super().log(logs, start_time)
        self.state.log_history.clear()
        if "grad_norm" in logs:
            self._step_end = self.state.global_step, RandomState.now()
            self._updating = False

    def rescue(self) -> int | None:
        """After an exception, write the checkpoint of the last step that was done.

        Only the leading process does; the others may be gone, so it asks them for nothing, and chance begins anew in
        them.
        Returns: its step; None: the weights were being updated, or the others hold parts of them, which is told, or
        there was no step, or the disk refused it.
        """
        step = self.state.global_step
        if step and self.saved_step == step:
            return step
        if not step or not self.group.leads:
            return None
        if is_sharded(self.model):
            self._tell(Notice(text=_lost_behind(self.saved_step), about="not-rescued"))
            return None
        if self._updating or self._step_end is None or self._step_end[0] != step:
            return None
        return step if self._write_checkpoint("rescue", self._step_end[1]) else None

    def _save_checkpoint(self, *_: Any) -> None:
        """Write one as asked; transformers calls this at the end of a step, after an evaluation that was due."""
        reason, self.checkpoint_reason = self.checkpoint_reason, "planned"
        chance = RandomState.now()
        if self.group.processes == 1:
            if self.args.should_save:
                self._write_checkpoint(reason, chance)
            return
        chances = self.group.collect(chance.packed())
        with self._reports.saving(), shown_whole(self.model):
            state = read_optimizer(self.optimizer) if is_sharded(self.model) else None
            written = self.group.leads and self._write_checkpoint(reason, chance, chances[1:], state)
            self._hear(written)

    def _hear(self, written: bool) -> None:
        """Let all processes know what became of the leading one's checkpoint, and count it as that one does."""
        step = self.state.global_step
        said = _Written(there=written, best=self._best, bytes=self._shelf.largest)
        heard = msgspec.json.decode(self.group.agree(msgspec.json.encode(said)), type=_Written)
        if self.group.leads:
            return
        self._best = heard.best
        if not heard.there:
            self._reports.checkpoint_failed(step, OSError("the leading process couldn't write it"))
        elif self.saved_step != step:
            self.saved_step = self._shelf.newest = step
            self._shelf.largest = heard.bytes
            self._reports.checkpoint_written(self._told(step, "planned", heard.bytes, 0.0))

    def _write_checkpoint(
        self,
        reason: Reason,
        chance: RandomState,
        others: Sequence[bytes] = (),
        optimizer: dict[str, Any] | None = None,
    ) -> bool:
        """Write one whole, tell it, and rotate. Returns: whether it is there; that it isn't was told.

        `others`: where chance stands in the other processes; `optimizer`: its state, if that was brought together.
        """
        step, began = self.state.global_step, time.monotonic()
        here = self._evaluated if self._evaluated is not None and self._evaluated.step == step else None
        better = here is not None and (self._best is None or here.loss < self._best.loss)
        best = here if better else self._best
        if self.saved_step != step:
            try:
                former = None if self._best is None else self._best.step
                wanted = None if best is None else best.step
                self._shelf.make_room(step, self.checkpoint_bytes, wanted, former=former)
                parts = self._parts(chance, best, others, optimizer)
                taken = self._shelf.write(step, parts, reason, self._reports.progress(step))
            except Exception as error:  # noqa: BLE001  # a full disk comes as OSError, SafetensorError or plain Exception
                self._reports.checkpoint_failed(step, error)
                return False
            self.saved_step = step
            self._reports.checkpoint_written(self._told(step, reason, taken, time.monotonic() - began))
        self._best = best
        self._shelf.rotate(None if best is None else best.step)
        return True

    def _told(self, step: int, reason: Reason, taken: int, seconds: float) -> Checkpoint:
        name = f"{self._shelf.place.name}/{folder_of(self._shelf.place, step).name}"
        return Checkpoint(step=step, folder=name, reason=reason, bytes=taken, seconds=seconds)

    def _parts(
        self, chance: RandomState, best: Evaluated | None, others: Sequence[bytes], state: dict[str, Any] | None
    ) -> Iterator[Part]:
        """Give what a checkpoint is written from, one part at a time: no more than one is copied in memory at once."""
        yield lambda folder: save_method(self.model, self._method_state, folder)
        record = self._record(chance, best)

        def optimizer(folder: Path) -> None:
            tensors: dict[str, Any] = {}
            record.optimizer = to_tree(read_optimizer(self.optimizer) if state is None else state, tensors)
            save_file(tensors, folder / OPTIMIZER)

        yield optimizer
        yield lambda folder: save_file(chance.tensors(), folder / RANDOM)
        if others:
            yield lambda folder: _write_others(others, folder)
        yield record.write
        yield lambda folder: self.state.save_to_json(str(folder / STATE_JSON))
        if is_peft_model(self.model):
            yield self._write_adapter

    def _record(self, chance: RandomState, best: Evaluated | None) -> TrainingRecord:
        scaler = getattr(self.accelerator, "scaler", None)
        return TrainingRecord(
            step=self.state.global_step,
            step_rows=self.step_rows,
            optimizer_kind=optimizer_kind(self.optimizer),
            optimizer=None,
            schedule=read_schedule(self.lr_scheduler, self.optimizer),
            scaler=None if scaler is None else to_tree(scaler.state_dict(), {}),
            chance=to_tree(chance.tree(), {}),
            best=best,
            evaluated=self._evaluated,
            evaluation_due=bool(self.control.should_evaluate),
        )

    def _write_adapter(self, folder: Path) -> None:
        """Put PEFT's own files beside ours, for whoever wants to look at a checkpoint with PEFT."""
        self.model.save_pretrained(str(folder), save_embedding_layers=False)
        (folder / CARD).unlink(missing_ok=True)

    @property
    def step_rows(self) -> int:
        """Rows that an optimizer step takes, on all devices together."""
        return int(self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size)


class _Written(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a checkpoint."""

    there: bool
    best: Evaluated | None
    """The lowest evaluation whose weights are on the disk now."""
    bytes: int
    """What a checkpoint takes."""


def _write_others(chances: Sequence[bytes], folder: Path) -> None:
    for rank, chance in enumerate(chances, start=1):
        (folder / RANDOM_OF.format(rank)).write_bytes(chance)


def _lost_behind(step: int | None) -> str:
    """Say what a failure costs where nobody holds the whole weights. `step`: that of the newest checkpoint."""
    since = "trained so far" if step is None else f"trained behind step {step}"
    begins = "from the beginning: there is no checkpoint yet" if step is None else f"from the checkpoint of step {step}"
    return (
        f"what was {since} can't be saved: each process holds a part of the weights, and the parts can't be brought "
        f"together any more. The run can go on {begins}."
    )


class _UpdateWatch(TrainerCallback):
    """Marks the time in which the weights are neither those of one step nor those of the next."""

    def __init__(self, trainer: SavingTrainer) -> None:
        self._trainer = trainer

    def on_pre_optimizer_step(self, _args: Any, state: TrainerState, *_: Any, **__: Any) -> None:
        """Mark its beginning; it ends where the step has been told."""
        self._trainer._updating = True
        strike("update", step=state.global_step + 1)
