"""One base model for run after run of a process: loaded once, and given again where it is what it was, bit for bit."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pegbox_methods.recipe import Recipe
from pegbox_runs.judging.judged import Judgement
from pegbox_runs.models import SMALL_FILES
from pegbox_worker.as_loaded import AsLoaded
from pegbox_worker.assembly import Base, WantedBase, load_base, wanted_base
from pegbox_worker.memory import forget_peaks, free_unused


@dataclass(frozen=True)
class _Kept:
    """What lies on the shelf."""

    key: tuple[object, ...]
    as_loaded: AsLoaded
    tokenizer: Any
    """As it was loaded; a run gets a copy."""


class BaseShelf:
    """Where runs get their base model from. With `keeps`, one lies here between runs; else each is loaded anew."""

    def __init__(self, *, keeps: bool = False) -> None:
        self.judgements: dict[str, Judgement] = {}
        """What base models were judged to be, by all that such a judgement hangs on."""
        self.loaded = 0
        """How many were loaded."""
        self.shared = 0
        """How often one was given again."""
        self._keeps = keeps
        self._kept: _Kept | None = None

    def base(self, recipe: Recipe, device: torch.device) -> Base:
        """Give a recipe's base model, without a method; nobody may use what was given before any more.

        One that is kept is given again if it is the one that is asked for, and no bit of its weights has changed.
        Raises: Refusal.
        """
        if not self._keeps:
            self.loaded += 1
            return load_base(recipe, device)
        wanted = wanted_base(recipe, device)
        base = self._again(wanted, device) or self._anew(recipe, wanted, device)
        forget_peaks(device)
        return base

    def put_back(self) -> None:
        """Take the method off the model that was given, and free what the run has left behind."""
        if self._kept is not None:
            self._kept.as_loaded.take_off()
        free_unused()

    def _again(self, wanted: WantedBase, device: torch.device) -> Base | None:
        if self._kept is None:
            return None
        if self._kept.key != _key(wanted, device):
            print("the base model that is kept isn't the one that this run asks for")
            return None
        self._kept.as_loaded.take_off()
        if not self._kept.as_loaded.intact():
            print("the run before has changed the base model's weights")
            return None
        print("the base model of the run before is unchanged, and serves this run too")
        self.shared += 1
        model, tokenizer = self._kept.as_loaded.model, copy.deepcopy(self._kept.tokenizer)
        return Base(model, tokenizer, wanted.card, wanted.number_format)

    def _anew(self, recipe: Recipe, wanted: WantedBase, device: torch.device) -> Base:
        if self._kept is not None:
            self._kept = None  # before the next one is loaded: two might not fit
            free_unused()
        base = load_base(recipe, device, wanted)
        self.loaded += 1
        self._kept = _Kept(_key(wanted, device), AsLoaded(base.model), copy.deepcopy(base.tokenizer))
        return base


def _key(wanted: WantedBase, device: torch.device) -> tuple[object, ...]:
    """Name all that decides what is loaded: the files as they are now, and how they are read."""
    found, numbers = wanted.found, wanted.number_format
    files = [file for pattern in (*SMALL_FILES, "*.safetensors") for file in sorted(found.folder.glob(pattern))]
    if wanted.chat_template is not None:
        files.append(Path(wanted.chat_template).expanduser())
    stamps = tuple((file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files)
    place = (str(found.folder), found.reference, wanted.chat_template)
    return (*place, stamps, numbers.weights, numbers.compute, wanted.packs, str(device))
