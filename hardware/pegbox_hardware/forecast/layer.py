"""One decoder layer as the operations that torch runs for it in training: attention, MLP or experts, and the sums.

Source: the modeling files of transformers 5.23 and its integrations/moe.py.
"""

from __future__ import annotations

from pegbox_hardware.forecast.adapted_map import FP32
from pegbox_hardware.forecast.attention import attention
from pegbox_hardware.forecast.operations import Operations
from pegbox_hardware.forecast.tape import Tensor
from pegbox_hardware.shape import Block, Experts


def mlp(ops: Operations, x: Tensor, block: Block) -> Tensor:
    """Write the dense MLP down, from the normed input to the output of its last linear map."""
    shape, tape = ops.shape, ops.tape
    names = [name for name in block.matrices if name not in shape.attention]
    if block.experts is not None:
        routed = experts(ops, x, block.experts)
        if not names:
            return routed
        shared = _gated(ops, x, names, block)
        return ops.add(routed, shared)
    if shape.gated and not shape.fused_mlp:
        return _gated(ops, x, names, block)
    sizes = [block.matrices[name] for name in names]
    if not shape.gated:
        wide = ops.linear(x, names[0], *sizes[0])
        product = ops.activation(wide)
        tape.drop(wide)
    else:
        both = ops.linear(x, names[0], *sizes[0])
        gate = tape.run((both,), both.bytes / 2, both.width, saves=(both,))
        # Backward: the other half's gradient; both halves are joined into one when the gate's has come.
        product = tape.run((gate,), gate.bytes, gate.width, saves=(both, gate), backward_scratch=gate.bytes)
        tape.drop(both, gate)
    out = ops.linear(product, names[-1], *sizes[-1])
    tape.drop(product)
    return out


def _gated(ops: Operations, x: Tensor, names: list[str], block: Block) -> Tensor:
    """Write a gated MLP of three maps down."""
    tape = ops.tape
    gate_name, up_name, down_name = names
    gate = ops.linear(x, gate_name, *block.matrices[gate_name])
    active = ops.activation(gate)
    tape.drop(gate)
    up = ops.linear(x, up_name, *block.matrices[up_name])
    product = tape.run((active, up), up.bytes, up.width, saves=(active, up))
    tape.drop(active, up)
    out = ops.linear(product, down_name, *block.matrices[down_name])
    tape.drop(product)
    return out


def experts(ops: Operations, x: Tensor, kind: Experts) -> Tensor:
    """Write routed experts down, as grouped products over (token, expert) pairs."""
    tape, hidden, width = ops.tape, ops.shape.hidden, ops.compute
    pairs = float(ops.tokens * kind.active)
    scores = tape.run((x,), float(ops.tokens * kind.count * FP32), FP32, saves_output=True)
    chosen = tape.run((scores,), pairs * FP32, FP32)
    tape.drop(scores)
    gathered = tape.run((x,), pairs * hidden * width, width, trains=ops.full)
    both = tape.run((gathered,), pairs * 2 * kind.inner * width, width, saves=(gathered,) if ops.full else ())
    tape.drop(gathered)
    active = tape.run((both,), pairs * kind.inner * width, width, saves=(both,))
    product = tape.run((active,), active.bytes, width, saves=(active, both), backward_scratch=active.bytes)
    tape.drop(both, active)
    down = tape.run((product,), pairs * hidden * width, width, saves=(product,) if ops.full else ())
    tape.drop(product)
    weighted = tape.run((down, chosen), pairs * hidden * FP32, FP32, saves=(down, chosen))
    tape.drop(chosen, down)
    ordered = tape.run((weighted,), weighted.bytes, FP32)
    tape.drop(weighted)
    summed = tape.run((ordered,), float(ops.tokens * hidden * FP32), FP32)
    tape.drop(ordered)
    out = ops.cast(summed, x.width)
    tape.drop(summed)
    return out


def layer(ops: Operations, x: Tensor, block: Block) -> Tensor:
    """Write one decoder layer down; gives the new residual stream. The old one stays its caller's all the while."""
    shape, tape = ops.shape, ops.tape
    normed = ops.norm(x, shape.hidden)
    mixed = ops.model_dropout(attention(ops, normed, block))
    if shape.parallel:
        if shape.norms == 2:
            tape.drop(normed)
            normed = ops.norm(x, shape.hidden)
        out = ops.model_dropout(mlp(ops, normed, block))
        tape.drop(normed)
        x.holders += 1
        return ops.add(ops.add(mixed, out), x)
    tape.drop(normed)
    if shape.norms == 4:
        mixed = ops.normed(mixed)
    x.holders += 1
    x = ops.add(x, mixed)
    normed = ops.norm(x, shape.hidden)
    out = ops.model_dropout(mlp(ops, normed, block))
    tape.drop(normed)
    if shape.norms == 4:
        out = ops.normed(out)
    return ops.add(x, out)
