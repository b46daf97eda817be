"""The two models: the base as the run's method holds it, and the tuned one. At most one base is in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import nn

from pegbox_methods.abilities import packs_base
from pegbox_runs.tuned import TunedRun
from pegbox_worker.answering import answers
from pegbox_worker.base_model import end_tokens
from pegbox_worker.memory import free_unused
from pegbox_worker.precision import NumberFormat
from pegbox_worker.row_losses import in_use
from pegbox_worker.tuned_model import TunedModel, format_of, load_base_of, put_on


class Sides:
    """Gives the base first, before anything is put on it, and after that either."""

    def __init__(self, run: TunedRun, device: torch.device) -> None:
        """Load the base. Raises: Refusal."""
        self.device = device
        self._run = run
        self.number_format: NumberFormat = format_of(run, device)
        self._base: nn.Module | None
        self.tokenizer: Any
        self._base, self.tokenizer = load_base_of(run, device=device)
        self.ends = frozenset({self.tokenizer.eos_token_id, *end_tokens(self._base)})
        self._tuned: TunedModel | None = None

    @property
    def weights(self) -> str:
        """In which format the base's weights are held."""
        packs = packs_base(self._run.recipe, self._run.card)
        return "nf4" if packs else str(self.number_format.weights).removeprefix("torch.")

    @contextmanager
    def base(self) -> Iterator[Any]:
        """Lend the base; where the adapter can't be put aside, it is loaded once more, and the tuned one let go.

        Raises: Refusal.
        """
        if self._tuned is not None and self._tuned.can_show_base:
            with self._tuned.as_base() as model:
                yield model
            return
        if self._base is None:
            self._tuned = None
            free_unused()
            self._base, _ = load_base_of(self._run, device=self.device)
        yield self._base

    @contextmanager
    def tuned(self) -> Iterator[Any]:
        """Lend the tuned model.

        Raises: Refusal: the adapter doesn't fit the base.
        """
        if self._tuned is None:
            with self.base() as base:
                self._base = None
                self._tuned = put_on(self._run, base, self.tokenizer, self.device)
        yield self._tuned.model

    def in_use(self, model: Any) -> AbstractContextManager[None]:
        """Compute in the run's number format with either model while this lasts."""
        return in_use(model, self.number_format.compute, self.device)

    def answers(
        self,
        model: Any,
        prompts: Sequence[list[int]],
        *,
        tokens: int,
        batch: int | None,
        on_done: Callable[[int], None],
    ) -> list[str]:
        """Let either model answer prompts greedily, in their order. `batch`: None: as many as suits the device.

        Raises: OutOfMemoryAt: a single one is too much.
        """
        with self.in_use(model):
            found = answers(
                model,
                prompts,
                tokens=tokens,
                padding=self.tokenizer.pad_token_id,
                ends=self.ends,
                batch=batch or answers_at_once(self.device),
                device=self.device,
                on_done=on_done,
            )
        return [text.strip() for text in self.tokenizer.batch_decode(found, skip_special_tokens=True)]


def answers_at_once(device: torch.device) -> int:
    """Give how many questions are answered at once, unless somebody says."""
    return ANSWERS_ON_GPU if device.type == "cuda" else ANSWERS_ON_CPU


ANSWERS_ON_GPU = 32
ANSWERS_ON_CPU = 16
"""From here on more rows at once gain little on a CPU, and wait longer for the longest answer among them."""
