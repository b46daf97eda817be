"""TRL's trainer, with the loss measured where it is computed, and an order of rows that needs no memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers.trainer_utils import EvalLoopOutput

from pegbox_runs.rows.masking import IGNORED
from pegbox_worker.labelled_loss import LABELLED_SUM, LabelledLoss, let_through
from pegbox_worker.resuming import ResumableTrainer
from pegbox_worker.row_order import LongestFirst, RowOrder
from pegbox_worker.step_clock import StepClock, wait_of


class TakenStep(NamedTuple):
    """What a step came to."""

    loss: float
    """Mean per labelled token."""
    tokens: int
    """Without padding."""
    padding: int
    """Positions that went through the model for nothing."""


class MeasuredTrainer(ResumableTrainer):
    """Trains as SFTTrainer does; keeps the plain task's loss apart from what a method adds to it."""

    _signature_columns: list[str]

    def __init__(
        self,
        *arguments: Any,
        labelled_loss: LabelledLoss | None,
        added_loss: Callable[[], Tensor] | None,
        fillers: tuple[int, int] = (0, 0),
        **named: Any,
    ) -> None:
        """Make it. `fillers`: how many rows without a label lie behind the training rows and the held-out ones."""
        self.labelled_loss = labelled_loss
        """What computes the loss; None: TRL's fused head does."""
        self._fillers = fillers
        self._order: RowOrder | None = None
        self._added_loss = added_loss
        self._step_loss: list[Tensor] = []
        self._step_tokens = 0
        self._step_padding = 0
        self._evaluated_loss = 0.0
        self._evaluated_labels = 0
        self.evaluated_tokens = 0
        """Labelled tokens of the last evaluation, of all processes together."""
        self.batch_shape: tuple[int, int] | None = None
        """Rows and positions of the micro-batch in hand."""
        self.seen_tokens = self.seen_padding = 0
        """What this process has trained on, without padding; and the padding."""
        self.seen_labels: Tensor | int = 0
        """Those of the tokens that carry a label; on the device, so that nobody waits for the count."""
        super().__init__(*arguments, **named)
        # Some models say they take no count of items; TRL's loss and ours both do, whatever the model.
        self.model_accepts_loss_kwargs = True
        if self.labelled_loss is not None and self.accelerator.num_processes > 1:
            let_through(self.labelled_loss)
        self.clock = StepClock(wait_of(self.args.device))

    def take_step(self) -> TakenStep:
        """Give what all processes did since the last call, and begin anew. Each of them calls it."""
        loss = sum(float(part) for part in self._step_loss)
        loss, tokens, padding = self.group.total([loss, self._step_tokens, self._step_padding])
        self._step_loss, self._step_tokens, self._step_padding = [], 0, 0
        return TakenStep(loss, int(tokens), int(padding))

    def get_batch_samples(self, *arguments: Any, **named: Any) -> Any:
        """Time the fetching of a step's rows."""
        with self.clock.rows():
            return super().get_batch_samples(*arguments, **named)

    def _clip_grad_norm(self, model: Any) -> Any:
        """Time the clipping as a part of the update."""
        with self.clock.clipping():
            return super()._clip_grad_norm(model)

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Give the task's loss of a micro-batch, plus the method's own term while training.

        Of several processes each gives its part of the step's loss times their number, as their gradients' mean is
        taken.
        """
        self.batch_shape = _shape(inputs)
        if self.labelled_loss is None or return_outputs:
            result = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
            if return_outputs:
                return result
            loss = result
        else:
            loss = self._labelled_sum(self.labelled_loss, model, inputs)
            if num_items_in_batch is None:
                loss = loss / max(_labelled_tokens(inputs), 1)
            else:
                loss = loss / num_items_in_batch * self.accelerator.num_processes
        if self.model.training:
            self._step_loss.append(loss.detach() / self.accelerator.num_processes)
            positions = inputs["input_ids"].numel()
            tokens = _tokens(inputs) if self._fillers == (0, 0) else _tokens_of_rows(inputs)
            self._step_tokens += tokens
            self._step_padding += positions - tokens
            self.seen_tokens += tokens
            self.seen_padding += positions - tokens
            self.seen_labels = self.seen_labels + (inputs["labels"][:, 1:] != IGNORED).sum()
            if self._added_loss is not None:
                loss = loss + self._added_loss() / self.current_gradient_accumulation_steps
            self.clock.forward_ends()
        return loss

    def _labelled_sum(self, loss: LabelledLoss, model: Any, inputs: Any) -> Tensor:
        """Add up by our own loss: past what wraps the model, or through it where it brings gradients together."""
        with self.accelerator.autocast():
            if self.accelerator.num_processes == 1:
                return loss.sum(inputs)
            total: Tensor = model(**inputs, **{LABELLED_SUM: True})
            return total

    def prediction_step(self, model: Any, inputs: Any, prediction_loss_only: bool, ignore_keys: Any = None) -> Any:
        """Add a batch's loss up, weighted by its labelled tokens."""
        self.batch_shape = _shape(inputs)
        count = _labelled_tokens(inputs)
        loss, logits, labels = super().prediction_step(model, inputs, prediction_loss_only, ignore_keys)
        if count:  # a batch of filler rows alone may have a loss that is no number
            self._evaluated_loss += float(loss) * count
            self._evaluated_labels += count
        return loss, logits, labels

    def evaluation_loop(self, *arguments: Any, **named: Any) -> EvalLoopOutput:
        """Report the mean over tokens, where Trainer would report a mean over batches."""
        self._evaluated_loss, self._evaluated_labels = 0.0, 0
        output = super().evaluation_loop(*arguments, **named)
        prefix = named.get("metric_key_prefix", "eval")
        loss, labels = self.group.total([self._evaluated_loss, self._evaluated_labels])
        self.evaluated_tokens = int(labels)
        output.metrics[f"{prefix}_loss"] = loss / max(labels, 1)
        return output

    def _set_signature_columns_if_needed(self) -> None:
        """Keep the rows' lengths beside what the model takes: whoever groups them would count them anew otherwise."""
        super()._set_signature_columns_if_needed()
        if "length" not in self._signature_columns:
            self._signature_columns = [*self._signature_columns, "length"]

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        """Order the rows by seed and epoch alone; group them by the lengths that lie beside them, read at once."""
        rows = self.train_dataset if train_dataset is None else train_dataset
        strategy = self.args.train_sampling_strategy
        if strategy not in ("random", "group_by_length"):
            return super()._get_train_sampler(train_dataset)
        fillers, count = self._fillers[0], len(rows) - self._fillers[0]
        lengths = lengths_of(rows)[:count] if strategy == "group_by_length" else None
        self._order = RowOrder(
            count, seed=self.args.data_seed, lengths=lengths, step_rows=self.step_rows, fillers=fillers
        )
        return self._order

    def _run_epoch(self, model: Any, epoch: int, *arguments: Any, **named: Any) -> Any:
        """Name the epoch to the order itself: to a resumed run of several processes neither transformers nor Accelerate
        gets it through, and the rows would be the first epoch's (accelerate 1.15, SkipBatchSampler).
        """
        if self._order is not None:
            self._order.set_epoch(epoch)
        return super()._run_epoch(model, epoch, *arguments, **named)

    def _get_eval_sampler(self, eval_dataset: Any) -> Any:
        """Look at the held-out rows in the same batches each time, drawing nothing."""
        fillers, lengths = self._fillers[1], lengths_of(eval_dataset)
        return LongestFirst(lengths[: len(lengths) - fillers], fillers=fillers)


def lengths_of(rows: Any) -> list[int]:
    """Count the tokens of each row; read at once where the counts lie beside the rows."""
    if "length" in rows.column_names:
        lengths: list[int] = rows.with_format("numpy")["length"][:].tolist()
        return lengths
    return [len(ids) for ids in rows["input_ids"]]


def _shape(inputs: Any) -> tuple[int, int]:
    rows, positions = inputs["input_ids"].shape
    return int(rows), int(positions)


def _tokens(inputs: Any) -> int:
    """Count what isn't padding."""
    mask = inputs.get("attention_mask")  # there is none where packed rows leave no padding
    return inputs["input_ids"].numel() if mask is None else int(mask.sum())


def _tokens_of_rows(inputs: Any) -> int:
    """Count what is neither padding nor a filler row, which is told by its having no label at all."""
    labelled, mask = inputs["labels"] != IGNORED, inputs.get("attention_mask")
    if mask is not None:
        return int(mask[labelled.any(1)].sum())
    row = (inputs["position_ids"] == 0).cumsum(1).flatten() - 1
    return int(torch.isin(row, row[labelled.flatten()]).sum())


def _labelled_tokens(inputs: Any) -> int:
    return int((inputs["labels"][:, 1:] != IGNORED).sum())
