"""What an export takes of memory and disk, from a model's shape and the sizes of its files."""

from __future__ import annotations

from pegbox_runs.printable import one_line
from pegbox_runs.tuned import TunedRun

TOKENIZER_BYTES = 32 * 2**20
"""More than nearly all tokenizers take."""
FLOAT32 = 4


def weights_of(run: TunedRun) -> int:
    """Count the base model's weights; 0: its shape isn't known."""
    return 0 if run.model.shape is None else run.model.shape.weights


def model_type_of(run: TunedRun) -> str:
    """Give transformers' name of the base model's type, as its config has it."""
    return one_line(str(run.model.config.get("model_type")), 40)


def float32_bytes(run: TunedRun) -> int:
    """Give what the model takes once in float32, in which proofs are computed."""
    return FLOAT32 * weights_of(run)


def lora_bytes(run: TunedRun, rank: int) -> int:
    """Give what a LoRA adapter of a rank takes in float32 on all linear maps; 0: the shape isn't known."""
    shape = run.model.shape
    if shape is None:
        return 0
    sizes = ((block.count, *size) for block in shape.blocks for size in block.matrices.values())
    return FLOAT32 * sum(layers * min(rank, d_out, d_in) * (d_out + d_in) for layers, d_out, d_in in sizes)
