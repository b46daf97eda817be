"""What merging and proving take of memory, said before they begin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from pegbox_hardware.memory import read_memory
from pegbox_methods.refusal import Refusal
from pegbox_runs.artefacts.weight_files import StoredTensor
from pegbox_runs.exporting.needs import FLOAT32, LOADING, MERGED_COPIES, asking_bytes
from pegbox_runs.figures import size
from pegbox_runs.tuned import TunedRun
from pegbox_worker.merge.sources import ByMaps, Whole, adapter_file_bytes


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
    largest = MERGED_COPIES * FLOAT32 * max(weights, default=0)
    beside = 2 * adapter_file_bytes(run) + asking_bytes(run)
    return Need(
        merging=source.memory_bytes,
        proving={
            torch.float32: int(LOADING * FLOAT32 * sum(weights)) + largest + beside,
            torch.bfloat16: max(int(LOADING * 2 * sum(weights)), source.memory_bytes + largest) + beside,
        },
        free=read_memory().available,
    )


def refuse_too_little_memory(need: Need) -> None:
    """Raises: Refusal: merging needs more than is free."""
    if need.merging > need.free:
        raise Refusal(
            f"merging needs about {size(need.merging)} of memory, and {size(need.free)} are free. Close other "
            "programs, or merge on a machine with more."
        )
