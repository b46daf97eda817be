"""The number formats of a GGUF file's weights: which there are, who makes them, and what they weigh."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pegbox_methods.refusal import Refusal, did_you_mean

DEFAULT = "f16"


class Quant(NamedTuple):
    """One number format."""

    bits: float
    """Bits a weight of a matrix; of mixtures about so many."""
    bound_kl: float
    """The mean KL, in nats per token, up to which a file counts as the same model."""
    own: bool = True
    """Made by Pegbox; else llama.cpp's llama-quantize makes it."""


QUANTS: Mapping[str, Quant] = {
    "f32": Quant(32, 1e-6),
    "f16": Quant(16, 1e-4),
    "bf16": Quant(16, 1e-2),
    "q8_0": Quant(8.5, 0.02),
    "q5_1": Quant(6, 0.1),
    "q5_0": Quant(5.5, 0.1),
    "q4_1": Quant(5, 0.3),
    "q4_0": Quant(4.5, 0.3),
    "q6_k": Quant(6.6, 0.05, own=False),
    "q5_k_m": Quant(5.7, 0.1, own=False),
    "q5_k_s": Quant(5.5, 0.1, own=False),
    "q4_k_m": Quant(4.9, 0.3, own=False),
    "q4_k_s": Quant(4.6, 0.3, own=False),
    "q3_k_m": Quant(3.9, 0.7, own=False),
    "q2_k": Quant(3.0, 1.5, own=False),
}
"""By the name that llama.cpp gives them, in small letters. The bounds are about ten times what each costs a model of
8 billion weights: small ones lose more. Source of both: llama.cpp, tools/quantize/README.md, Llama 3 8B."""
PROOF_BYTES = 9
"""Of memory for each weight: two copies in float32 while the file is read back, and what asking takes."""
HEAD = "q8_0"
"""What the embedding and the head are kept in where matrices have fewer bits: they weigh little and cost most."""


def quant_named(name: str | None) -> str:
    """Give the format asked for, as `QUANTS` names it. Raises: Refusal: there is none of that name."""
    asked = (name or DEFAULT).lower().replace("-", "_")
    if asked not in QUANTS:
        raise Refusal(f'--quant "{name}": there is no such format; {did_you_mean(asked, QUANTS)}.')
    return asked


def file_bytes(weights: int, head_weights: int, quant: str) -> int:
    """Estimate a file of so many weights, of which `head_weights` are the embedding's and the head's."""
    bits = QUANTS[quant].bits
    head = bits if quant in ("f32", "f16", "bf16") else max(bits, QUANTS[HEAD].bits)
    return int(((weights - head_weights) * bits + head_weights * head) / 8)
