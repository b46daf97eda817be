"""The vocabulary in which a layer is written down: norms, linear maps, rotations, activations.

Source: the modeling files of transformers 5.23, the tuner layers of PEFT 0.21.2 and bitsandbytes 0.50.2; the
simulation under fake tensors runs those very files and is the oracle of all this in the tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from pegbox_hardware.forecast.setup import WIDTH, TrainingSetup
from pegbox_hardware.forecast.simulated import Stack
from pegbox_hardware.forecast.tape import Tape, Tensor
from pegbox_hardware.shape import ModelShape

FP32 = 4
BF16 = 2


@dataclass(frozen=True)
class AdapterTraits:
    """How a method behaves at a linear map, in the words of the tape."""

    rank: int
    magnitude: bool = False
    """DoRA: output columns are rescaled by the norms of the merged weight, which is built for that."""
    experts: bool = False
    """It is on stacked experts too, whose updates are built whole."""


class Operations:
    """What torch runs for one micro-batch of a model and a set-up, on a tape."""

    def __init__(
        self,
        tape: Tape,
        shape: ModelShape,
        setup: TrainingSetup,
        traits: AdapterTraits | None,
        adapted: frozenset[str],
        *,
        stack: Stack,
        training: bool = True,
    ) -> None:
        self.tape = tape
        self.shape = shape
        self.setup = setup
        self.traits = traits
        self.adapted = adapted
        self.tokens = setup.tokens
        self.compute = WIDTH[setup.dtype]
        self.adapter = WIDTH[setup.adapter_dtype]
        self.quantized = setup.quantized and shape.quantizable
        self.training = training
        self.full = setup.full and training
        self.stack = stack
        self.wide_norms = self.quantized and (setup.kbit_casts or stack.fp32_norms)
        self.lowers = setup.autocast and setup.dtype != "fp32"
        """Autocast casts the inputs of matrix products down, and those of a LayerNorm up."""
        # bitsandbytes gives the format it got: after a LayerNorm in fp32, what is added to the stream is fp32.
        lifted = self.quantized and shape.norm == "layer" and self.lowers
        fp32_stream = setup.dtype == "fp32" or self.wide_norms or lifted
        self.stream = FP32 if fp32_stream else self.compute
        """Bytes of a number of the residual stream."""

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

    def lowered(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Give the inputs of attention in the format it computes in; takes them over."""
        made = tuple(self.cast(tensor, self.compute if self.lowers else tensor.width) for tensor in tensors)
        self.tape.drop(*tensors)
        return made

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
        weight = FP32 if self.wide_norms else self.compute
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
            out = tape.run(
                (inner,),
                self.tokens * d_out * self.compute,
                self.compute,
                saves=(inner,) if self.stack.keeps_packed_inputs else (),
                scratch=weight,
                backward_scratch=weight,
            )
            tape.drop(inner)
            if x.width == self.compute:
                return out
            wide = self.cast(out, x.width)
            tape.drop(out)
            return wide
        inner = self.cast(x, self.compute) if self.lowers else self.cast(x, x.width)
        width = inner.width if self.lowers else self.compute
        out = tape.run(
            (inner,), self.tokens * d_out * width, width, saves=(inner,) if self.full else (), trains=self.full
        )
        tape.drop(inner)
        return out

    def _with_adapter(self, x: Tensor, base: Tensor, d_out: int, d_in: int, traits: AdapterTraits) -> Tensor:
        tape = self.tape
        if self.quantized:  # PEFT copies the output of a 4-bit map before it adds to it
            copied = tape.run((base,), base.bytes, base.width, passes=True)
            tape.drop(base)
            base = copied
        # Under autocast PEFT's layer for 4-bit maps leaves its input as it is; the plain one casts it.
        entering = self.cast(x, x.width if self.quantized and self.setup.autocast else self.adapter)
        dropped = self._dropout(entering)
        if traits.magnitude:
            return self._rescaled(base, entering, dropped, d_out, d_in)
        low = self.cast(dropped, self.compute) if self.lowers else self.cast(dropped, dropped.width)
        narrow = self.compute if self.lowers else self.adapter
        copies = tape.keep(traits.rank * (d_in + d_out) * narrow) if narrow != self.adapter else None
        kept = (low,) if copies is None else (low, copies)
        middle = tape.run((low,), self.tokens * traits.rank * narrow, narrow, saves=kept, trains=self.training)
        tape.drop(low, dropped)
        added = tape.run((middle,), self.tokens * d_out * narrow, narrow, saves=(middle,), trains=self.training)
        scaled = tape.run((added,), added.bytes, added.width, backward_scratch=0.0)
        tape.drop(middle, added)
        out_width = base.width
        total = self.add(base, scaled)
        tape.drop(entering)
        result = self.cast(total, out_width)
        tape.drop(total)
        return result

    def _rescaled(self, base: Tensor, entering: Tensor, dropped: Tensor, d_out: int, d_in: int) -> Tensor:
        """DoRA: W + BA is built to take its norms; then base and low-rank output are rescaled, both in fp32."""
        tape, traits = self.tape, cast(AdapterTraits, self.traits)
        narrow = self.compute if self.lowers else self.adapter
        weights, wide = float(d_out * d_in), dropped.width
        eye = tape.bring(d_in * d_in * self.adapter, self.adapter, needs_gradient=False)
        low_eye = self.cast(eye, narrow)
        product = tape.bring(weights * narrow, narrow, needs_gradient=False)
        tape.drop(eye)
        update = self.cast(product, wide)
        tape.drop(product)
        base_width = WIDTH[self.setup.dtype]
        copied = weights * wide if self.quantized or wide != base_width else 0.0
        weight = tape.bring(copied, wide, needs_gradient=False)
        summed = tape.bring(2 * weights * wide, wide, needs_gradient=False)
        tape.drop(summed)
        low = self.cast(dropped, narrow) if self.lowers else self.cast(dropped, dropped.width)
        middle = tape.run((low,), self.tokens * traits.rank * narrow, narrow, saves=(low,), trains=self.training)
        added = tape.run((middle,), self.tokens * d_out * narrow, narrow, saves=(middle,), trains=self.training)
        tape.drop(low, middle)
        inner = base
        if self.setup.dropout:  # the base map runs once more, on what dropout left
            again = self.cast(dropped, narrow) if self.lowers else self.cast(dropped, dropped.width)
            kept = tape.keep(weights * narrow) if narrow != wide else weight
            inner = tape.run((again,), self.tokens * d_out * narrow, narrow, saves=(kept,))
            tape.drop(again)
        else:
            base.holders += 1
        width = max(FP32, inner.width)
        count = float(self.tokens * d_out)
        left = tape.run((inner,), count * width, width, saves=(inner,), trains=self.training)
        middle = tape.run((added,), count * width, width, saves=(added,), trains=self.training)
        right = tape.run((middle,), count * width, width)
        tape.drop(middle)
        rescaled = self.add(left, right)
        tape.drop(added, inner, update, low_eye, weight, dropped)
        out_width = base.width
        total = self.add(base, rescaled)
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

    def normed(self, x: Tensor) -> Tensor:
        """Normalize and take the input over."""
        out = self.norm(x, self.shape.hidden)
        self.tape.drop(x)
        return out

    def model_dropout(self, x: Tensor) -> Tensor:
        """Apply the model's own dropout, where it has one; takes the input over."""
        if not (self.shape.residual_dropout and self.training):
            return x
        out = self.tape.run((x,), x.bytes, x.width, saves=(self.tape.keep(x.bytes / x.width),))
        self.tape.drop(x)
        return out

    def activation(self, x: Tensor) -> Tensor:
        """Apply the MLP's activation. The input stays its caller's."""
        tape = self.tape
        if not self.shape.composite_gelu:
            return tape.run((x,), x.bytes, x.width, saves=(x,))
        # 0.5 x (1 + tanh(c (x + 0.044715 x^3))): autocast raises the power, and all after it, to fp32.
        half = tape.run((x,), x.bytes, x.width)
        wide = self.cast(x, FP32 if self.lowers else x.width)
        cubed = tape.run((wide,), wide.bytes, wide.width, saves=(wide,), backward_scratch=wide.bytes)
        scaled = tape.run((cubed,), wide.bytes, wide.width)
        tape.drop(cubed)
        summed = tape.run((x, scaled), wide.bytes, wide.width)
        tape.drop(wide, scaled)
        inner = tape.run((summed,), summed.bytes, summed.width)
        tape.drop(summed)
        bent = tape.run((inner,), inner.bytes, inner.width, saves_output=True)
        tape.drop(inner)
        raised = tape.run((bent,), bent.bytes, bent.width)
        tape.drop(bent)
        out = tape.run((half, raised), raised.bytes, raised.width, saves=(half, raised))
        tape.drop(half, raised)
        return out

    def rotate(self, x: Tensor, heads: int) -> Tensor:
        """Turn queries or keys by their positions: x cos + rotated(x) sin. The input stays its caller's.

        Where only a part of each head is turned, both parts are put together anew.
        """
        tape, shape = self.tape, self.shape
        whole = float(self.tokens * heads * shape.head * x.width)
        part = whole * shape.rotary
        cosine = tape.run((x,), part, x.width)
        negated = tape.run((x,), part / 2, x.width)
        turned = tape.run((x, negated), part, x.width)
        tape.drop(negated)
        sine = tape.run((turned,), part, x.width)
        tape.drop(turned)
        out = self.add(cosine, sine)
        if shape.rotary == 1:
            return out
        joined = tape.run((out, x), whole, x.width)
        tape.drop(out)
        return joined
