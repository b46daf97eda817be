"""What the trainer does becomes events, and what was asked for happens at the end of a step, in the trainer's order."""

from __future__ import annotations

import math
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import TrainerControl

from pegbox_methods.events import (
    AnyEvent,
    Checkpoint,
    CommandAnswer,
    Continued,
    Evaluation,
    Notice,
    Paused,
    Phase,
    Step,
)
from pegbox_runs.checkpoints import Progress
from pegbox_runs.commands import send
from pegbox_runs.event_log import EventReader, EventWriter
from pegbox_runs.run_folder import RunFolder
from pegbox_worker import control
from pegbox_worker.control import Control
from pegbox_worker.failure import Diverged
from pegbox_worker.reporter import Reporter
from pegbox_worker.step_clock import StepClock
from pegbox_worker.stop_flag import StopFlag
from pegbox_worker.trainer import TakenStep

CPU = torch.device("cpu")
LAST = 9
ARGUMENTS: Any = SimpleNamespace(eval_strategy="steps")


class MadeUpTrainer:
    """Takes steps in the order in which transformers' Trainer does: told, evaluated, saved, and on or not."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.writer = EventWriter(folder.events)
        self.hears = Control(folder, self.writer, StopFlag())
        self.reporter = Reporter(self.writer, self.hears, CPU)
        self.reporter.trainer = self  # type: ignore[assignment]
        self.control = TrainerControl()
        self.model = None
        self.checkpoint_reason = "planned"
        self.batch_shape: tuple[int, int] | None = None
        self.evaluated_tokens = 3
        self.disk_is_full = False
        self.evaluation_is_extra = False
        self.loss = 1.0
        self.gradient_norm = 1.0
        self.clock = StepClock(lambda: None)

    def take_step(self) -> TakenStep:
        return TakenStep(self.loss, 10, 2)

    def _save_checkpoint(self, *_: Any) -> None:
        if self.disk_is_full:
            self.reporter.checkpoint_failed(self.state.global_step, OSError(28, "No space left on device"))
        else:
            step = self.state.global_step
            event = Checkpoint(step=step, folder=f"checkpoints/checkpoint-{step}", reason=self.checkpoint_reason)  # type: ignore[arg-type]
            self.reporter.checkpoint_written(event)

    def step(self, number: int, *, evaluates: bool = False, saves: bool = False) -> bool:
        """Take one. Returns: whether training ends."""
        state: Any = SimpleNamespace(global_step=number - 1, epoch=number / 10, max_steps=LAST)
        self.state = state
        flow = self.control
        flow.should_evaluate = flow.should_save = False
        self.reporter.on_step_begin(ARGUMENTS, state, flow)
        state.global_step = number
        flow.should_evaluate, flow.should_save = evaluates, saves
        with self.clock.rows():
            pass
        self.reporter.on_pre_optimizer_step()
        self.reporter.on_step_end(ARGUMENTS, state, flow)
        logs = {"grad_norm": self.gradient_norm, "learning_rate": 1e-4}
        self.reporter.on_log(ARGUMENTS, state, flow, logs)
        if flow.should_evaluate:
            self.evaluate(state)
        if flow.should_save:
            self._save_checkpoint()
            flow.should_save = False
            self.reporter.on_save(ARGUMENTS, state, flow)
        return flow.should_training_stop

    def evaluate(self, state: Any) -> None:
        self.reporter.evaluation_begins(state.global_step)
        self.control.should_evaluate = False
        self.reporter.on_evaluate(ARGUMENTS, state, self.control, {"eval_loss": self.loss})
        self.reporter.evaluation_ends(state.global_step)

    def ask(self, name: str) -> None:
        send(self.folder.commands, name)
        self.hears.poll()

    def told(self, *kinds: type[AnyEvent]) -> list[Any]:
        events = [event for block in EventReader(self.folder.events).new() for event in block]
        return [event for event in events if isinstance(event, kinds)]

    def checkpoints(self) -> list[tuple[int, str]]:
        return [(event.step, event.reason) for event in self.told(Checkpoint)]


@pytest.fixture
def trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MadeUpTrainer:
    monkeypatch.setattr(control, "POLL_SECONDS", 0.005)
    return MadeUpTrainer(RunFolder(tmp_path))


def test_a_step_is_told_with_its_figures(trainer: MadeUpTrainer) -> None:
    assert not trainer.step(1)
    (step,) = trainer.told(Step)
    assert (step.step, step.loss, step.tokens, step.padding, step.learning_rate) == (1, 1.0, 10, 2, 1e-4)
    assert 0 < step.rows_seconds + step.optimizer_seconds <= step.step_seconds
    assert trainer.checkpoints() == []


def test_the_model_answers_after_each_evaluation_but_the_closing_one(trainer: MadeUpTrainer) -> None:
    asked: list[int] = []
    trainer.reporter.ask = asked.append
    trainer.state = SimpleNamespace(global_step=0, max_steps=LAST)
    trainer.evaluate(trainer.state)
    for number in range(1, LAST + 1):
        trainer.step(number, evaluates=True)
    assert asked == list(range(1, LAST))


def test_a_run_that_was_told_to_end_does_not_answer_first(trainer: MadeUpTrainer) -> None:
    asked: list[int] = []
    trainer.reporter.ask = asked.append
    trainer.step(1)
    trainer.ask("stop")
    trainer.step(2, evaluates=True)
    assert asked == []


def test_the_time_of_the_answers_is_no_step_s(trainer: MadeUpTrainer) -> None:
    trainer.reporter.ask = lambda _: time.sleep(0.2)
    trainer.step(1, evaluates=True)
    trainer.step(2)
    assert trainer.told(Step)[1].step_seconds < 0.2


def test_a_stop_saves_and_ends_without_an_evaluation_that_was_not_due(trainer: MadeUpTrainer) -> None:
    trainer.step(1)
    trainer.ask("stop")
    assert trainer.step(2)
    assert trainer.checkpoints() == [(2, "ending")]
    assert trainer.told(Evaluation) == []


def test_a_stop_lets_an_evaluation_that_is_due_be(trainer: MadeUpTrainer) -> None:
    trainer.ask("stop")
    assert trainer.step(3, evaluates=True, saves=True)
    assert [event.step for event in trainer.told(Evaluation)] == [3]
    assert trainer.checkpoints() == [(3, "ending")]


def test_a_stop_during_an_evaluation_ends_behind_it(trainer: MadeUpTrainer) -> None:
    real = trainer.reporter.evaluation_begins

    def stopped_meanwhile(*arguments: Any) -> None:
        real(*arguments)
        trainer.ask("stop")

    trainer.reporter.evaluation_begins = stopped_meanwhile  # type: ignore[method-assign]
    assert trainer.step(3, evaluates=True)
    assert trainer.checkpoints() == [(3, "ending")]


def test_the_last_step_is_evaluated_and_saved(trainer: MadeUpTrainer) -> None:
    assert trainer.step(LAST)
    assert [event.step for event in trainer.told(Evaluation)] == [LAST]
    assert trainer.checkpoints() == [(LAST, "ending")]


def test_a_checkpoint_that_was_asked_for_comes_once_at_the_steps_end(trainer: MadeUpTrainer) -> None:
    trainer.ask("checkpoint")
    trainer.ask("checkpoint")
    assert not trainer.step(1)
    assert not trainer.step(2)
    assert not trainer.step(3, saves=True)
    assert trainer.checkpoints() == [(1, "asked"), (3, "planned")]


def test_a_pause_that_releases_the_memory_saves_and_leaves(trainer: MadeUpTrainer) -> None:
    trainer.ask("pause-release")
    assert trainer.step(4)
    assert trainer.checkpoints() == [(4, "pause")]
    assert trainer.hears.releasing
    assert trainer.told(Paused) == []  # told once all is done that it takes


def test_the_last_step_is_not_left_undone_for_a_release(trainer: MadeUpTrainer) -> None:
    trainer.ask("pause-release")
    assert trainer.step(LAST)
    assert not trainer.hears.releasing
    assert trainer.checkpoints() == [(LAST, "ending")]


@pytest.mark.parametrize(("step", "stopped"), [(LAST, False), (4, True)])
def test_behind_the_last_step_no_pause_and_no_checkpoint_is_promised_any_more(
    trainer: MadeUpTrainer, step: int, stopped: bool
) -> None:
    if stopped:
        trainer.ask("stop")
    assert trainer.step(step)
    for name in ("pause", "pause-release", "checkpoint"):
        trainer.ask(name)
        answer = trainer.told(CommandAnswer)[-1]
        assert (answer.taken, answer.text) == (False, "the training is done; the run is saving its adapter")
    trainer.ask("stop")
    assert trainer.told(CommandAnswer)[-1].taken
    assert not trainer.hears.wants_checkpoint()
    assert not trainer.hears.releasing


def test_a_pause_during_the_last_evaluation_is_kept(trainer: MadeUpTrainer) -> None:
    real = trainer.reporter.evaluation_begins

    def paused_meanwhile(*arguments: Any) -> None:
        real(*arguments)
        trainer.ask("pause")

    trainer.reporter.evaluation_begins = paused_meanwhile  # type: ignore[method-assign]
    thread = later(trainer, "resume")
    assert trainer.step(LAST)
    thread.join()
    assert all(event.taken for event in trainer.told(CommandAnswer))
    assert [type(event) for event in trainer.told(Paused, Continued)] == [Paused, Continued]


def later(trainer: MadeUpTrainer, *names: str, wait: float = 0.0) -> threading.Thread:
    """Ask for these one after another, once the run is paused."""

    def work() -> None:
        deadline = time.monotonic() + 10
        for name in names:
            while not trainer.told(Paused) and time.monotonic() < deadline:
                time.sleep(0.005)
            time.sleep(wait)
            send(trainer.folder.commands, name)
            time.sleep(0.05)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_pause_comes_after_its_step_was_told_and_counts_in_no_time(trainer: MadeUpTrainer) -> None:
    trainer.reporter.on_train_begin()
    trainer.ask("pause")
    thread = later(trainer, "resume", wait=0.5)
    assert not trainer.step(1)
    thread.join()
    trainer.step(2)
    kinds = [type(event) for event in trainer.told(Step, Paused, Continued)]
    assert kinds == [Step, Paused, Continued, Step]
    assert all(step.step_seconds < 0.4 for step in trainer.told(Step))
    assert trainer.told(Continued)[0].seconds > 0.4


def test_a_checkpoint_is_written_in_a_pause_which_goes_on(trainer: MadeUpTrainer) -> None:
    trainer.ask("pause")
    thread = later(trainer, "checkpoint", "checkpoint", "resume")
    assert not trainer.step(5)
    thread.join()
    assert trainer.checkpoints() == [(5, "asked")]
    assert [type(event) for event in trainer.told(Paused, Checkpoint, Continued)] == [Paused, Checkpoint, Continued]


def test_a_pause_may_end_in_a_release_or_a_stop(trainer: MadeUpTrainer) -> None:
    trainer.ask("pause")
    thread = later(trainer, "pause-release")
    assert trainer.step(5)
    thread.join()
    assert trainer.checkpoints() == [(5, "pause")]
    assert trainer.told(Continued) == []


def test_a_stop_in_a_pause_behind_its_checkpoint_ends_there(trainer: MadeUpTrainer) -> None:
    trainer.ask("pause")
    thread = later(trainer, "checkpoint", "stop")
    assert trainer.step(5)
    thread.join()
    assert trainer.checkpoints() == [(5, "asked")]


def test_memory_is_not_released_where_the_disk_refused_the_checkpoint(trainer: MadeUpTrainer) -> None:
    trainer.disk_is_full = True
    trainer.ask("pause-release")
    thread = later(trainer, "resume")
    assert not trainer.step(4)
    thread.join()
    assert [event.about for event in trainer.told(Notice)] == ["checkpoint-failed", "not-released"]
    assert [event.memory for event in trainer.told(Paused)] == ["kept"]
    assert not trainer.step(5)


def test_a_release_that_is_asked_for_again_once_there_is_room_succeeds(trainer: MadeUpTrainer) -> None:
    trainer.disk_is_full = True
    trainer.ask("pause-release")

    def room() -> None:
        while not trainer.told(Paused):
            time.sleep(0.005)
        trainer.disk_is_full = False
        send(trainer.folder.commands, "pause-release")

    thread = threading.Thread(target=room)
    thread.start()
    assert trainer.step(4)
    thread.join()
    assert trainer.checkpoints() == [(4, "pause")]
    assert trainer.hears.releasing


def test_figures_go_on_where_a_checkpoint_left_them(trainer: MadeUpTrainer) -> None:
    progress = Progress(
        step=5, tokens=100, padding=7, training_seconds=12.5, untrained_loss=3.0, best_loss=0.9, best_step=4
    )
    trainer.reporter.go_on_from(progress)
    assert trainer.reporter.progress(5) == progress
    trainer.step(6, evaluates=True)
    (evaluation,) = trainer.told(Evaluation)
    assert not evaluation.best  # 1.0 after 0.9
    now = trainer.reporter.progress(6)
    assert (now.tokens, now.padding, now.best_loss, now.best_step) == (110, 9, 0.9, 4)
    assert now.training_seconds > 12.5
    trainer.loss = 0.5
    trainer.step(7, evaluates=True)
    assert (trainer.reporter.progress(7).best_loss, trainer.reporter.progress(7).best_step) == (0.5, 7)


def test_figures_of_a_run_without_evaluations_say_so(trainer: MadeUpTrainer) -> None:
    trainer.step(1)
    progress = trainer.reporter.progress(1)
    assert (progress.untrained_loss, progress.best_loss, progress.best_step) == (None, None, None)
    trainer.reporter.go_on_from(progress)
    trainer.reporter.tell_gain()
    assert trainer.told(Notice) == []


def test_what_is_in_hand_is_told_with_its_shape(trainer: MadeUpTrainer) -> None:
    assert (trainer.reporter.where, trainer.reporter.doing) == ("starting", "starting")
    trainer.reporter.phase("loading")
    assert trainer.reporter.doing == "loading"
    trainer.reporter.on_train_begin()
    trainer.batch_shape = (4, 512)
    assert trainer.reporter.doing == "forward and backward of 4 rows of 512 positions"
    trainer.step(1)
    trainer.reporter.phase("evaluating")
    assert trainer.reporter.where == "evaluating at step 1"
    assert trainer.reporter.doing == "evaluation of 4 rows of 512 positions"
    assert [event.phase for event in trainer.told(Phase)] == ["loading", "training", "evaluating"]


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_no_number_ends_the_run_and_is_never_written(trainer: MadeUpTrainer, loss: float) -> None:
    trainer.loss = loss
    with pytest.raises(Diverged, match=r"became (nan|inf) at step 7"):
        trainer.step(7)
    with pytest.raises(Diverged, match="evaluation loss became"):
        trainer.evaluate(SimpleNamespace(global_step=7, max_steps=LAST))
    assert trainer.told(Step, Evaluation) == []


def test_a_gradient_that_overflowed_is_told_as_unknown(trainer: MadeUpTrainer) -> None:
    trainer.gradient_norm = math.inf
    trainer.step(1)
    assert trainer.told(Step)[0].gradient_norm is None


@pytest.mark.parametrize(("best", "told"), [(2.0, []), (3.0, ["no-gain"]), (3.5, ["no-gain"])])
def test_an_adapter_that_is_no_better_than_nothing_is_told(
    trainer: MadeUpTrainer, best: float, told: list[str]
) -> None:
    for number, loss in ((0, 3.0), (5, best)):
        trainer.loss = loss
        trainer.evaluate(SimpleNamespace(global_step=number, max_steps=LAST))
    trainer.reporter.tell_gain()
    assert [event.about for event in trainer.told(Notice)] == told


def test_an_evaluation_before_the_first_step_is_never_the_best(trainer: MadeUpTrainer) -> None:
    trainer.evaluate(SimpleNamespace(global_step=0, max_steps=LAST))
    assert [event.best for event in trainer.told(Evaluation)] == [False]
    assert trainer.reporter.progress(0).untrained_loss == 1.0


def test_what_goes_wrong_with_an_evaluations_first_rows_is_not_taken_for_trainings(trainer: MadeUpTrainer) -> None:
    trainer.step(1)
    trainer.batch_shape = (4, 128)  # of the step before
    trainer.reporter.evaluation_begins(1)
    assert trainer.reporter.where == "evaluating at step 1"
    assert "evaluat" in trainer.reporter.doing
