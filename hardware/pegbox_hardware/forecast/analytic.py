"""Level 1: the peak from config.json alone, in a fraction of a millisecond."""

from __future__ import annotations

from dataclasses import dataclass

from pegbox_hardware.forecast import head
from pegbox_hardware.forecast.adapters import MethodCost
from pegbox_hardware.forecast.layer import Operations, layer
from pegbox_hardware.forecast.setup import WIDTH, TrainingSetup
from pegbox_hardware.forecast.simulated import Stack
from pegbox_hardware.forecast.static import Static, static_of
from pegbox_hardware.forecast.tape import Tape
from pegbox_hardware.shape import Block, ModelShape


@dataclass(frozen=True)
class Piece:
    """What one layer, or the head, takes. Bytes, beside the residual stream that enters it."""

    saved: float
    """Kept from its forward to its backward pass."""
    forward: float
    """Highest sum while it runs forward."""
    recomputed: float
    """The same in a recomputation, which stops at the last tensor saved."""
    backward: float
    """Highest sum while it runs backward, what it saved included."""


@dataclass(frozen=True)
class Peaks:
    """Bytes of torch's allocator at each phase's peak, and what makes them."""

    static: Static
    phases: dict[str, float]
    saved: float
    """Kept between forward and backward passes: checkpoints, or all activations."""
    moving: dict[str, float]
    """What each phase adds to `saved`."""

    @property
    def phase(self) -> str:
        """Name the phase that peaks."""
        return max(self.phases, key=lambda name: self.phases[name])

    @property
    def allocated(self) -> float:
        """Give the highest peak."""
        return max(self.phases.values())


def peaks(shape: ModelShape, setup: TrainingSetup, cost: MethodCost, stack: Stack) -> Peaks:
    """Price one training step, phase by phase."""
    static = static_of(shape, setup, cost.trained, cost.frozen)
    ops = _operations(shape, setup, cost)
    stream = ops.tokens * shape.hidden * ops.stream
    pieces = [_piece(ops, block, stream) for block in shape.blocks]
    end = _end(ops, stream, stack)
    base = static.standing + stack.cublas_workspace_bytes
    saved = sum(
        block.count * (stream if setup.checkpointing else piece.saved)
        for block, piece in zip(shape.blocks, pieces, strict=True)
    )
    # The stream that leaves the last layer is the head's to hold.
    casts = 0.0
    earlier = static.gradients if setup.accumulation > 1 else 0.0
    last = pieces[-1]
    if setup.checkpointing:
        layer_first = saved + stream + max(last.recomputed, last.backward)
        forward = saved + casts + last.forward
        loss = saved + stream + max(casts + end.forward, end.backward)
    else:
        kept = saved - last.saved
        forward = kept + casts + last.forward
        loss = saved + stream + casts + max(end.forward, end.backward)
        layer_first = kept + stream + casts + last.backward
    first = pieces[0]
    remaining = stream if setup.checkpointing else 0.0
    layer_last = remaining + stream + max(first.backward, first.recomputed if setup.checkpointing else 0.0)
    grown = static.gradients * (1 - 1 / shape.layers)
    whole_head = _head_gradient(shape, setup)
    phases = {
        "layer": base + max(earlier + whole_head + layer_first, max(grown, earlier) + layer_last, earlier + forward),
        "loss": base + earlier + loss,
        "optimizer": base + static.gradients + _optimizer_scratch(shape, setup, static, stack),
        "evaluation": base - 0.0 + _evaluation(shape, setup, cost),
    }
    moving = {name: peak - base - saved for name, peak in phases.items()}
    return Peaks(static=static, phases=phases, saved=saved, moving=moving)


def _operations(shape: ModelShape, setup: TrainingSetup, cost: MethodCost, tape: Tape | None = None) -> Operations:
    return Operations(tape or Tape(), shape, setup, cost.traits, cost.adapted)


def _piece(ops: Operations, block: Block, stream: float) -> Piece:
    tape = ops.tape = Tape()
    x = tape.bring(stream, ops.stream, needs_gradient=True)
    out = layer(ops, x, block)
    tape.drop(x)
    forward, recomputed = tape.peak, tape.peak_when_saving
    saved = tape.live - out.bytes
    tape.peak = 0.0
    tape.backward(out, out.bytes)
    # In the backward pass the residual stream that left the layer is somebody else's.
    return Piece(saved=saved, forward=forward, recomputed=recomputed - stream, backward=tape.peak - out.bytes)


def _end(ops: Operations, stream: float, stack: Stack) -> Piece:
    tape = ops.tape = Tape()
    x = tape.bring(stream, ops.stream, needs_gradient=True)
    scalar = head.loss(ops, x, shifted_copy=stack.logits_shifted)
    forward, saved = tape.peak - stream, tape.live - stream
    if stack.outputs_kept:
        kept = float(ops.tokens * ops.shape.vocabulary * ops.compute)
        tape.live += kept
    tape.peak = 0.0
    tape.backward(scalar, scalar.bytes)
    return Piece(saved=saved, forward=forward, recomputed=forward, backward=tape.peak - stream)


def _head_gradient(shape: ModelShape, setup: TrainingSetup) -> float:
    """Bytes of the output head's gradient, which is there before the layers'."""
    return float(shape.vocabulary * shape.hidden * WIDTH[setup.dtype]) if setup.full else 0.0


def _optimizer_scratch(shape: ModelShape, setup: TrainingSetup, static: Static, stack: Stack) -> float:
    if stack.foreach_optimizer and setup.optimizer == "adamw":
        return static.gradients  # a square root of every second moment at once
    if setup.full and shape.tied_head:
        # The last weight to get its gradient is the embedding, which has one from the head: both, for a moment.
        return float(shape.vocabulary * shape.hidden * WIDTH[setup.dtype])
    return 0.0


def _evaluation(shape: ModelShape, setup: TrainingSetup, cost: MethodCost) -> float:
    """Price a forward pass that saves nothing: the largest of its layers, or the head."""
    import msgspec

    rows = setup.evaluation_batch or setup.micro_batch
    calm = msgspec.structs.replace(setup, micro_batch=rows, dropout=0.0, method="frozen" if setup.full else setup.method)
    ops = _operations(shape, calm, cost)
    highest = 0.0
    for block in shape.blocks:
        tape = ops.tape = Tape()
        x = tape.bring(ops.tokens * shape.hidden * ops.stream, ops.stream, needs_gradient=False)
        layer(ops, x, block)
        highest = max(highest, tape.peak)
    return highest
