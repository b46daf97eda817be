"""Level 1: the peak from a model's shape alone, in a fraction of a millisecond.

One layer of each kind, and the end of the model, go over the tape; what a step holds at once is added up from them.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from pegbox_hardware.forecast import head
from pegbox_hardware.forecast.adapters import MethodCost
from pegbox_hardware.forecast.layer import layer
from pegbox_hardware.forecast.operations import Operations
from pegbox_hardware.forecast.setup import WIDTH, TrainingSetup
from pegbox_hardware.forecast.shares import shares_of
from pegbox_hardware.forecast.simulated import Stack
from pegbox_hardware.forecast.static import Static, static_of
from pegbox_hardware.forecast.tape import Tape
from pegbox_hardware.shape import Block, ModelShape


@dataclass(frozen=True)
class Phase:
    """A part of the step, at its peak. Bytes beside what stands still."""

    gradients: float
    saved: float
    """Kept between the forward and the backward pass: checkpoints, or all activations."""
    working: float
    """What the phase itself has in its hands."""

    @property
    def total(self) -> float:
        """Add it up."""
        return self.gradients + self.saved + self.working


@dataclass(frozen=True)
class Peaks:
    """Bytes of torch's allocator, by phase of a step."""

    static: Static
    workspace: float
    """Scratch that torch gives cuBLAS."""
    phases: dict[str, Phase]
    gathered: float = 0.0
    """Parts of a sharded model that are whole at once."""
    buckets: float = 0.0
    """Copies of the gradients, of which processes make one sum."""

    @property
    def name(self) -> str:
        """Name the phase that peaks."""
        return max(self.phases, key=lambda name: self.phases[name].total)

    @property
    def standing(self) -> float:
        """Give what is held in every phase."""
        return self.static.standing + self.workspace + self.gathered + self.buckets

    @property
    def allocated(self) -> float:
        """Give the highest peak."""
        return self.standing + self.phases[self.name].total


@dataclass(frozen=True)
class _Piece:
    """What one layer, or the end of the model, takes beside the residual stream that enters it."""

    saved: float
    forward: float
    recomputed: float
    """Highest sum of a recomputation, which stops at the last tensor that is saved."""
    backward: float


def peaks(shape: ModelShape, setup: TrainingSetup, cost: MethodCost, stack: Stack) -> Peaks:
    """Price one training step, phase by phase."""
    shares = shares_of(shape, setup, static_of(shape, setup, cost))
    static = shares.static
    ops = Operations(Tape(), shape, setup, cost.traits, cost.adapted, stack=stack)
    stream = _stream(ops)
    layers = [(block.count, _layer(ops, block, stream)) for block in shape.blocks]
    phases = {
        "layer": _layer_phase(shape, setup, static, layers, stream),
        "loss": _loss_phase(setup, static, layers, _end(ops, stream), stream),
        "optimizer": Phase(static.gradients, 0.0, _optimizer_scratch(shape, setup, static, stack)),
    }
    if stack.evaluates:
        phases["evaluation"] = Phase(0.0, 0.0, _evaluation(shape, setup, cost, stack))
        phases["generation"] = Phase(0.0, 0.0, _generation(shape, setup, cost, stack))
    return Peaks(
        static=static,
        workspace=float(stack.cublas_workspace_bytes),
        phases=phases,
        gathered=shares.gathered,
        buckets=shares.buckets,
    )


def _saved(layers: list[tuple[int, _Piece]], setup: TrainingSetup, stream: float) -> float:
    """Add up what all layers keep: their inputs with checkpointing, else everything they saved."""
    return sum(count * (stream if setup.checkpointing else piece.saved) for count, piece in layers)


def _layer_phase(
    shape: ModelShape, setup: TrainingSetup, static: Static, layers: list[tuple[int, _Piece]], stream: float
) -> Phase:
    """Take the worst of three moments: the last layer's forward pass, its backward pass, and the first layer's."""
    saved = _saved(layers, setup, stream)
    earlier = static.gradients if setup.accumulation > 1 else 0.0
    last, first = layers[-1][1], layers[0][1]
    if setup.checkpointing:
        forward = Phase(earlier, saved, last.forward)
        begins = Phase(earlier, saved, stream + max(last.recomputed, last.backward))
        ends = Phase(0.0, stream, stream + max(first.recomputed, first.backward))
    else:
        forward = Phase(earlier, saved - last.saved, last.forward)
        begins = Phase(earlier, saved - last.saved, stream + last.backward)
        ends = Phase(0.0, 0.0, stream + first.backward)
    whole = float(shape.vocabulary * shape.hidden * WIDTH[setup.dtype]) if setup.full else 0.0
    begins = Phase(begins.gradients + whole, begins.saved, begins.working)  # the head's gradient comes first
    grown = max(earlier, static.gradients * (1 - 1 / shape.layers))
    ends = Phase(grown, ends.saved, ends.working)
    return max(forward, begins, ends, key=lambda phase: phase.total)


def _loss_phase(
    setup: TrainingSetup, static: Static, layers: list[tuple[int, _Piece]], end: _Piece, stream: float
) -> Phase:
    earlier = static.gradients if setup.accumulation > 1 else 0.0
    return Phase(earlier, _saved(layers, setup, stream), stream + max(end.forward, end.backward))


def _layer(ops: Operations, block: Block, stream: float) -> _Piece:
    tape = ops.tape = Tape()
    x = tape.bring(stream, ops.stream, needs_gradient=True)
    out = layer(ops, x, block)
    tape.drop(x)
    forward, recomputed, saved = tape.peak, tape.peak_when_saving, tape.live - out.bytes
    tape.peak = 0.0
    tape.backward(out, out.bytes)
    # The stream that left the layer is gone when the backward pass comes back to it.
    return _Piece(saved=saved, forward=forward, recomputed=recomputed - stream, backward=tape.peak - out.bytes)


def _end(ops: Operations, stream: float) -> _Piece:
    tape = ops.tape = Tape()
    x = tape.bring(stream, ops.stream, needs_gradient=True)
    scalar = head.loss(ops, x)
    forward, saved = tape.peak - stream, tape.live - stream
    if ops.stack.own_loop:  # the outputs outlive the loss, so the logits do
        tape.live += float(ops.tokens * ops.shape.vocabulary * ops.compute)
    tape.peak = 0.0
    tape.backward(scalar, scalar.bytes)
    return _Piece(saved=saved, forward=forward, recomputed=forward, backward=tape.peak - stream)


def _optimizer_scratch(shape: ModelShape, setup: TrainingSetup, static: Static, stack: Stack) -> float:
    if stack.foreach_optimizer and setup.optimizer == "adamw":
        return static.gradients  # a square root of every second moment at once
    if setup.full and shape.tied_head:
        # The last weight to get its gradient is the embedding, which has one from the head: both, and their sum.
        return 2.0 * shape.vocabulary * shape.hidden * WIDTH[setup.dtype]
    return 0.0


def _evaluation(shape: ModelShape, setup: TrainingSetup, cost: MethodCost, stack: Stack) -> float:
    """Price a forward pass that saves nothing, by its widest layer and the head's tile."""
    ops, layers = _calm(shape, setup, cost, stack, rows=setup.evaluation_batch or setup.micro_batch)
    tape = ops.tape = Tape()
    head.loss(ops, tape.bring(_stream(ops), ops.stream, needs_gradient=False))
    return max(layers, tape.peak)


def _generation(shape: ModelShape, setup: TrainingSetup, cost: MethodCost, stack: Stack) -> float:
    """Price the answer to one question that fills the length: its keys and values in all layers, and a layer."""
    ops, layers = _calm(shape, setup, cost, stack, rows=1)
    narrow = [block.matrices["kv_a_proj_with_mqa"][0] for block in shape.blocks] if shape.latent else []
    plain = 2 * shape.kv_heads * shape.head
    kept = sum(block.count * (narrow[place] if narrow else plain) for place, block in enumerate(shape.blocks))
    return layers + float(setup.length * kept * ops.compute)


def _calm(
    shape: ModelShape, setup: TrainingSetup, cost: MethodCost, stack: Stack, *, rows: int
) -> tuple[Operations, float]:
    """Run each kind of layer forward without gradients. Returns: (what it was run with, the highest peak)."""
    calm = msgspec.structs.replace(setup, micro_batch=rows, dropout=0.0, padding=setup.padding and rows > 1)
    ops = Operations(Tape(), shape, calm, cost.traits, cost.adapted, stack=stack, training=False)
    highest = 0.0
    for block in shape.blocks:
        tape = ops.tape = Tape()
        layer(ops, tape.bring(_stream(ops), ops.stream, needs_gradient=False), block)
        highest = max(highest, tape.peak)
    return ops, highest


def _stream(ops: Operations) -> float:
    """Bytes of the residual stream of a whole micro-batch."""
    return float(ops.tokens * ops.shape.hidden * ops.stream)
