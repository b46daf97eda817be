"""A run's two models one after the other, and how either is asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal

from pegbox_runs.tuned import TunedRun
from pegbox_worker.assembly import quiet
from pegbox_worker.evaluation.sides import Sides
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
        return self.both.in_use(self.model)


def sides(run: TunedRun) -> Iterator[Side]:
    """Give the base, and when it isn't looked at any more the tuned model. Raises: Refusal."""
    quiet()
    both = Sides(run, device_for_use())
    with both.base() as model:
        yield Side("base", model, both, run)
    with both.tuned() as model:
        yield Side("tuned", model, both, run)
