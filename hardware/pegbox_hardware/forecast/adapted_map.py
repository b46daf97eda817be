"""An adapter beside a linear map, as the operations that PEFT's tuner layers run.

Source: peft 0.21.2, tuners/lora/layer.py, bnb.py, variants.py and dora.py; tuners/adalora/layer.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pegbox_hardware.forecast.setup import WIDTH
from pegbox_hardware.forecast.tape import Tensor

if TYPE_CHECKING:
    from pegbox_hardware.forecast.operations import Operations

FP32 = 4


@dataclass(frozen=True)
class AdapterTraits:
    """How a method behaves at a linear map, in the words of the tape."""

    rank: int
    magnitude: bool = False
    """DoRA: output columns are rescaled by the norms of the merged weight, which is built for that."""


def with_adapter(ops: Operations, traits: AdapterTraits, x: Tensor, base: Tensor, d_out: int, d_in: int) -> Tensor:
    """Add an adapter's output to a map's; takes the latter over. `x`: the map's input, which stays its caller's."""
    tape = ops.tape
    if ops.quantized:  # PEFT copies the output of a 4-bit map before it adds to it
        copied = tape.run((base,), base.bytes, base.width, passes=True)
        tape.drop(base)
        base = copied
    # Under autocast PEFT's layer for 4-bit maps leaves its input as it is; the plain one casts it.
    entering = ops.cast(x, x.width if ops.quantized and ops.setup.autocast else ops.adapter)
    dropped = ops.dropout(entering)
    if traits.magnitude:
        return _rescaled(ops, traits, base, entering, dropped, d_out, d_in)
    low = ops.cast(dropped, ops.compute) if ops.lowers else ops.cast(dropped, dropped.width)
    narrow = ops.compute if ops.lowers else ops.adapter
    copies = tape.keep(traits.rank * (d_in + d_out) * narrow) if narrow != ops.adapter else None
    kept = (low,) if copies is None else (low, copies)
    middle = tape.run((low,), ops.tokens * traits.rank * narrow, narrow, saves=kept, trains=ops.training)
    tape.drop(low, dropped)
    added = tape.run((middle,), ops.tokens * d_out * narrow, narrow, saves=(middle,), trains=ops.training)
    scaled = tape.run((added,), added.bytes, added.width, backward_scratch=0.0)
    tape.drop(middle, added)
    out_width = base.width
    total = ops.add(base, scaled)
    tape.drop(entering)
    result = ops.cast(total, out_width)
    tape.drop(total)
    return result


def _rescaled(
    ops: Operations, traits: AdapterTraits, base: Tensor, entering: Tensor, dropped: Tensor, d_out: int, d_in: int
) -> Tensor:
    """DoRA: W + BA is built to take its norms; then base and low-rank output are rescaled, both in fp32."""
    tape = ops.tape
    narrow = ops.compute if ops.lowers else ops.adapter
    weights, wide = float(d_out * d_in), dropped.width
    eye = tape.bring(d_in * d_in * ops.adapter, ops.adapter, needs_gradient=False)
    low_eye = ops.cast(eye, narrow)
    product = tape.bring(weights * narrow, narrow, needs_gradient=False)
    tape.drop(eye)
    update = ops.cast(product, wide)
    tape.drop(product)
    base_width = WIDTH[ops.setup.dtype]
    copied = weights * wide if ops.quantized or wide != base_width else 0.0
    weight = tape.bring(copied, wide, needs_gradient=False)
    summed = tape.bring(2 * weights * wide, wide, needs_gradient=False)
    tape.drop(summed)
    low = ops.cast(dropped, narrow) if ops.lowers else ops.cast(dropped, dropped.width)
    middle = tape.run((low,), ops.tokens * traits.rank * narrow, narrow, saves=(low,), trains=ops.training)
    added = tape.run((middle,), ops.tokens * d_out * narrow, narrow, saves=(middle,), trains=ops.training)
    tape.drop(low, middle)
    inner = base
    if ops.setup.dropout:  # the base map runs once more, on what dropout left
        again = ops.cast(dropped, narrow) if ops.lowers else ops.cast(dropped, dropped.width)
        kept = tape.keep(weights * narrow) if narrow != wide else weight
        inner = tape.run((again,), ops.tokens * d_out * narrow, narrow, saves=(kept,))
        tape.drop(again)
    else:
        base.holders += 1
    width = max(FP32, inner.width)
    count = float(ops.tokens * d_out)
    left = tape.run((inner,), count * width, width, saves=(inner,), trains=ops.training)
    middle = tape.run((added,), count * width, width, saves=(added,), trains=ops.training)
    right = tape.run((middle,), count * width, width)
    tape.drop(middle)
    rescaled = ops.add(left, right)
    tape.drop(added, inner, update, low_eye, weight, dropped)
    out_width = base.width
    total = ops.add(base, rescaled)
    tape.drop(entering)
    result = ops.cast(total, out_width)
    tape.drop(total)
    return result
