"""A run's two models one after the other, and how either is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal

from pegbox_runs.tuned import TunedRun
from pegbox_worker.answering import answers
from pegbox_worker.assembly import quiet
from pegbox_worker.evaluation.look import answers_at_once
from pegbox_worker.evaluation.sides import Sides
from pegbox_worker.row_losses import in_use
from pegbox_worker.tuned_model import device_for_use

Name = Literal["base", "tuned"]


@dataclass(frozen=True)
class Side:
    """One of the two, ready for use until the next one is asked for."""

    name: Name
    model: Any
    both: Sides
    run: TunedRun

    @property
    def tokenizer(self) -> Any:
        """The run's."""
        return self.both.tokenizer

    def in_use(self) -> AbstractContextManager[None]:
        """Compute in the run's number format while this lasts."""
        return in_use(self.model, self.both.number_format.compute, self.both.device)

    def answers(
        self, prompts: Sequence[list[int]], *, tokens: int, batch: int | None, on_done: Callable[[int], None]
    ) -> list[str]:
        """Answer prompts greedily. Raises: OutOfMemoryAt: a single one is too much."""
        with self.in_use():
            found = answers(
                self.model,
                prompts,
                tokens=tokens,
                padding=self.tokenizer.pad_token_id,
                ends=self.both.ends,
                batch=batch or answers_at_once(self.both.device),
                device=self.both.device,
                on_done=on_done,
            )
        return [text.strip() for text in self.tokenizer.batch_decode(found, skip_special_tokens=True)]


def sides(run: TunedRun) -> Iterator[Side]:
    """Give the base, and when it isn't looked at any more the tuned model. Raises: Refusal."""
    quiet()
    both = Sides(run, device_for_use())
    with both.base() as model:
        yield Side("base", model, both, run)
    with both.tuned() as model:
        yield Side("tuned", model, both, run)
