"""One run in small: optimizer steps, an evaluation batch and an answer, traced."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from pegbox_hardware.forecast.simulated import SimulationRequest
from pegbox_worker.simulation.adapters import DTYPES
from pegbox_worker.simulation.backward_stretches import follow_stretches
from pegbox_worker.simulation.fake_model import DEVICE, build
from pegbox_worker.simulation.kernel_scratch import scratch_bytes
from pegbox_worker.simulation.layer_kinds import layer_kinds
from pegbox_worker.simulation.loss_paths import loss_of
from pegbox_worker.simulation.optimizers import make_optimizer, state_tensors
from pegbox_worker.simulation.quantized import scales
from pegbox_worker.simulation.software_path import gpu_paths
from pegbox_worker.simulation.storage_trace import StorageTrace

MAX_GRADIENT_NORM = 1.0


@dataclass(frozen=True)
class Traced:
    """What a traced run held."""

    trace: StorageTrace
    phases: dict[str, int]
    """Phase -> peak in bytes, of a step that finds the optimizer's state and what follows it."""
    items: dict[str, dict[str, int]]
    """Phase -> what held the memory at its peak."""
    trainable_weights: int


def trace_run(request: SimulationRequest, config: Any, *, in_order: bool) -> Traced:
    """Build the model of this config and follow its memory.

    `in_order` takes two whole steps, as the replay of the allocator needs; otherwise the optimizer's state is put
    there first and one micro-batch follows, which has the same peaks.

    Raises: CannotSimulate, or whatever the libraries raise on tensors without numbers.
    """
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    with gpu_paths(request.setup):
        model = build(request, config, mode)
        trace = StorageTrace(scratch_bytes, config.get_text_config().vocab_size)
        with mode, trace:
            follow_stretches(model, layer_kinds(config), trace)
            run = _Run(request, model, trace)
            if in_order:
                run.two_steps()
            else:
                run.short_step()
            if request.stack.evaluates:
                run.evaluate()
                run.generate()
            trainable = sum(weight.numel() for weight in run.weights)
    phases = {name: peak.bytes for name, peak in trace.peaks.items()}
    items = {name: trace.items_at(peak) for name, peak in trace.peaks.items()}
    return Traced(trace, phases, items, trainable)


class _Run:
    """The pieces of a training run, on tensors without numbers."""

    def __init__(self, request: SimulationRequest, model: Any, trace: StorageTrace) -> None:
        self._request, self._setup, self._stack = request, request.setup, request.stack
        self._model, self._trace = model, trace
        self.weights = [weight for weight in model.parameters() if weight.requires_grad]
        trace.tag((weight for weight in model.parameters() if not weight.requires_grad), "base weights")
        trace.tag(scales(model), "base weights")
        trace.tag(self.weights, "trainable weights")
        trace.tag(model.buffers(), "base weights")
        for weight in self.weights:
            weight.register_post_accumulate_grad_hook(lambda w: trace.tag([w.grad], "gradients"))
        trace.take(self._stack.cublas_workspace_bytes, "cuBLAS workspace")
        self._optimizer = make_optimizer(self.weights, self._setup, self._stack, trace)
        self._kept: Any = None
        """What a loop of one's own holds until the next micro-batch has gone forward."""

    def two_steps(self) -> None:
        """Take a step that makes the optimizer's state and one that finds it; only the peaks of the second count."""
        earlier = self._stack.earlier_length
        self._micro_batch(earlier or self._setup.length)
        self._optimize()
        if not self._stack.own_loop:
            self._drop_gradients()
        if earlier is not None:
            self._trace.empty_cache()
        self._drop_gradients()
        self._trace.forget_peaks()
        self._micro_batch(self._setup.length)
        if self._setup.accumulation > 1:  # the third is as the second
            self._micro_batch(self._setup.length)
        self._optimize()
        self._drop_gradients()

    def short_step(self) -> None:
        """Begin with the optimizer; gradients of earlier micro-batches stay."""
        for weight in self.weights:
            weight.grad = torch.empty_like(weight)
        self._trace.tag((weight.grad for weight in self.weights), "gradients")
        self._trace.forget_peaks()
        self._optimize()
        if self._setup.accumulation == 1:
            self._drop_gradients()
        self._micro_batch(self._setup.length)
        self._drop_gradients()

    def evaluate(self) -> None:
        """Price a batch of held-out rows."""
        self._trace.enter("evaluation")
        self._model.eval()
        with torch.no_grad():
            self._loss(self._batch(self._request.evaluation_micro_batch, self._setup.length))

    def generate(self) -> None:
        """Let the model answer: read a prompt of the longest length into the cache, add a token."""
        self._trace.enter("generation")
        rows, length = self._request.generation_micro_batch, self._setup.length
        batch = self._batch(rows, length)
        del batch["labels"]
        with torch.no_grad(), self._autocast():
            outputs = self._model(**batch, use_cache=True, logits_to_keep=1)
            mask = torch.ones(rows, length + 1, dtype=torch.long, device=DEVICE)
            token = batch["input_ids"][:, -1:]
            self._model(input_ids=token, attention_mask=mask, past_key_values=outputs.past_key_values, use_cache=True)

    def _micro_batch(self, length: int) -> None:
        self._trace.enter("forward")
        loss, self._kept = self._loss(self._batch(self._setup.micro_batch, length))
        self._trace.enter("backward")
        loss.backward()

    def _optimize(self) -> None:
        self._trace.enter("optimizer")
        torch.nn.utils.clip_grad_norm_(self.weights, MAX_GRADIENT_NORM, foreach=True)
        self._optimizer.step()
        self._trace.tag(state_tensors(self._optimizer), "optimizer")
        _rank_importance(self._model)

    def _drop_gradients(self) -> None:
        for weight in self.weights:
            weight.grad = None

    def _loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, Any]:
        with self._autocast():
            return loss_of(self._model, batch, self._setup, self._stack)

    def _autocast(self) -> Any:
        if not self._setup.autocast or self._setup.dtype == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(DEVICE.type, dtype=DTYPES[self._setup.dtype])

    def _batch(self, rows: int, length: int) -> dict[str, Tensor]:
        ids = torch.zeros(rows, length, dtype=torch.long, device=DEVICE)
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids.clone()}


def _rank_importance(model: Any) -> None:
    """Let AdaLoRA's allocator of ranks keep its averages; which ranks it masks would need numbers."""
    allocator = getattr(getattr(model, "base_model", None), "rankallocator", None)
    if allocator is not None:
        allocator.update_ipt(model)
