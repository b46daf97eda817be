"""The trainer's callback that tells the run's events and does what was asked of it at the ends of steps."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from pegbox_methods.events import AcrossRanks, Checkpoint, Evaluation, Event, Memory, Phase, PhaseName, Step
from pegbox_runs.checkpoints import Progress
from pegbox_runs.event_log import EventWriter
from pegbox_runs.faults import strike
from pegbox_worker import report_notices
from pegbox_worker.failure import Diverged
from pegbox_worker.heard import Heard
from pegbox_worker.heeding import StepsEnd
from pegbox_worker.memory import memory
from pegbox_worker.ranks.across import Own, gather
from pegbox_worker.ranks.beating import Beat
from pegbox_worker.ranks.group import Alone, Group
from pegbox_worker.running_figures import RunningFigures
from pegbox_worker.trainer import MeasuredTrainer

WORK = {"training": "forward and backward", "evaluating": "evaluation"}


class Reporter(TrainerCallback):
    """Turns what the trainer does into events. `trainer` and `tell`, the method's own voice, are set once there are
    such; `ask`, which lets the model answer its questions after a step, where that is wanted on the way.

    A step's end, for commands, is where the step has been told.
    """

    trainer: MeasuredTrainer | None = None
    tell: Callable[[int], Iterable[Event]] | None = None
    ask: Callable[[int], None] | None = None

    def __init__(
        self,
        writer: EventWriter,
        control: Heard,
        device: torch.device,
        group: Group | None = None,
        beat: Beat | None = None,
    ) -> None:
        """Make it. `group` and `beat`: the processes that carry the run together, and what this one says of itself."""
        self._writer = writer
        self._control = control
        self.device = device
        self._group: Group = Alone() if group is None else group
        self._beat = beat
        self._seen_tokens = 0
        self._figures = RunningFigures()
        self._mark = 0.0
        """When the current step began, or the last evaluation or checkpoint ended; monotonic seconds."""
        self._began = 0.0
        """When the current step's first forward pass did."""
        self._step_seconds = 0.0
        self._evaluation_began = 0.0
        self._phase = "starting"
        self._step = 0
        self._steps_end = StepsEnd(control, writer.emit)

    @property
    def where(self) -> str:
        """Say how far the run has come."""
        return f"{self._phase} at step {self._step}" if self._step else self._phase

    @property
    def doing(self) -> str:
        """Say what is in hand, with the shape of the micro-batch where there is one."""
        shape = getattr(self.trainer, "batch_shape", None)
        if shape is None or self._phase not in WORK:
            return self._phase
        return f"{WORK[self._phase]} of {shape[0]} rows of {shape[1]} positions"

    @property
    def training_seconds(self) -> float:
        """Sum of the steps' seconds, of earlier workers too."""
        return self._figures.training_seconds

    @property
    def steps_done(self) -> int:
        """Give the number of the last step that is done."""
        return self._step

    def progress(self, step: int) -> Progress:
        """Write down how far the run has come, for a checkpoint of that step."""
        return self._figures.progress(step)

    def go_on_from(self, progress: Progress) -> None:
        """Take the figures up where a checkpoint left them."""
        self._figures = RunningFigures.of(progress)
        self._step = self._steps_end.saved_step = progress.step
        self._control.advanced(progress.step, progress.training_seconds)
        self._control.saved(progress.step)

    def phase(self, name: PhaseName, detail: str = "") -> None:
        """Tell the beginning of a phase, unless it is the current one."""
        if name != self._phase:
            self._phase = name
            if self._beat is not None:
                self._beat.doing(name)
            self._writer.emit(Phase(phase=name, detail=detail))

    def checkpoint_written(self, event: Checkpoint) -> None:
        """Tell a checkpoint that is whole."""
        self._steps_end.saved_step = event.step
        self._control.saved(event.step)
        self._writer.emit(event)

    def checkpoint_failed(self, step: int, error: BaseException) -> None:
        """Tell that the disk refused a checkpoint."""
        self._writer.emit(report_notices.checkpoint_failed(step, error))

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Let who watches several processes know that a checkpoint is written: a slow disk takes its time."""
        if self._beat is None:
            yield
            return
        before = self._beat.at
        self._beat.doing("saving")
        yield
        self._beat.doing(before)

    def tell_gain(self) -> None:
        """Say so if no evaluation was better than the untrained model's: the adapter is of no use then."""
        if (notice := report_notices.no_gain(self._figures.untrained_loss, self._figures.best_loss)) is not None:
            self._writer.emit(notice)

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """Start the clock."""
        self.phase("training")
        self._mark = time.monotonic()

    def on_epoch_begin(self, *_: Any, **__: Any) -> None:
        """Leave out an evaluation that came before the first step."""
        self.phase("training")
        self._mark = time.monotonic()

    def on_step_begin(self, _args: TrainingArguments, state: TrainerState, *_: Any, **__: Any) -> None:
        """Forget what was asked of the step before."""
        strike("step-begin", step=state.global_step + 1)
        self._steps_end.close()
        self._began = time.monotonic()

    def on_substep_end(self, *_: Any, **__: Any) -> None:
        """Take that a micro-batch is done."""
        if self._beat is not None:
            self._beat.advance()

    def on_prediction_step(self, *_: Any, **__: Any) -> None:
        """Take that a batch of held-out rows is done."""
        if self._beat is not None:
            self._beat.advance()

    def on_pre_optimizer_step(self, *_: Any, **__: Any) -> None:
        """Time the update from here on."""
        if self.trainer is not None:
            self.trainer.clock.update_begins()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        """Stop the clock, and see that the last step is evaluated."""
        if self.trainer is not None:
            self.trainer.clock.step_ends()
        self._step_seconds = time.monotonic() - self._mark
        self._figures.training_seconds += self._step_seconds
        self._step = state.global_step
        self._control.advanced(self._step, self.training_seconds)
        strike("step-end", step=self._step)
        if state.global_step >= state.max_steps:
            control.should_evaluate = args.eval_strategy != "no"
        return control

    def on_log(
        self,
        _args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **__: Any,
    ) -> None:
        """Tell a step. The trainer logs once a step, and once more at an evaluation and at the end.

        Raises: Diverged: the loss is no finite number.
        """
        if logs is None or "grad_norm" not in logs or self.trainer is None:
            return
        taken = self.trainer.take_step()
        rows_seconds, optimizer_seconds = self.trainer.clock.take()
        if not math.isfinite(taken.loss):
            raise Diverged(f"the training loss became {taken.loss} at step {state.global_step}")
        self._figures.tokens += taken.tokens
        self._figures.padding += taken.padding
        norm = float(logs["grad_norm"])
        held, across, wished = self._over_all(self.trainer, rows_seconds)
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
                rows_seconds=rows_seconds,
                optimizer_seconds=optimizer_seconds,
                memory=held,
                across=across,
            )
        )
        for event in self.tell(state.global_step) if self.tell else ():
            self._writer.emit(event)
        self._steps_end.trainer = self.trainer
        self._steps_end.come(state, control, wished=wished)
        self._mark = time.monotonic()

    def _over_all(self, trainer: MeasuredTrainer, rows_seconds: float) -> tuple[Memory, AcrossRanks | None, bool]:
        """Give the memory of all processes, how they differ, and whether there is anything to do at this step's end."""
        mine = memory(self.device)
        if self._group.processes == 1:
            return mine, None, True
        seconds = rows_seconds + trainer.clock.forward_ended - self._began
        own = Own(trainer.seen_tokens - self._seen_tokens, seconds, mine, self._control.wished)
        self._seen_tokens = trainer.seen_tokens
        return gather(self._group, own, self._step_seconds)

    def evaluation_begins(self, step: int) -> None:
        """Tell it, so that what goes wrong in it isn't taken for training's."""
        self._evaluation_began = time.monotonic()
        self.phase("evaluating")
        strike("evaluation", step=step)

    def on_evaluate(
        self,
        _args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        **__: Any,
    ) -> None:
        """Tell an evaluation.

        Raises: Diverged: the loss is no finite number.
        """
        loss = (metrics or {})["eval_loss"]
        if not math.isfinite(loss):
            raise Diverged(f"the evaluation loss became {loss} after step {state.global_step}")
        now = time.monotonic()
        self._writer.emit(
            Evaluation(
                step=state.global_step,
                loss=loss,
                perplexity=math.exp(min(loss, 700.0)),
                tokens=0 if self.trainer is None else self.trainer.evaluated_tokens,
                seconds=now - self._evaluation_began,
                best=self._figures.evaluated(state.global_step, loss),
                memory=memory(self.device),
                extra=self.trainer is not None and self.trainer.evaluation_is_extra,
            )
        )
        self.phase("training")
        self._steps_end.heed(state, control)
        self._mark = time.monotonic()

    def evaluation_ends(self, step: int) -> None:
        """Let the model answer, between two steps of the training; the closing answers come by themselves."""
        leaving = self._control.stopping or self._control.releasing
        if self.ask is not None and self.trainer is not None and not leaving:
            if 0 < step < self.trainer.state.max_steps:
                self.ask(step)
            self._mark = time.monotonic()

    def on_save(self, _args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Go on with a pause in which a checkpoint was asked for; leave only behind a checkpoint that is there."""
        self._steps_end.saved(state, control)
        self._mark = time.monotonic()

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """Heed nothing more: no further step comes."""
        self._steps_end.close()
