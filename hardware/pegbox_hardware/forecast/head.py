"""The end of the model: last norm, output head, loss, by the path the loss takes.

Source: `ForCausalLMLoss` of transformers 5.23; `add_fused_lm_head` and `_ChunkedLogProbFunction` of TRL 1.16.
"""

from __future__ import annotations

from pegbox_hardware.forecast.adapted_map import FP32
from pegbox_hardware.forecast.operations import Operations
from pegbox_hardware.forecast.tape import Tensor

TILE_TOKENS = 4096
"""Source: TOKEN_CHUNK_SIZE of trl/kernels/chunked_logprob.py."""
TILE_VOCABULARY = 32768
"""Source: _CHUNKED_LOGPROB_CHUNK_SIZE beside add_fused_lm_head in TRL; the buffer always is that wide."""
STATISTICS = 7
"""fp32 numbers a token that the fused head keeps while it runs; one of them stays for the backward pass."""
LOSS_CHUNK = 512
"""Positions that a chunked loss prices at a time."""


def loss(ops: Operations, x: Tensor) -> Tensor:
    """Write the loss down, from the residual stream, which stays its caller's, to a scalar."""
    hidden = ops.norm(x, ops.shape.hidden)
    out = {"full": _full, "chunked": _chunked, "fused": _fused}[ops.setup.loss](ops, hidden)
    ops.tape.drop(hidden)
    return out


def _head_gradient(ops: Operations, width: int) -> float:
    """Bytes of the head's own gradient where it is trained."""
    return float(ops.shape.vocabulary * ops.shape.hidden * width) if ops.setup.full else 0.0


def _full(ops: Operations, hidden: Tensor) -> Tensor:
    """All logits at once: in the model's format, in fp32, and their log-softmax; twice more fp32 in the backward."""
    tape, scores = ops.tape, float(ops.tokens * ops.shape.vocabulary)
    inner = (
        ops.cast(hidden, ops.compute) if ops.lowers or hidden.width < ops.compute else ops.cast(hidden, hidden.width)
    )
    # A head that PEFT's k-bit preparation made fp32 is cast back under autocast, for the time of the product.
    kbit = ops.setup.quantized and ops.setup.kbit_casts
    copied = float(ops.shape.vocabulary * ops.shape.hidden * ops.compute) if kbit and ops.lowers else 0.0
    weight = tape.keep(copied)
    width = ops.compute if ops.lowers or not kbit else FP32
    saves = (weight, inner) if ops.setup.full else (weight,)
    logits = tape.run(
        (inner,), scores * width, width, saves=saves, backward_scratch=_head_gradient(ops, width), trains=ops.setup.full
    )
    tape.drop(inner)
    if ops.shape.logit_cap:  # divided, bent by a tanh, multiplied: three more copies, of which the tanh's stays
        divided = tape.run((logits,), logits.bytes, width)
        tape.drop(logits)
        bent = tape.run((divided,), logits.bytes, width, saves_output=True)
        tape.drop(divided)
        logits = tape.run((bent,), logits.bytes, width)
        tape.drop(bent)
    wide = ops.cast(logits, FP32)
    held = [logits, wide]
    scores32 = wide
    if ops.stack.logits_shifted:
        scores32 = tape.run((wide,), wide.bytes, FP32)
        held.append(scores32)
    if ops.stack.in_place_loss:  # a kernel that writes the gradient over its input
        scalar = tape.run((scores32,), FP32, FP32, saves=(scores32,))
    else:
        logarithms = tape.run((scores32,), scores32.bytes, FP32, saves_output=True)
        scalar = tape.run((logarithms,), FP32, FP32)
        held.append(logarithms)
    tape.drop(*held)
    return scalar


def _chunked(ops: Operations, hidden: Tensor) -> Tensor:
    """Logits in chunks that all stay for the backward pass, in the model's format; one chunk at a time in fp32."""
    tape, scores = ops.tape, float(ops.tokens * ops.shape.vocabulary)
    chunk = 3 * FP32 * float(min(ops.tokens, LOSS_CHUNK) * ops.shape.vocabulary)
    kept = tape.keep(2 * scores * ops.compute)
    return tape.run(
        (hidden,),
        FP32,
        FP32,
        saves=(kept, hidden) if ops.setup.full else (kept,),
        scratch=chunk,
        backward_scratch=chunk + _head_gradient(ops, ops.compute),
        trains=ops.setup.full,
    )


def _fused(ops: Operations, hidden: Tensor) -> Tensor:
    """TRL's head: the labelled positions' states, copied, and one tile of logits at a time."""
    tape, tokens = ops.tape, float(ops.tokens)
    labelled = tape.run((hidden,), hidden.bytes, hidden.width)
    tile = min(tokens, TILE_TOKENS) * TILE_VOCABULARY * ops.compute
    kept = tape.keep(tokens * FP32)
    # Backward: the gradients of states and head, each in fp32 and then in its own format, and the tile.
    backward = tokens * ops.shape.hidden * FP32 + tile + _head_gradient(ops, FP32) + _head_gradient(ops, ops.compute)
    scalar = tape.run(
        (labelled,),
        FP32,
        FP32,
        saves=(labelled, kept),
        scratch=tile + STATISTICS * tokens * FP32,
        backward_scratch=backward,
        trains=ops.setup.full,
    )
    tape.drop(labelled)
    return scalar
