"""Going on from a checkpoint as if the run had never ended, and ending with the best weights."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from safetensors.torch import load, load_file
from transformers import TrainerState
from transformers.trainer_utils import TrainOutput

from pegbox_methods.events import Notice
from pegbox_runs.checkpoints import Unfit, folder_of, verify
from pegbox_worker.checkpoint import TRAINED, fill_weights, load_state, load_weights
from pegbox_worker.late_evaluation import with_late, write_late
from pegbox_worker.optimizer_state import fill_optimizer, fill_schedule, optimizer_kind
from pegbox_worker.random_state import RandomState, chance_in
from pegbox_worker.saving import OPTIMIZER, RANDOM, RANDOM_OF, STATE_JSON, SavingTrainer
from pegbox_worker.state_tree import from_tree
from pegbox_worker.training_record import TrainingRecord, read_record


class ResumableTrainer(SavingTrainer):
    """Takes its own checkpoints up. What one lacks is an error: transformers would go on without it."""

    evaluation_is_extra = False
    """The evaluation in hand is made only because the run ends here; no checkpoint counts it."""
    _owed_at: int | None = None
    """Step of the checkpoint that was taken up, if an evaluation is due there."""

    def train(self, resume_from_checkpoint: Any = None, *arguments: Any, **named: Any) -> TrainOutput:
        """Train from the beginning or from a checkpoint's folder; all steps may have been taken already."""
        if self.group.leads:
            self._shelf.clear_leftovers()
        if not resume_from_checkpoint:
            return super().train(None, *arguments, **named)
        checkpoint = Path(resume_from_checkpoint)
        record = with_late(read_record(checkpoint), checkpoint)
        if record.step >= self.args.max_steps:
            # transformers would take one step more: it looks at the end only behind a step.
            if self.is_fsdp_enabled:
                self._prepare_for_training(self.args.max_steps, None, None)  # each process takes its part, as ever
            self._load_from_checkpoint(str(checkpoint))
            self.state = TrainerState.load_from_json(str(checkpoint / STATE_JSON))
            self._take_up(record)
            return TrainOutput(self.state.global_step, 0.0, {})
        self.args.eval_on_start = record.evaluation_due
        return super().train(str(checkpoint), *arguments, **named)

    def evaluate(self, *arguments: Any, **named: Any) -> dict[str, float]:
        """Evaluate; what an earlier worker owed its last checkpoint counts as if it had been done there."""
        metrics = super().evaluate(*arguments, **named)
        if self._owed_at == self.state.global_step:
            self._owed_at = None
            self._count_late()
        return metrics

    def keep_best(self, *, last: bool = False) -> int:
        """At the run's end, evaluate it, and take back the weights of the best evaluation. Returns: its step.

        `last`: leave those of the last step, whatever its evaluation.
        """
        step = self.state.global_step
        if self.args.eval_strategy == "no":
            return step
        if self._evaluated is None or self._evaluated.step != step:
            self.evaluation_is_extra = self._owed_at != step
            self.evaluate()
            self.evaluation_is_extra = False
        best = None if last else self._best
        if best is None or self._evaluated is None or best.step == step or self._evaluated.loss < best.loss:
            return step
        return best.step if self._take_back(best.step) else step

    def _take_back(self, best: int) -> bool:
        """Take the weights of the best evaluation, which all processes get of the leading one: only it need see them.

        Returns: whether they are there; that they aren't was told.
        """
        place = fault = None
        if self.group.leads:
            try:
                place = verify(folder_of(self._shelf.place, best)).path
            except Unfit as unfit:
                fault = unfit
        alone = self.group.processes == 1
        content = b"" if alone else self.group.agree(b"" if place is None else (place / TRAINED).read_bytes())
        if place is not None:
            load_weights(self.model, place)
        elif content:
            fill_weights(self.model, load(content), folder_of(self._shelf.place, best).name)
        else:
            text = (
                f"the best evaluation was after step {best}, and its checkpoint can't be read back ({fault}); the "
                f"adapter is that of step {self.state.global_step}."
            )
            self._tell(Notice(text=text, about="best-lost"))
        return place is not None or bool(content)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, *_: Any) -> None:
        """Take the trained weights and the method's memory back."""
        load_weights(self.model, Path(resume_from_checkpoint))
        if self._method_state is not None:
            load_state(self._method_state, Path(resume_from_checkpoint))

    def _init_training_state(self, *arguments: Any) -> tuple[int, int]:
        """Go by this run's distances between evaluations, not by the checkpoint's: they may be others now."""
        place: tuple[int, int] = super()._init_training_state(*arguments)
        max_steps, checkpoint = arguments[0], arguments[3]
        self.state.compute_steps(self.args, max_steps)
        if checkpoint is not None:
            self._take_up(with_late(read_record(Path(checkpoint)), Path(checkpoint)))
        return place

    def _take_up(self, record: TrainingRecord) -> None:
        self.saved_step = self._shelf.newest = record.step
        self._best, self._evaluated = record.best, record.evaluated
        self._owed_at = record.step if record.evaluation_due else None
        if record.step_rows != self.step_rows:
            text = (
                f"a step takes {self.step_rows} rows now and took {record.step_rows} before, so some rows of the "
                "epoch come twice and others not."
            )
            self._tell(Notice(text=text, about="other-batch"))

    def _count_late(self) -> None:
        """Let the evaluation of the checkpoint's own weights count, for this worker and for those after it."""
        here = self._evaluated
        if here is None or here.step != self.saved_step:
            return
        if self._best is None or here.loss < self._best.loss:
            self._best = here
        if self.group.leads:
            with suppress(OSError):  # it is done once more then, by a worker that begins here again
                write_late(folder_of(self._shelf.place, here.step), here)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """Take both up. A checkpoint that lacks them raises; an optimizer of another kind begins anew, and says so."""
        if checkpoint is None:
            return
        record, tensors = read_record(Path(checkpoint)), load_file(Path(checkpoint, OPTIMIZER))
        kind = optimizer_kind(self.optimizer)
        if kind == record.optimizer_kind:
            fill_optimizer(self.optimizer, from_tree(record.optimizer, tensors))
        else:
            text = f"the optimizer begins anew: the checkpoint's was {record.optimizer_kind}, and this one is {kind}."
            self._tell(Notice(text=text, about="other-optimizer"))
        rates = fill_schedule(self.lr_scheduler, self.optimizer, record.schedule)
        before = record.schedule["rates"]
        if len(before) == len(rates) and list(rates) != list(before):
            text = (
                f"the schedule is another one from here on: step {record.step + 1} has the learning rate "
                f"{rates[0]:.3g} where it would have had {before[0]:.3g}."
            )
            self._tell(Notice(text=text, about="other-schedule"))

    def _load_scaler(self, checkpoint: str | None) -> None:
        """Take the factor of float16 up."""
        scaler = getattr(self.accelerator, "scaler", None)
        if checkpoint is None or scaler is None:
            return
        saved = read_record(Path(checkpoint)).scaler
        if saved is None:
            raise Unfit("the checkpoint is of a run that wasn't in float16")
        scaler.load_state_dict(from_tree(saved, {}))

    def _load_rng_state(self, checkpoint: str | None) -> None:
        """Let chance go on where it stood."""
        if checkpoint is None:
            return
        path = Path(checkpoint)
        own = path / RANDOM_OF.format(self.group.rank)
        if not self.group.leads and not own.is_file():
            return  # it begins by the seed and the process' number; all are told by the leading one
        before = 1 + len(list(path.glob(RANDOM_OF.format("*"))))
        if self.group.leads and before != self.group.processes:
            self._tell(Notice(text=_other_number(before, self.group.processes), about="other-processes"))
        if not self.group.leads:
            chance_in(own).put_back()
            return
        saved = RandomState.of(from_tree(read_record(path).chance, {}), load_file(path / RANDOM))
        if self.args.device.type == "cuda" and len(saved.cuda) != len(RandomState.now().cuda):
            raise Unfit(f"the checkpoint is of a run that saw {len(saved.cuda)} GPUs, and this one sees another number")
        saved.put_back()


def _other_number(before: int, now: int) -> str:
    """Say what a run loses that goes on with another number of processes."""
    counted = "1 process" if before == 1 else f"{before} processes"
    return (
        f"chance stood in {counted} when the checkpoint was written, and {now} go on from it: rows and steps are the "
        "same, but dropout isn't what it would have been."
    )
