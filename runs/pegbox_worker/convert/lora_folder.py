"""Writing a change of weights as PEFT's two files of a plain LoRA adapter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from peft import LoraConfig
from peft.utils import SAFETENSORS_WEIGHTS_NAME
from safetensors.torch import save_file

from pegbox_runs.exporting.conversion import EXACT, MOST_RANK, SHARE, MadeLora
from pegbox_runs.tuned import TunedRun
from pegbox_worker.convert.change import Change
from pegbox_worker.convert.factors import FIRST_RANK, Factors, factors_of

WHERE_PEFT_PUTS_IT = "base_model.model"


def make_lora(
    run: TunedRun,
    folder: Path,
    rank: int | float | None,
    device: torch.device,
    heard: Callable[[int, int], None],
) -> MadeLora:
    """Write a run's change as LoRA of one rank for all matrices, alpha the same: no server scales that otherwise.

    Servers scale all matrices by one number, so that ranks of their own would be scaled wrongly there.
    `heard`: called with the matrices done and those in all.
    Raises: Refusal: what the run changed can't be LoRA.
    """
    torch.manual_seed(0)  # the search draws
    change = Change(run)
    wanted = rank if isinstance(rank, int) else None
    found: dict[str, Factors] = {}
    for name, matrix in change.of_each():
        found[name] = factors_of(matrix.to(device), wanted, MOST_RANK)
        heard(len(found), len(change.names))
    taken = wanted or _rank_of_all(found, SHARE if rank is None else rank, exactly=rank is None)
    taken = min(taken, max(len(one.kept) for one in found.values()))
    tensors = {}
    for name, one in found.items():
        tensors[f"{WHERE_PEFT_PUTS_IT}.{name}.lora_A.weight"], tensors[f"{WHERE_PEFT_PUTS_IT}.{name}.lora_B.weight"] = (
            part.contiguous() for part in one.cut(taken)
        )
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=taken,
        lora_alpha=taken,
        target_modules=change.targets,
        fan_in_fan_out=change.transposed,
        base_model_name_or_path=run.model.reference,
        inference_mode=True,
    )
    save_file(tensors, folder / SAFETENSORS_WEIGHTS_NAME)
    config.save_pretrained(str(folder))  # last: with it, PEFT takes the folder for an adapter
    return MadeLora(rank=taken, kept=min(one.held_by(taken) for one in found.values()), matrices=len(found))


def _rank_of_all(found: dict[str, Factors], share: float, *, exactly: bool) -> int:
    """Give the least rank at which each matrix keeps a share of its energy, or all of it where that is low enough."""
    if exactly:
        whole = max(one.rank_for(EXACT) or MOST_RANK for one in found.values())
        if whole <= FIRST_RANK:
            return whole
    return max(one.rank_for(share) or len(one.kept) for one in found.values())
