"""TRL's trainer, with the loss measured where it is computed and a failed checkpoint survived."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers.trainer_utils import EvalLoopOutput
from trl import SFTTrainer

from pegbox_worker.labelled_loss import LabelledLoss
from pegbox_worker.tokens import IGNORED


class MeasuredTrainer(SFTTrainer):
    """Trains as SFTTrainer does; keeps the plain task's loss apart from what a method adds to it."""

    def __init__(
        self,
        *arguments: Any,
        labelled_loss: LabelledLoss | None,
        added_loss: Callable[[], Tensor] | None,
        checkpoint_failed: Callable[[int, BaseException], None],
        **named: Any,
    ) -> None:
        self._labelled_loss = labelled_loss
        self._added_loss = added_loss
        self._checkpoint_failed = checkpoint_failed
        self._step_loss: list[Tensor] = []
        self._step_tokens = 0
        self._evaluated_loss = 0.0
        self.evaluated_tokens = 0
        """Labelled tokens of the last evaluation."""
        super().__init__(*arguments, **named)
        # Some models say they take no count of items; TRL's loss and ours both do, whatever the model.
        self.model_accepts_loss_kwargs = True

    def take_step(self) -> tuple[float, int]:
        """Give (mean loss per labelled token, tokens without padding) since the last call, and begin anew."""
        loss, tokens = sum(float(part) for part in self._step_loss), self._step_tokens
        self._step_loss, self._step_tokens = [], 0
        return loss, tokens

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
            self._step_tokens += int(inputs["attention_mask"].sum())
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


def _labelled_tokens(inputs: Any) -> int:
    return int((inputs["labels"][:, 1:] != IGNORED).sum())
