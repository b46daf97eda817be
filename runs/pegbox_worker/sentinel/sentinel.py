"""The trainer's callback that looks whether a run does what it says."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from pegbox_methods.events import Check, Event, Inspected, Notice
from pegbox_methods.fence import one_line_of
from pegbox_methods.recipe import Recipe
from pegbox_methods.torch_half import Attached
from pegbox_worker.failure import SentinelFailed
from pegbox_worker.sentinel.against_forecast import Expectation
from pegbox_worker.sentinel.base_weights import BaseWeights
from pegbox_worker.sentinel.gradients import Gradients
from pegbox_worker.sentinel.learning_rate import LearningRate
from pegbox_worker.sentinel.movement import Movement
from pegbox_worker.sentinel.pace import Pace
from pegbox_worker.sentinel.repeatable import check_repeatable
from pegbox_worker.sentinel.seed import check_seed
from pegbox_worker.sentinel.trained_share import check_share
from pegbox_worker.token_rows import RowFacts
from pegbox_worker.trainer import MeasuredTrainer

if TYPE_CHECKING:
    from pegbox_hardware.forecast.memory import Forecast

WINDOW = 20
"""Steps that are looked at closely, from the first one of this worker on."""


class Sentinel(TrainerCallback):
    """Looks closely in the first 20 steps, and now and then after. `trainer` is set once there is one.

    Looking changes nothing and draws no random number, so a run with it takes the same steps as one without. What is
    wrong for certain ends the run; what a person should see is a notice. Add it before the reporter, whose clock then
    leaves most of it out.
    """

    trainer: MeasuredTrainer | None = None

    def __init__(
        self,
        attached: Attached,
        recipe: Recipe,
        facts: RowFacts,
        tell: Callable[[Event], None],
        device: torch.device,
        forecast: Forecast | None = None,
    ) -> None:
        self._attached, self._recipe, self._facts, self._tell = attached, recipe, facts, tell
        self._expected = Expectation(recipe, facts, device, forecast)
        self._seconds = 0.0
        self._steps = 0
        self._movement = Movement()
        self._pace = Pace()
        self._checks: dict[str, Check] = {}

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        _control: TrainerControl,
        model: nn.Module | None = None,
        **_: Any,
    ) -> None:
        """Remember how all is before the first step."""
        with self._looking():
            trained = self._attached.model if model is None else model
            self._base = BaseWeights(trained)
            self._gradients = Gradients(trained)
            warmup = args.get_warmup_steps(state.max_steps)
            self._rate = LearningRate(self._recipe, warmup=warmup, steps=state.max_steps)

    def on_step_begin(self, args: TrainingArguments, *_: Any, **__: Any) -> None:
        """Look at the seed once, where a resumed run has its chance back too."""
        if not self._steps:
            with self._looking():
                self._seed = check_seed(self._recipe.seeds.training, args)
        self._pace.step_begins()

    def on_pre_optimizer_step(self, *_: Any, **__: Any) -> None:
        """Look at the gradients while they are there.

        Raises: NoGradient.
        """
        if self._steps < WINDOW:
            with self._looking():
                self._movement.follow(self._gradients.look())

    def on_optimizer_step(
        self,
        _args: TrainingArguments,
        _state: TrainerState,
        _control: TrainerControl,
        optimizer: Any = None,
        lr_scheduler: Any = None,
        **_: Any,
    ) -> None:
        """Look at the rate of the step that was just taken."""
        if self._steps < WINDOW and optimizer is not None and lr_scheduler is not None:
            self._rate.look(optimizer.param_groups, lr_scheduler.get_last_lr(), lr_scheduler.last_epoch)

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Count the step."""
        if self._steps < WINDOW:
            self._pace.step_ends()
        self._steps += 1

    def on_log(
        self,
        _args: TrainingArguments,
        state: TrainerState,
        _control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Look whether the step moved anything, and tell what was seen once it is enough.

        Raises: SentinelFailed.
        """
        if logs is None or "grad_norm" not in logs or self._checks:
            return
        with self._looking():
            self._movement.look()
        # A gradient that is no number says nothing; the reporter ends such a run, or the next step is a better one.
        if self._steps >= WINDOW and math.isfinite(float(logs["grad_norm"])):
            self._inspect(state.global_step)

    def on_evaluate(self, _args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_: Any) -> None:
        """Look again at what may change late.

        Raises: SentinelFailed.
        """
        if self._checks:
            self._inspect(state.global_step)

    def on_train_end(self, _args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_: Any) -> None:
        """Look a last time, or, in a run of few steps, for the first time.

        Raises: SentinelFailed.
        """
        if self._steps:
            self._inspect(state.global_step)

    def _inspect(self, step: int) -> None:
        with self._looking():
            looked = self._late(step) if self._checks else chain(self._early(), self._late(step))
            found = {check.name: check for check in looked}
        before, self._checks = self._checks, {**self._checks, **found}
        if _verdicts(before) == _verdicts(self._checks):
            return
        self._tell(Inspected(step=step, checks=tuple(self._checks.values()), seconds=self._seconds))
        known = _verdicts(before)
        changed = [check for check in found.values() if known.get(check.name) != check.verdict]
        for check in changed:
            if check.verdict == "unsure":
                self._tell(Notice(text=f"{check.text}.", about=f"sentinel-{check.name}"))
        for check in changed:
            if check.verdict == "failed":
                raise SentinelFailed(check.text)

    def _early(self) -> Iterator[Check]:
        """Look at what shows in the first steps, or never."""
        yield self._gradients.check(steps_with_rate=self._rate.steps_with_rate)
        yield self._movement.check(steps=self._steps, steps_with_rate=self._rate.steps_with_rate)
        yield self._rate.check()
        yield Check(
            name="loss-finite", verdict="passed", text=f"finite in {self._steps} steps; one that isn't ends the run"
        )
        yield self._seed
        if self.trainer is not None:
            yield from self._of_trainer(self.trainer)

    def _of_trainer(self, trainer: MeasuredTrainer) -> Iterator[Check]:
        tokens, padding = trainer.seen_tokens, trainer.seen_padding
        yield check_share(self._facts, tokens=tokens, labelled=int(trainer.seen_labels))
        yield check_repeatable(trainer)
        yield from self._expected.checks(
            tokens_per_second=self._pace.rate(tokens, self._steps), padding_share=padding / max(1, tokens + padding)
        )

    def _late(self, step: int) -> Iterator[Check]:
        """Look at what may go wrong at any time."""
        yield self._base.check()
        if self._attached.inspect is not None:
            try:
                yield from tuple(self._attached.inspect(step))
            except Exception as error:  # noqa: BLE001  # a guest's look may raise anything
                text = f"the method's own look failed: {one_line_of(error)}. Tell its author"
                yield Check(name="method", verdict="unsure", text=text)

    @contextmanager
    def _looking(self) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self._seconds += time.perf_counter() - began


def _verdicts(checks: dict[str, Check]) -> dict[str, str]:
    return {name: check.verdict for name, check in checks.items()}
