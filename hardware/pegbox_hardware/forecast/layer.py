"""One decoder layer as the operations that torch runs for it in training.

Source: the modeling files of transformers 5.23, the tuner layers of PEFT 0.21.2 and bitsandbytes 0.50.2; the
simulation under fake tensors runs those very files and is this page's oracle in the tests.
"""

from __future__ import annotations

from dataclasses import dataclass

from pegbox_hardware.forecast.setup import WIDTH, TrainingSetup
from pegbox_hardware.forecast.tape import Tape, Tensor
from pegbox_hardware.shape import Block, ModelShape

FP32 = 4
BF16 = 2


@dataclass(frozen=True)
class AdapterTraits:
    """How a method behaves at a linear map, in the words of the tape."""

    rank: int
    reparametrized: bool = True
    """It adds a product of thin matrices to the map's output, as LoRA does."""
    magnitude: bool = False
    """DoRA: output columns are rescaled by the norms of the merged weight, which is built for that."""
    in_place: bool = False
    """AdaLoRA adds its output in place."""


class Operations:
    """The vocabulary in which a layer is written: norms, linear maps, adapters, attention, activations."""

    def __init__(
        self, tape: Tape, shape: ModelShape, setup: TrainingSetup, traits: AdapterTraits | None, adapted: frozenset[str]
    ) -> None:
        self.tape = tape
        self.shape = shape
        self.setup = setup
        self.traits = traits
        self.adapted = adapted
        self.tokens = setup.tokens
        self.compute = WIDTH[setup.dtype]
        self.adapter = WIDTH[setup.adapter_dtype]
        self.quantized = setup.quantized
        self.full = setup.full
        fp32_stream = setup.dtype == "fp32" or (setup.quantized and setup.kbit_casts)
        self.stream = FP32 if fp32_stream else self.compute
        """Bytes of a number of the residual stream."""
        self.lowers = setup.autocast and setup.dtype != "fp32"
        """Autocast casts the inputs of matrix products down."""

    def add(self, left: Tensor, right: Tensor) -> Tensor:
        """Add two tensors of one shape; the wider format wins."""
        wide = left if left.width >= right.width else right
        out = self.tape.run((left, right), wide.bytes, wide.width, passes=True)
        self.tape.drop(left, right)
        return out

    def cast(self, x: Tensor, width: int) -> Tensor:
        """Give the tensor in another format; itself, held once more, where it has it already."""
        if x.width == width:
            x.holders += 1
            return x
        return self.tape.run((x,), x.bytes / x.width * width, width)

    def norm(self, x: Tensor, features: int) -> Tensor:
        """Normalize. `features`: numbers of a token that go through it. The input stays its caller's."""
        tape, count = self.tape, float(self.tokens * features)
        if self.shape.norm == "layer":
            # Autocast runs torch's layer_norm in fp32, so its output is fp32 too.
            inner = self.cast(x, FP32) if self.lowers else self.cast(x, x.width)
            out = tape.run((inner,), count * inner.width, inner.width, saves=(inner,), trains=self.full)
            tape.drop(inner)
            return out
        wide = self.cast(x, FP32)
        square = tape.run((wide,), count * FP32, FP32, saves=(wide,))
        tape.drop(square)
        # Backward: the product's two gradients, the power's, and their sum, all in fp32.
        normed = tape.run((wide,), count * FP32, FP32, saves=(wide,), backward_scratch=3 * count * FP32)
        tape.drop(wide)
        if self.shape.norm == "gemma":
            scaled = tape.run((normed,), count * FP32, FP32, saves=(normed,) if self.full else (), trains=self.full)
            out = self.cast(scaled, x.width)
            tape.drop(normed, scaled)
            return out
        narrow = self.cast(normed, x.width)
        weight = FP32 if self.quantized and self.setup.kbit_casts else self.compute
        width = max(x.width, weight)
        out = tape.run((narrow,), count * width, width, saves=(narrow,) if self.full else (), trains=self.full)
        tape.drop(normed, narrow)
        return out

    def linear(self, x: Tensor, name: str, d_out: int, d_in: int) -> Tensor:
        """Apply a linear map with its adapter, if it has one. The input stays its caller's."""
        base = self._base(x, d_out, d_in)
        if self.traits is None or name not in self.adapted:
            return base
        return self._with_adapter(x, base, d_out, d_in, self.traits)

    def _base(self, x: Tensor, d_out: int, d_in: int) -> Tensor:
        tape = self.tape
        if self.quantized:
            # bitsandbytes unpacks the whole weight for the product, forward and backward, and gives the input's format.
            weight = float(d_out * d_in * self.compute)
            inner = self.cast(x, self.compute)
            out = tape.run((inner,), self.tokens * d_out * self.compute, self.compute, scratch=weight, backward_scratch=weight)
            tape.drop(inner)
            if x.width == self.compute:
                return out
            wide = self.cast(out, x.width)
            tape.drop(out)
            return wide
        inner = self.cast(x, self.compute) if self.lowers else self.cast(x, x.width)
        width = inner.width if self.lowers else self.compute
        out = tape.run((inner,), self.tokens * d_out * width, width, saves=(inner,) if self.full else (), trains=self.full)
        tape.drop(inner)
        return out

    def _with_adapter(self, x: Tensor, base: Tensor, d_out: int, d_in: int, traits: AdapterTraits) -> Tensor:
        tape = self.tape
        if self.quantized:  # PEFT copies the output of a 4-bit map before it adds to it
            copied = tape.run((base,), base.bytes, base.width, passes=True)
            tape.drop(base)
            base = copied
        # Under autocast PEFT's layer for 4-bit maps leaves the input as it is; the plain one casts it to its own format.
        entering = self.cast(x, x.width if self.quantized and self.setup.autocast else self.adapter)
        dropped = self._dropout(entering)
        low = self.cast(dropped, self.compute) if self.lowers else self.cast(dropped, dropped.width)
        narrow = self.compute if self.lowers else self.adapter
        copies = tape.keep(traits.rank * (d_in + d_out) * narrow) if narrow != self.adapter else None
        kept = (low,) if copies is None else (low, copies)
        middle = tape.run((low,), self.tokens * traits.rank * narrow, narrow, saves=kept, trains=True)
        tape.drop(low, dropped)
        added = tape.run((middle,), self.tokens * d_out * narrow, narrow, saves=(middle,), trains=True)
        scaled = tape.run((added,), added.bytes, added.width, backward_scratch=0.0)
        tape.drop(middle, added)
        out_width = base.width
        total = self.add(base, scaled)
        tape.drop(entering)
        result = self.cast(total, out_width)
        tape.drop(total)
        return result

    def _dropout(self, x: Tensor) -> Tensor:
        if not self.setup.dropout:
            x.holders += 1
            return x
        mask = self.tape.keep(x.bytes / x.width) if x.needs_gradient else None
        return self.tape.run((x,), x.bytes, x.width, saves=(mask,) if mask else ())

    def rotate(self, x: Tensor) -> Tensor:
        """Turn queries or keys by their positions: x cos + rotated(x) sin. The input stays its caller's."""
        tape = self.tape
        cosine = tape.run((x,), x.bytes, x.width)
        negated = tape.run((x,), x.bytes / 2, x.width)
        turned = tape.run((x, negated), x.bytes, x.width)
        tape.drop(negated)
        sine = tape.run((turned,), x.bytes, x.width)
        tape.drop(turned)
        return self.add(cosine, sine)


def attention(ops: Operations, x: Tensor, block: Block) -> Tensor:
    """Write attention down, from the normed input to the output of its last linear map."""
    shape, setup, tape = ops.shape, ops.setup, ops.tape
    names = [name for name in block.matrices if name in shape.attention]
    sizes = {name: block.matrices[name] for name in names}
    if shape.fused_qkv:
        fused = ops.linear(x, names[0], *sizes[names[0]])
        whole = shape.heads + 2 * shape.kv_heads
        query, key, value = (
            tape.run((fused,), fused.bytes * part / whole, fused.width) for part in (shape.heads, shape.kv_heads, shape.kv_heads)
        )
        tape.drop(fused)
    else:
        query, key, value = (ops.linear(x, name, *sizes[name]) for name in names[:3])
    if shape.qk_norm:
        normed = ops.norm(query, shape.heads * shape.head), ops.norm(key, shape.kv_heads * shape.head)
        tape.drop(query, key)
        query, key = normed
    if shape.rotary:
        turned = ops.rotate(query), ops.rotate(key)
        tape.drop(query, key)
        query, key = turned
    mixed = _scores(ops, query, key, value)
    out = ops.linear(mixed, names[-1], *sizes[names[-1]])
    tape.drop(mixed)
    return out


def _scores(ops: Operations, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Write the attention kernel down; takes its three inputs over."""
    shape, setup, tape = ops.shape, ops.setup, ops.tape
    width = ops.compute
    inputs = []
    for tensor in (query, key, value):  # autocast lowers the kernel's inputs
        inputs.append(ops.cast(tensor, width) if ops.lowers else ops.cast(tensor, tensor.width))
        tape.drop(tensor)
    masked = setup.padding and setup.attention != "flash"
    if (masked or setup.attention == "eager") and shape.kv_heads != shape.heads:
        repeated = [tape.run((t,), t.bytes * shape.heads / shape.kv_heads, t.width) for t in inputs[1:]]
        tape.drop(*inputs[1:])
        inputs[1:] = repeated
    out_bytes = ops.tokens * shape.heads * shape.value_head * inputs[0].width
    statistics = tape.keep(ops.tokens * shape.heads * FP32)
    saved = [*inputs, statistics]
    if masked and setup.attention == "sdpa":
        saved.append(tape.keep(ops.tokens * setup.length * inputs[0].width))
    out = tape.run(inputs, out_bytes, inputs[0].width, saves=saved, backward_scratch=ops.tokens * shape.heads * (shape.head + 1) * FP32)
    out.holders += 1
    tape.operations[-1].saves = (*saved, out)
    tape.drop(*inputs)
    return out


def mlp(ops: Operations, x: Tensor, block: Block) -> Tensor:
    """Write the dense MLP down, from the normed input to the output of its last linear map."""
    shape, tape = ops.shape, ops.tape
    names = [name for name in block.matrices if name not in shape.attention]
    sizes = [block.matrices[name] for name in names]
    if not shape.gated:
        wide = ops.linear(x, names[0], *sizes[0])
        product = tape.run((wide,), wide.bytes, wide.width, saves=(wide,))
        tape.drop(wide)
    elif shape.fused_mlp:
        both = ops.linear(x, names[0], *sizes[0])
        gate = tape.run((both,), both.bytes / 2, both.width, saves=(both,))
        product = tape.run((both, gate), gate.bytes, gate.width, saves=(both, gate))
        tape.drop(both, gate)
    else:
        gate = ops.linear(x, names[0], *sizes[0])
        active = tape.run((gate,), gate.bytes, gate.width, saves=(gate,))
        tape.drop(gate)
        up = ops.linear(x, names[1], *sizes[1])
        product = tape.run((active, up), up.bytes, up.width, saves=(active, up))
        tape.drop(active, up)
    out = ops.linear(product, names[-1], *sizes[-1])
    tape.drop(product)
    return out


def layer(ops: Operations, x: Tensor, block: Block) -> Tensor:
    """Write one decoder layer down; gives the new residual stream. The old one stays its caller's all the while."""
    shape, tape = ops.shape, ops.tape
    x.holders += 1
    normed = ops.norm(x, shape.hidden)
    mixed = attention(ops, normed, block)
    tape.drop(normed)
    if shape.norms == 4:
        after = ops.norm(mixed, shape.hidden)
        tape.drop(mixed)
        mixed = after
    x = ops.add(x, mixed)
    normed = ops.norm(x, shape.hidden)
    out = mlp(ops, normed, block)
    tape.drop(normed)
    if shape.norms == 4:
        after = ops.norm(out, shape.hidden)
        tape.drop(out)
        out = after
    return ops.add(x, out)
