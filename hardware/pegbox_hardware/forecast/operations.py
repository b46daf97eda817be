"""The vocabulary in which a layer is written down: norms, linear maps, rotations, activations.

Source: the modeling files of transformers 5.23, the tuner layers of PEFT 0.21.2 and bitsandbytes 0.50.2; the
simulation under fake tensors runs those very files and is the oracle of all this in the tests.
"""

from __future__ import annotations

from pegbox_hardware.forecast.adapted_map import FP32, AdapterTraits, with_adapter
from pegbox_hardware.forecast.setup import WIDTH, TrainingSetup
from pegbox_hardware.forecast.simulated import Stack
from pegbox_hardware.forecast.tape import Tape, Tensor
from pegbox_hardware.shape import ModelShape


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
        return with_adapter(self, self.traits, x, base, d_out, d_in)

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

    def dropout(self, x: Tensor) -> Tensor:
        """Apply the adapter's dropout. The input stays its caller's."""
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
