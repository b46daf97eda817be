"""The trainer's callback that tells the run's events and heeds its commands."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from pegbox_methods.events import Checkpoint, CommandAnswer, Evaluation, Event, Notice, Phase, Step
from pegbox_runs.commands import CommandReader
from pegbox_runs.event_log import EventWriter
from pegbox_runs.run_folder import RunFolder
from pegbox_worker.failure import Diverged
from pegbox_worker.memory import memory
from pegbox_worker.stop_flag import StopFlag
from pegbox_worker.trainer import MeasuredTrainer


class Control:
    """Reads a run's commands, answers each once, and remembers the wish to stop."""

    def __init__(self, folder: RunFolder, writer: EventWriter, stop: StopFlag) -> None:
        self._reader = CommandReader(folder.commands)
        self._writer = writer
        self._stop = stop

    @property
    def stopping(self) -> bool:
        """Whether the run shall end after the current step."""
        return self._stop.raised

    def poll(self) -> bool:
        """Answer what came in since the last call. Returns: whether the run shall end."""
        for command in self._reader.new():
            taken = command.command == "stop"
            if taken and self._stop.raised:
                text = "the run is stopping already"
            elif taken:
                text = "the run finishes its step, saves and ends"
            else:
                text = f"unknown command {command.command!r}; known: stop"
            self._stop.raised = self._stop.raised or taken
            self._writer.emit(
                CommandAnswer(
                    command=command.command,
                    id=command.id,
                    taken=taken,
                    text=text,
                    latency=max(0.0, time.time() - command.time),
                )
            )
        return self._stop.raised


class Reporter(TrainerCallback):
    """Turns what the trainer does into events. `trainer` and `tell`, the method's own voice, are set once there are
    such."""

    trainer: MeasuredTrainer
    tell: Callable[[int], Iterable[Event]] | None = None

    def __init__(self, folder: RunFolder, writer: EventWriter, control: Control, device: torch.device) -> None:
        self._root = folder.path
        self._writer = writer
        self._control = control
        self.device = device
        self._mark = 0.0
        """When the current step began, or the last evaluation or checkpoint ended; monotonic seconds."""
        self._step_seconds = 0.0
        self._evaluation_began = 0.0
        self._untrained = math.inf
        self._best = math.inf
        self._phase = "starting"
        self._step = 0
        self.training_seconds = 0.0

    @property
    def where(self) -> str:
        """Say how far the run has come."""
        return f"{self._phase} at step {self._step}" if self._step else self._phase

    def phase(self, name: str, detail: str = "") -> None:
        """Tell the beginning of a phase, unless it is the current one."""
        if name != self._phase:
            self._phase = name
            self._writer.emit(Phase(phase=name, detail=detail))  # type: ignore[arg-type]

    def checkpoint_failed(self, step: int, error: BaseException) -> None:
        """Tell that the disk refused a checkpoint."""
        text = f"the checkpoint at step {step} could not be written ({error}); the run goes on. Free some disk space."
        self._writer.emit(Notice(text=text, about="checkpoint-failed"))

    def tell_gain(self) -> None:
        """Say so if no evaluation was better than the untrained model's: the adapter is of no use then."""
        if math.isfinite(self._untrained) and self._best >= self._untrained:
            text = (
                f"the evaluation loss never fell below the untrained model's {self._untrained:.4f}; the best was "
                f"{self._best:.4f}. Try a lower training.learning_rate, more steps, or look at the rows."
            )
            self._writer.emit(Notice(text=text, about="no-gain"))

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """Start the clock."""
        self.phase("training")
        self._mark = time.monotonic()

    def on_epoch_begin(self, *_: Any, **__: Any) -> None:
        """Leave out an evaluation that came before the first step."""
        self.phase("training")
        self._mark = time.monotonic()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        """Stop the clock, heed commands, and see that the last step is evaluated and saved."""
        self._step_seconds = time.monotonic() - self._mark
        self.training_seconds += self._step_seconds
        self._step = state.global_step
        last = self._control.poll() or state.global_step >= state.max_steps
        if last:
            control.should_training_stop = True
            control.should_evaluate = args.eval_strategy != "no"
            control.should_save = True
        if control.should_evaluate:
            self._evaluation_began = 0.0
        return control

    def on_substep_end(self, *_: Any, **__: Any) -> None:
        """Answer commands within an accumulated step too; they take effect at its end."""
        self._control.poll()

    def on_log(
        self,
        _args: TrainingArguments,
        state: TrainerState,
        _control: TrainerControl,
        logs: dict[str, float] | None = None,
        **__: Any,
    ) -> None:
        """Tell a step. The trainer logs once a step, and once more at an evaluation and at the end.

        Raises: Diverged: the loss is no finite number.
        """
        if logs is None or "grad_norm" not in logs:
            return
        taken = self.trainer.take_step()
        if not math.isfinite(taken.loss):
            raise Diverged(f"the training loss became {taken.loss} at step {state.global_step}")
        norm = float(logs["grad_norm"])
        self._writer.emit(
            Step(
                step=state.global_step,
                epoch=float(state.epoch or 0.0),
                loss=taken.loss,
                learning_rate=logs["learning_rate"],
                gradient_norm=norm if math.isfinite(norm) else None,
                tokens=taken.tokens,
                padding=taken.padding,
                tokens_per_second=taken.tokens / max(self._step_seconds, 1e-9),
                step_seconds=self._step_seconds,
                memory=memory(self.device),
            )
        )
        for event in self.tell(state.global_step) if self.tell else ():
            self._writer.emit(event)
        self._mark = time.monotonic()

    def on_prediction_step(self, *_: Any, **__: Any) -> None:
        """Notice the beginning of an evaluation, for which the trainer has no hook of its own; answer commands."""
        self._control.poll()
        if not self._evaluation_began:
            self._evaluation_began = max(self._mark, 1e-9)
            self.phase("evaluating")

    def on_evaluate(
        self,
        _args: TrainingArguments,
        state: TrainerState,
        _control: TrainerControl,
        metrics: dict[str, float] | None = None,
        **__: Any,
    ) -> None:
        """Tell an evaluation.

        Raises: Diverged: the loss is no finite number.
        """
        loss = (metrics or {})["eval_loss"]
        if not math.isfinite(loss):
            raise Diverged(f"the evaluation loss became {loss} after step {state.global_step}")
        best = state.global_step > 0 and loss < self._best
        if best:
            self._best = loss
        if state.global_step == 0:
            self._untrained = loss
        now = time.monotonic()
        self._writer.emit(
            Evaluation(
                step=state.global_step,
                loss=loss,
                perplexity=math.exp(min(loss, 700.0)),
                tokens=self.trainer.evaluated_tokens,
                seconds=now - self._evaluation_began,
                best=best,
                memory=memory(self.device),
            )
        )
        self._evaluation_began = 0.0
        self._mark = now
        self.phase("training")

    def on_save(self, args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_: Any) -> None:
        """Tell a checkpoint that was written whole."""
        folder = Path(str(args.output_dir), f"checkpoint-{state.global_step}")
        if folder.is_dir():  # it isn't if the disk refused it
            self._writer.emit(Checkpoint(step=state.global_step, folder=str(folder.relative_to(self._root))))
        self._mark = time.monotonic()
