"""What a run changed in its base model's weights, matrix by matrix, whatever the method calls it.

PEFT's `convert_to_lora` asks each layer for its delta. LoRA's layer leaves DoRA's magnitudes out of that without a
word, OFT, BOFT, HRA, IA3 and SHiRA give none, and a guest's method isn't asked at all (peft 0.21). The difference of
the merged model and the base is right for all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from pegbox_methods.refusal import Refusal
from pegbox_runs.tuned import TunedRun
from pegbox_worker.tuned_model import load_base_of, load_tuned

CPU = torch.device("cpu")


class Change:
    """A merged model beside its base, both in float32 on the CPU: 8 bytes a weight."""

    def __init__(self, run: TunedRun) -> None:
        """Load both. Raises: Refusal: the method can't be merged; it changes what no LoRA adapter holds."""
        tuned = load_tuned(run, device=CPU, weights=torch.float32, packed=False)
        merged = tuned.half.merge(tuned.model)
        base, self.tokenizer = load_base_of(run, device=CPU, weights=torch.float32, packed=False)
        self._base = base
        self._merged = dict(merged.named_parameters())
        self.names = tuple(_changed(run, base, self._merged))

    @property
    def transposed(self) -> bool:
        """Whether any changed matrix is one of GPT-2's, kept as (d_in, d_out)."""
        return any(isinstance(self._base.get_submodule(name), Conv1D) for name in self.names)

    @property
    def targets(self) -> list[str]:
        """Name the changed matrices for PEFT: by their last names, where those mean no other."""
        last = sorted({name.rpartition(".")[2] for name in self.names})
        meant = [name for name, part in self._base.named_modules() if _is_matrix(part) and name.split(".")[-1] in last]
        return last if set(meant) == set(self.names) else list(self.names)

    def of_each(self) -> Iterator[tuple[str, Tensor]]:
        """Give each changed matrix's change, (d_out, d_in) in float32. Each is given once, and forgotten."""
        for name in self.names:
            part: Any = self._base.get_submodule(name)
            change = self._merged.pop(f"{name}.weight").detach() - part.weight.detach()
            yield name, change.T if isinstance(part, Conv1D) else change


def _is_matrix(part: nn.Module) -> bool:
    return isinstance(part, (nn.Linear, Conv1D))


def _changed(run: TunedRun, base: nn.Module, merged: dict[str, nn.Parameter]) -> Iterator[str]:
    """Name the changed matrices in order. Raises: Refusal: something else was changed too, or nothing was."""
    tables = {id(part.weight) for part in base.modules() if isinstance(part, nn.Embedding)}
    found = [name for name, weight in base.named_parameters() if not torch.equal(weight, merged[name])]
    for name in found:
        path, _, kind = name.rpartition(".")
        part = base.get_submodule(path)
        if kind != "weight" or not _is_matrix(part) or id(cast(Any, part).weight) in tables:
            raise Refusal(
                f"{run.id}: {run.card.title} changed {name}, and a LoRA adapter changes linear maps alone. Merge it: "
                f"`pegbox merge {run.id}`."
            )
    if not found:
        raise Refusal(f"{run.id}: its adapter changes no weight of the base model, so there is nothing to convert.")
    yield from (name.removesuffix(".weight") for name in found)
