"""What merging and proving take of memory, and a proof of the disk, said before they begin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from pegbox_hardware.memory import read_memory
from pegbox_methods.refusal import Refusal
from pegbox_runs.artefacts.weight_files import StoredTensor
from pegbox_runs.figures import size
from pegbox_runs.tuned import TunedRun
from pegbox_worker.merge.sources import ByMaps, Whole, adapter_file_bytes
from pegbox_worker.proof_prompts import ANSWER_TOKENS, LONGEST, PROMPTS
from pegbox_worker.proving import BATCH

LOADING = 1.1
"""A model takes so much more while it is loaded and asked than its weights do."""
MERGED_COPIES = 4
"""Of the largest matrix in float32, while it is compared."""


@dataclass(frozen=True)
class Need:
    """Bytes of memory beside what Python and its libraries take."""

    merging: int
    proving: dict[torch.dtype, int]
    """By the number format in which the models are computed, the best first."""
    free: int

    @property
    def sentence(self) -> str:
        """Say it for people."""
        proof = next(iter(self.proving.values()))
        return (
            f"merging needs about {size(self.merging)} of memory, proving it about {size(proof)}; {size(self.free)} "
            "are free"
        )

    @property
    def no_proof(self) -> str:
        """Say why nothing can be proven here, and how it can be later."""
        least = list(self.proving.values())[-1]
        return (
            f"a proof needs {size(least)} of memory, and {size(self.free)} are free: give the same command again where "
            "there is more, and it proves what is there."
        )

    def proof_format(self) -> torch.dtype | None:
        """Choose in which number format memory lets the proof be computed; None: in none."""
        return next((dtype for dtype, needed in self.proving.items() if needed <= self.free), None)


def need_of(run: TunedRun, source: ByMaps | Whole, stored: Mapping[str, StoredTensor]) -> Need:
    """Estimate what a merge takes, and read what is free now."""
    weights = [one.count for one in stored.values() if one.is_weight]
    asked = 8 * BATCH * _words(run) * (ANSWER_TOKENS + 1) + BATCH * LONGEST * 2**16
    largest = MERGED_COPIES * 4 * max(weights, default=0)
    beside = 2 * adapter_file_bytes(run) + asked
    return Need(
        merging=source.memory_bytes,
        proving={
            torch.float32: int(LOADING * 4 * sum(weights)) + largest + beside,
            torch.bfloat16: max(int(LOADING * 2 * sum(weights)), source.memory_bytes + largest) + beside,
        },
        free=read_memory().available,
    )


def proof_disk_bytes(run: TunedRun) -> int:
    """Count what the logits take that a proof keeps aside."""
    return PROMPTS * (ANSWER_TOKENS + 1) * 4 * _words(run)


def _words(run: TunedRun) -> int:
    """Read how many tokens the model tells apart; 0: its config doesn't say."""
    config = run.model.config
    text = config.get("text_config")
    words = config.get("vocab_size", text.get("vocab_size") if isinstance(text, dict) else None)
    return words if isinstance(words, int) else 0


def refuse_too_little_memory(need: Need) -> None:
    """Raises: Refusal: merging needs more than is free."""
    if need.merging > need.free:
        raise Refusal(
            f"merging needs about {size(need.merging)} of memory, and {size(need.free)} are free. Close other "
            "programs, or merge on a machine with more."
        )
