"""TRL's trainer, with the loss measured where it is computed and a failed checkpoint survived."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from accelerate.utils import is_peft_model
from torch import Tensor
from transformers.trainer_pt_utils import LengthGroupedSampler
from transformers.trainer_utils import EvalLoopOutput
from trl import SFTTrainer

from pegbox_methods.torch_half import Stateful
from pegbox_runs.rows.masking import IGNORED
from pegbox_worker.checkpoint import load_state, load_weights, save_method
from pegbox_worker.labelled_loss import LabelledLoss


class TakenStep(NamedTuple):
    """What a step came to."""

    loss: float
    """Mean per labelled token."""
    tokens: int
    """Without padding."""
    padding: int
    """Positions that went through the model for nothing."""


class MeasuredTrainer(SFTTrainer):
    """Trains as SFTTrainer does; keeps the plain task's loss apart from what a method adds to it.

    Its checkpoints hold the trained weights exactly and what the method remembers, and are read back from that.
    """

    _signature_columns: list[str]

    def __init__(
        self,
        *arguments: Any,
        labelled_loss: LabelledLoss | None,
        added_loss: Callable[[], Tensor] | None,
        state: Stateful | None = None,
        checkpoint_failed: Callable[[int, BaseException], None],
        **named: Any,
    ) -> None:
        self._labelled_loss = labelled_loss
        self._added_loss = added_loss
        self._state = state
        self._checkpoint_failed = checkpoint_failed
        self._step_loss: list[Tensor] = []
        self._step_tokens = 0
        self._step_padding = 0
        self._evaluated_loss = 0.0
        self.evaluated_tokens = 0
        """Labelled tokens of the last evaluation."""
        super().__init__(*arguments, **named)
        # Some models say they take no count of items; TRL's loss and ours both do, whatever the model.
        self.model_accepts_loss_kwargs = True

    def take_step(self) -> TakenStep:
        """Give what was done since the last call, and begin anew."""
        taken = TakenStep(sum(float(part) for part in self._step_loss), self._step_tokens, self._step_padding)
        self._step_loss, self._step_tokens, self._step_padding = [], 0, 0
        return taken

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Give the task's loss of a micro-batch, plus the method's own term while training."""
        if self._labelled_loss is None or return_outputs:
            result = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
            if return_outputs:
                return result
            loss = result
        else:
            with self.accelerator.autocast():  # the backbone is called past the wrapped forward
                total = self._labelled_loss.sum(inputs)
            loss = total / (_labelled_tokens(inputs) if num_items_in_batch is None else num_items_in_batch)
        if self.model.training:
            self._step_loss.append(loss.detach())
            positions = inputs["input_ids"].numel()
            mask = inputs.get("attention_mask")  # there is none where packed rows leave no padding
            tokens = positions if mask is None else int(mask.sum())
            self._step_tokens += tokens
            self._step_padding += positions - tokens
            if self._added_loss is not None:
                loss = loss + self._added_loss() / self.current_gradient_accumulation_steps
        return loss

    def prediction_step(self, model: Any, inputs: Any, prediction_loss_only: bool, ignore_keys: Any = None) -> Any:
        """Add a batch's loss up, weighted by its labelled tokens."""
        count = _labelled_tokens(inputs)
        loss, logits, labels = super().prediction_step(model, inputs, prediction_loss_only, ignore_keys)
        self._evaluated_loss += float(loss) * count
        self.evaluated_tokens += count
        return loss, logits, labels

    def evaluation_loop(self, *arguments: Any, **named: Any) -> EvalLoopOutput:
        """Report the mean over tokens, where Trainer would report a mean over batches."""
        self._evaluated_loss, self.evaluated_tokens = 0.0, 0
        output = super().evaluation_loop(*arguments, **named)
        prefix = named.get("metric_key_prefix", "eval")
        output.metrics[f"{prefix}_loss"] = self._evaluated_loss / max(self.evaluated_tokens, 1)
        return output

    def _set_signature_columns_if_needed(self) -> None:
        """Keep the rows' lengths beside what the model takes: whoever groups them would count them anew otherwise."""
        super()._set_signature_columns_if_needed()
        if "length" not in self._signature_columns:
            self._signature_columns = [*self._signature_columns, "length"]

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        """Group rows by the lengths that lie beside them, read at once."""
        rows = self.train_dataset if train_dataset is None else train_dataset
        if self.args.train_sampling_strategy != "group_by_length" or "length" not in rows.column_names:
            return super()._get_train_sampler(train_dataset)
        batch = self.args.train_batch_size * self.args.gradient_accumulation_steps
        return LengthGroupedSampler(batch, lengths=rows.with_format("numpy")["length"][:].tolist())

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Let a checkpoint that can't be written cost the checkpoint, not the run."""
        folder = Path(self._get_output_dir(trial=trial), f"checkpoint-{self.state.global_step}")
        best = self.state.best_model_checkpoint
        try:
            super()._save_checkpoint(model, trial)
        except Exception as error:  # noqa: BLE001  # a full disk comes as OSError, SafetensorError or plain Exception
            shutil.rmtree(folder, ignore_errors=True)
            self.state.best_model_checkpoint = best  # it is set before the folder is whole
            self._checkpoint_failed(self.state.global_step, error)

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None) -> None:
        """Write the trained weights; beside them PEFT's own files, so that a checkpoint can be looked at with PEFT.

        Trainer would write a model without PEFT whole, its frozen weights too.
        """
        if is_peft_model(self.model):
            super()._save(output_dir, state_dict)
        if self.args.should_save:
            folder = Path(output_dir or self.args.output_dir)
            folder.mkdir(parents=True, exist_ok=True)
            save_method(self.model, self._state, folder)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, *_: Any) -> None:
        """Take the trained weights and the method's memory back; PEFT's file may lack some of them."""
        load_weights(self.model, Path(resume_from_checkpoint))
        if self._state is not None:
            load_state(self._state, Path(resume_from_checkpoint))

    def _load_best_model(self) -> None:
        """Take back the weights of the best checkpoint, and only those: nothing is trained after it."""
        load_weights(self.model, Path(str(self.state.best_model_checkpoint)))


def _labelled_tokens(inputs: Any) -> int:
    return int((inputs["labels"][:, 1:] != IGNORED).sum())
