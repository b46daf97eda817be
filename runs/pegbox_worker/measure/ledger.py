"""What each part of the probe took, written down while the trainer runs."""

from __future__ import annotations

import time
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from pegbox_runs.measured import MeasuredPart, PartName
from pegbox_worker.measure.meters import Meter
from pegbox_worker.measure.rows import STEPS


class Ledger:
    """The parts that ended, and the one that runs."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self.parts: list[MeasuredPart] = []
        self.running: PartName | None = None
        self._seconds: list[float] = []
        self._tokens: list[int] = []

    def enter(self, part: PartName) -> None:
        """End the part that runs, and begin another."""
        self.leave()
        self.running = part
        self.meter.begin()

    def add_step(self, seconds: float, tokens: int) -> None:
        """Count an optimizer step to the part that runs."""
        self._seconds.append(seconds)
        self._tokens.append(tokens)

    def leave(self) -> None:
        """End the part that runs, if one does, and write its figures down."""
        if self.running is None:
            return
        found = self.meter.read()
        self.parts.append(
            MeasuredPart(
                name=self.running,
                allocated_bytes=found.allocated,
                reserved_bytes=found.reserved,
                outside_bytes=found.outside,
                step_seconds=tuple(self._seconds),
                step_tokens=tuple(self._tokens),
            )
        )
        self.running, self._seconds, self._tokens = None, [], []


class PartsOfSteps(TrainerCallback):
    """Turns the trainer's steps into the ledger's parts, and sees to it that nothing is saved.

    `step_tokens`: tokens of each step, without padding. Add it last: it overrules the callbacks before it.
    """

    def __init__(self, ledger: Ledger, step_tokens: list[int]) -> None:
        self._ledger = ledger
        self._step_tokens = step_tokens
        self._mark = 0.0

    def on_step_begin(self, _args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_: Any) -> None:
        """Begin the step's part if it is another, and start the clock."""
        part = STEPS[state.global_step]
        if part != self._ledger.running:
            self._ledger.enter(part)
        self._ledger.meter.settle()
        self._mark = time.perf_counter()

    def on_step_end(
        self, _args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        """Stop the clock. The evaluation, if there is one, comes right after the last step, as in a run."""
        self._ledger.meter.settle()
        self._ledger.add_step(time.perf_counter() - self._mark, self._step_tokens[state.global_step - 1])
        if control.should_evaluate:
            self._ledger.enter("evaluation")
        return control

    def on_log(self, _args: TrainingArguments, _state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Let nothing be saved; the reporter would, at the end."""
        control.should_save = False

    def on_evaluate(
        self, _args: TrainingArguments, _state: TrainerState, control: TrainerControl, *_: Any, **__: Any
    ) -> None:
        """End the evaluation's part."""
        control.should_save = False
        self._ledger.leave()
