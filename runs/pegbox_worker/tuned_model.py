"""A run's model as it was trained, loaded again: the base, the adapter on it, and how to see past the adapter."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from peft import PeftModel
from safetensors import SafetensorError, safe_open
from torch import nn

from pegbox_methods.abilities import packs_base
from pegbox_methods.refusal import Refusal
from pegbox_methods.torch_half import TorchHalf, load_torch_half
from pegbox_runs.printable import one_line
from pegbox_runs.tuned import PEFT_CONFIG, TunedRun
from pegbox_worker.assembly import quiet
from pegbox_worker.base_model import admit_bitsandbytes, fetch, load_model, load_packed_model, load_tokenizer
from pegbox_worker.out_of_memory import device_ran_out, machine_ran_out
from pegbox_worker.precision import NumberFormat, decide

STATE_DICT = "in loading state_dict for"
"""Of torch's message where weights don't fit a model."""
MOST_SAID = 200
"""Characters of what a library says."""


@dataclass(frozen=True)
class TunedModel:
    """A base model in memory with a run's adapter on it, ready for use: nothing trains."""

    model: nn.Module
    tokenizer: Any
    half: TorchHalf
    device: torch.device

    @property
    def can_show_base(self) -> bool:
        """Whether the base can be seen below the adapter without loading it once more."""
        return isinstance(self.model, PeftModel)

    @contextmanager
    def as_base(self) -> Iterator[nn.Module]:
        """Put the adapter aside, and let the base model answer.

        Raises: TypeError: the method changed the base's own weights; see `can_show_base`.
        """
        if not self.can_show_base:
            raise TypeError("this adapter can't be put aside")
        with cast(PeftModel, self.model).disable_adapter():
            yield self.model


def device_for_use() -> torch.device:
    """Take the GPU that this process was shown, or the CPU."""
    return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")


def load_base_of(
    run: TunedRun, *, device: torch.device, weights: torch.dtype | None = None, packed: bool | None = None
) -> tuple[nn.Module, Any]:
    """Load a run's base model and its tokenizer, in the mode for use; nothing is attached to it.

    `weights`: the number format of what isn't packed; None: as the run computed on such a device. `packed`: in 4 bits;
    None: as it was trained.
    Raises: Refusal.
    """
    quiet()
    packs = packs_base(run.recipe, run.card) if packed is None else packed
    if packs:
        admit_bitsandbytes()
    found = fetch(run.recipe.model)
    number_format = format_of(run, device)
    dtype = weights or number_format.weights
    if packs:
        model = load_packed_model(found, dtype, weights or number_format.compute, device)
    else:
        model = load_model(found, dtype, device)
    return model.eval().requires_grad_(False), load_tokenizer(found, run.recipe.model)


def load_tuned(
    run: TunedRun, *, device: torch.device, weights: torch.dtype | None = None, packed: bool | None = None
) -> TunedModel:
    """Load a run's base model with its adapter on it; arguments as for `load_base_of`.

    Raises: Refusal.
    """
    base, tokenizer = load_base_of(run, device=device, weights=weights, packed=packed)
    return put_on(run, base, tokenizer, device)


def put_on(run: TunedRun, base: nn.Module, tokenizer: Any, device: torch.device) -> TunedModel:
    """Put a run's adapter on a base model that is in memory already; the base may be changed in place.

    Raises: Refusal: it doesn't fit: it is an adapter of another base, or damaged.
    """
    half = load_torch_half(run.card)
    try:
        model = half.load(base, run.adapter)
    except SafetensorError as error:
        raise Refusal(f"{_broken_in(run.adapter)}: is damaged. {_put_back(run)}") from error
    except json.JSONDecodeError as error:
        raise Refusal(f"{run.adapter / PEFT_CONFIG}: is damaged: it isn't JSON any more. {_put_back(run)}") from error
    except (RuntimeError, KeyError, ValueError) as error:
        if device_ran_out(error) or machine_ran_out(error):
            raise
        raise Refusal(
            f"{run.adapter}: doesn't fit its base model ({_misfit(error)}): it is of another base, or damaged. "
            f"{_put_back(run)}"
        ) from error
    return TunedModel(model.to(device).eval().requires_grad_(False), tokenizer, half, device)


def _broken_in(adapter: Path) -> Path:
    """Find the file of an adapter that can't be read; the folder, where each can."""
    for file in sorted(adapter.rglob("*.safetensors")):
        try:
            with safe_open(file, framework="pt") as weights:
                weights.keys()
        except (SafetensorError, OSError):
            return file
    return adapter


def _put_back(run: TunedRun) -> str:
    return f"Put back the adapter that {run.id} made, from a copy or a capsule of it, or train it again."


def _misfit(error: Exception) -> str:
    """Say in a few words what an adapter and a model have different; torch's own list runs over pages."""
    said = str(error)
    if STATE_DICT not in said:
        return one_line(said, MOST_SAID)
    shape = re.search(r"size mismatch for ([^\s:]+)", said)
    return f"{one_line(shape[1], MOST_SAID)} has another shape there" if shape else "its weights have other names there"


def format_of(run: TunedRun, device: torch.device) -> NumberFormat:
    """Give the number format that the run's recipe means on this device."""
    return decide(run.recipe.training.precision, device)
