"""What an export takes of memory and disk, from a model's shape and the sizes of its files."""

from __future__ import annotations

from pegbox_runs.printable import one_line
from pegbox_runs.tuned import TunedRun

TOKENIZER_BYTES = 32 * 2**20
"""More than nearly all tokenizers take."""
FLOAT32 = 4
PROMPTS, AT_ONCE = 32, 8
"""Of a proof, and those of them that are answered at once."""
ANSWER_TOKENS = 32
LONGEST = 512
"""Tokens of a prompt: longer ones would make a proof slow on a processor, and show no more."""
LOADING = 1.1
"""A model takes so much more while it is loaded and asked than its weights do."""
MERGED_COPIES = 4
"""Of the largest matrix in float32, while a merge is compared."""


def weights_of(run: TunedRun) -> int:
    """Count the base model's weights; 0: its shape isn't known."""
    return 0 if run.model.shape is None else run.model.shape.weights


def model_type_of(run: TunedRun) -> str:
    """Give transformers' name of the base model's type, as its config has it."""
    return one_line(str(run.model.config.get("model_type")), 40)


def float32_bytes(run: TunedRun) -> int:
    """Give what the model takes once in float32, in which proofs are computed."""
    return FLOAT32 * weights_of(run)


def words_of(run: TunedRun) -> int:
    """Count the tokens that the base tells apart; 0: it doesn't say."""
    config = run.model.config
    text = config.get("text_config")
    words = config.get("vocab_size", text.get("vocab_size") if isinstance(text, dict) else None)
    return words if isinstance(words, int) else 0


def logits_bytes(run: TunedRun) -> int:
    """Give what a proof keeps on disk meanwhile: logits in float32, at the end of each prompt and along its answer."""
    return FLOAT32 * PROMPTS * (ANSWER_TOKENS + 1) * words_of(run)


def asking_bytes(run: TunedRun) -> int:
    """Estimate what a proof takes of memory beside the model: logits, and what attention keeps of a text."""
    return 8 * AT_ONCE * words_of(run) * (ANSWER_TOKENS + 1) + AT_ONCE * LONGEST * 2**16


def merging_memory(run: TunedRun) -> int:
    """Estimate what merging and its proof take of memory, as the job itself does when it knows the weights."""
    shape = run.model.shape
    largest = 0 if shape is None else shape.vocabulary * shape.hidden
    adapter = sum(path.stat().st_size for path in run.adapter.rglob("*.safetensors"))
    return int(LOADING * float32_bytes(run)) + MERGED_COPIES * FLOAT32 * largest + 2 * adapter + asking_bytes(run)


def lora_bytes(run: TunedRun, rank: int) -> int:
    """Give what a LoRA adapter of a rank takes in float32 on all linear maps; 0: the shape isn't known."""
    shape = run.model.shape
    if shape is None:
        return 0
    sizes = ((block.count, *size) for block in shape.blocks for size in block.matrices.values())
    return FLOAT32 * sum(layers * min(rank, d_out, d_in) * (d_out + d_in) for layers, d_out, d_in in sizes)
