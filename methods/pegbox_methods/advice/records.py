"""What advice is made of, as records that go into JSON as they are."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from pegbox_hardware.forecast.memory import Forecast
from pegbox_hardware.forecast.time import Cost, TimeForecast
from pegbox_hardware.profile_rows import Accelerator, CardRow, Policy
from pegbox_methods.advice.data_card import DataCard
from pegbox_methods.advice.goals import Goal


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """The one device that is advised for, and what the profile table says of it. Memory in bytes."""

    name: str
    accelerator: Accelerator
    capability: tuple[int, int] | None
    memory_total: int
    memory_free: int
    """Now, for a device of this machine; all of it, for one that is planned for."""
    margin: float
    """Share of the memory that stays free above the safe forecast."""
    policy: Policy
    card: CardRow | None
    """None: the table has no speeds for it."""
    planned: bool = False
    """It isn't in this machine."""
    bf16: bool = False
    """It computes in bfloat16."""
    uuid: str | None = None
    """What CUDA_VISIBLE_DEVICES must name for the run to use it; None: the run uses it anyway."""
    held_by: str | None = None
    """Who holds the rest of its memory, in words."""
    notes: tuple[str, ...] = ()

    @property
    def usable_bytes(self) -> int:
        """Give what a run may count on: the free memory without the margin."""
        return max(0, self.memory_free - round(self.margin * self.memory_total))


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """One advised value."""

    key: str
    """As in a recipe, where a recipe has it: `training.length`."""
    value: Any
    why: str
    source: str


class Alternative(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was considered and not taken."""

    kind: Literal["method", "setting"]
    what: str
    fits: bool | None
    """None: it wasn't forecast, as it can't be used here."""
    safe_bytes: int | None
    margin_bytes: int | None
    """What would be left of the usable memory; below 0: what is lacking."""
    tokens_per_second: float | None
    lost_because: str
    source: str


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A change after which it would fit, the smallest of its kind."""

    what: str
    consequence: str
    overrides: dict[str, Any] = {}
    """As `--set` takes them, where it is a matter of the recipe."""


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """The recommendation for one model, one device, one goal."""

    fits: bool
    """False: nothing does; what follows is the leanest setting there is, and `changes` says what would help."""
    model_weights: int
    architecture: str
    place: Place
    goal: Goal
    data: DataCard | None
    method: str
    settings: dict[str, dict[str, Any]]
    """Tables of a recipe: method, training, evaluation, split."""
    choices: tuple[Choice, ...]
    memory: Forecast
    margin_bytes: int
    """What is left of the usable memory; below 0: what is lacking."""
    effective_batch: int
    """Rows in a step: micro-batch times accumulation, whatever the device."""
    steps: int | None
    """Optimizer steps; None: nothing is known of the rows."""
    time: TimeForecast | None
    """Of the whole run; of a million tokens where nothing is known of the rows. None: `time_unknown` says why."""
    time_unknown: str | None
    cost: Cost | None
    alternatives: tuple[Alternative, ...]
    unranked: tuple[str, ...]
    """Methods that are installed too, and that the device's profile doesn't rank: they weren't priced."""
    changes: tuple[Change, ...]
    warnings: tuple[str, ...]
