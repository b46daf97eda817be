"""The models of a chat in memory: a base model once, and on it as many adapters as there are runs.

Every run gets modules of its own, which hold the base's weights and not copies of them. So each adapter is put on by
its own method's `load`, whatever that does to modules, and none has to be switched off for another to speak: nothing
passes from one lane to the next. PEFT's way, several adapters in one PeftModel, holds one kind of adapter at a time,
and leaves out what a method's `load` adds to PEFT's.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, cast

import torch
from torch import nn

from pegbox_methods.abilities import packs_base
from pegbox_methods.events import Progress
from pegbox_methods.refusal import Refusal
from pegbox_runs.chatting.records import BASE, Lane
from pegbox_runs.tuned import PEFT_CONFIG, TunedRun
from pegbox_worker.base_model import end_tokens, load_tokenizer
from pegbox_worker.row_tokenizer import FastRowTokenizer
from pegbox_worker.tuned_model import format_of, load_base_of, put_on

TAKES_FROM_BASE = ("pissa", "olora", "corda", "loftq")
"""Beginnings of LoRA, by `init_lora_weights`, at which PEFT takes a part out of the base's weights."""


@dataclass(frozen=True)
class Voice:
    """A model that can answer."""

    lane: str
    model: Any
    tokenizer: Any
    ends: frozenset[int]
    """The tokens that end an answer."""
    context: int | None
    """Tokens, prompt and answer together; None: the model doesn't say."""
    compute: torch.dtype
    """The number format that its run computed in."""
    packed: bool
    shares: bool
    rows: FastRowTokenizer = field(init=False)
    """The tokenizer as the rows of a training see it, with the run's template."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", FastRowTokenizer(self.tokenizer, self.ends))

    @property
    def told(self) -> Lane:
        """Describe it to whoever asked for it."""
        return Lane(lane=self.lane, context=self.context, packed=self.packed, shares=self.shares)


class Choir:
    """Loads voices. Runs whose base is held in one form share it; the first run's is the base lane's."""

    def __init__(self, device: torch.device, told: Callable[[Progress], None]) -> None:
        self._device = device
        self._told = told
        self._bases: dict[tuple[bool, torch.dtype], tuple[nn.Module, Any]] = {}

    def voices(self, runs: Sequence[TunedRun]) -> tuple[Voice, ...]:
        """Load the base and all runs.

        Raises: Refusal: a run's method can't be loaded, or its adapter doesn't fit.
        """
        self._told(Progress(doing="loading the base model", done=0, of=1 + len(runs)))
        model, tokenizer = self._base_of(runs[0])
        found = [self._voice(BASE, model, model, tokenizer, runs[0], shares=True)]
        for number, run in enumerate(runs, start=1):
            self._told(Progress(doing=f"loading {run.id}", done=number, of=1 + len(runs)))
            found.append(self._voice_of(run))
        return tuple(found)

    def _base_of(self, run: TunedRun) -> tuple[nn.Module, Any]:
        """Give the base in the form that a run was trained on; loaded for the first one that asks."""
        form = packs_base(run.recipe, run.card), format_of(run, self._device).weights
        if form not in self._bases:
            self._bases[form] = load_base_of(run, device=self._device)
        return self._bases[form]

    def _voice_of(self, run: TunedRun) -> Voice:
        """Put a run's adapter on modules of its own. Raises: Refusal."""
        base, _ = self._base_of(run)
        tokenizer = load_tokenizer(run.model, run.recipe.model)
        if _changes_base(run):
            tuned = put_on(run, copy.deepcopy(base), tokenizer, self._device)
            return self._voice(run.id, tuned.model, base, tokenizer, run, shares=False)
        before = _mark(base)
        tuned = put_on(run, modules_of(base), tokenizer, self._device)
        if _mark(base) != before:
            raise Refusal(
                f'the method "{run.card.name}" says that it leaves the base model\'s weights as they are, and changed '
                f"them when {run.id} was loaded. Talk to it alone after its card was mended."
            )
        first, _ = next(iter(self._bases.values()))
        return self._voice(run.id, tuned.model, base, tokenizer, run, shares=base is first)

    def _voice(self, lane: str, model: Any, base: Any, tokenizer: Any, run: TunedRun, *, shares: bool) -> Voice:
        model.eval()
        return Voice(
            lane,
            model,
            tokenizer,
            end_tokens(base) | {tokenizer.eos_token_id},
            _context(base, model),
            format_of(run, self._device).compute,
            packs_base(run.recipe, run.card),
            shares,
        )


def modules_of(model: nn.Module) -> nn.Module:
    """Copy a model's modules; its weights and buffers are in both, once in memory."""
    held = {id(weight): weight for weight in chain(model.parameters(), model.buffers())}
    for weight in model.parameters():
        state = getattr(weight, "quant_state", None)  # bitsandbytes keeps it at the weight and at its map
        if state is not None:
            held[id(state)] = state
    return cast(nn.Module, copy.deepcopy(model, cast(Any, held)))


def _context(base: Any, model: Any) -> int | None:
    """Count the positions that a prompt and its answer may take; learned tokens before a prompt take some."""
    positions = getattr(base.config.get_text_config(), "max_position_embeddings", None)
    if not isinstance(positions, int):
        return None
    learned = (
        getattr(getattr(model, "active_peft_config", None), "num_virtual_tokens", None) if model is not base else 0
    )
    return positions - (learned or 0)


def _changes_base(run: TunedRun) -> bool:
    """Tell whether loading a run's adapter changes the base's own weights."""
    if not run.is_peft:
        return "base" in run.card.cannot
    begun = json.loads((run.adapter / PEFT_CONFIG).read_text(encoding="utf-8")).get("init_lora_weights")
    return isinstance(begun, str) and begun.startswith(TAKES_FROM_BASE)


def _mark(model: nn.Module) -> list[tuple[int, int]]:
    """Tell of each weight where it lies and how often it was written to."""
    return [(weight.data_ptr(), weight._version) for weight in model.parameters()]
