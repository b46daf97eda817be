"""What advice is made of, as records that go into JSON as they are."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from pegbox_hardware.forecast.communication import Communication
from pegbox_hardware.forecast.cost import Cost
from pegbox_hardware.forecast.host import HostMemory
from pegbox_hardware.forecast.memory import Forecast
from pegbox_hardware.forecast.time import SpeedUp, TimeForecast
from pegbox_hardware.profile_rows import Accelerator, CardRow, LinkRow, Policy
from pegbox_methods.advice.data_card import DataCard
from pegbox_methods.advice.goals import Goal


class Team(msgspec.Struct, frozen=True, kw_only=True):
    """Devices like one, that could carry a run together with it. Their memory never adds up."""

    devices: int
    """In all, itself among them."""
    nodes: int = 1
    """Machines, each with as many of them."""
    at_one: int = 0
    """The most that a single machine has, where that is more."""
    memory_free: int
    """Bytes, of the one that has least."""
    frees: tuple[int, ...] = ()
    """Of each, those with the most first; empty where they aren't in this machine."""
    link: LinkRow
    """Between two of one machine."""
    network: LinkRow | None = None
    """Between machines."""
    uuids: tuple[str, ...] = ()
    """What CUDA_VISIBLE_DEVICES must name, those with the most room first; empty where they aren't in this machine."""
    asked: bool = False
    """The person named the number: then it is that, or one."""

    def least_free(self, processes: int) -> int:
        """Give the free bytes of the fullest device of a run of so many processes, which takes the emptiest."""
        return self.frees[processes - 1] if 0 < processes <= len(self.frees) else self.memory_free

    def nodes_for(self, processes: int) -> int | None:
        """Give the fewest machines that so many processes part alike; None: they can't."""
        each = self.devices // self.nodes
        if processes <= self.at_one:
            return 1
        return next((n for n in range(1, self.nodes + 1) if processes % n == 0 and processes // n <= each), None)

    def between(self, processes: int) -> LinkRow:
        """Give the slowest link that such a run goes over."""
        spread = (self.nodes_for(processes) or self.nodes) > 1
        return self.network if spread and self.network is not None else self.link


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """The device that is advised for, or each of several, and what the profile table says of it. Memory in bytes."""

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
    team: Team | None = None
    """None: there is no other like it, or none that may be used with it."""
    left_out: tuple[str, ...] = ()
    """Devices that can't be used together with it, and why, a sentence each."""
    ram_total: int | None = None
    """Of its machine; None: that isn't this one."""
    ram_free: int | None = None
    cores: int | None = None
    """Of this machine's processor, where that is the device."""

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


class DevicePlan(msgspec.Struct, frozen=True, kw_only=True):
    """Several devices that carry one run. Each must hold the memory forecast by itself."""

    engine: Literal["ddp", "fsdp2"]
    processes: int
    """One a device."""
    nodes: int
    uuids: tuple[str, ...]
    """As a team's; those that are taken."""
    why: str
    speed_up: SpeedUp | None
    """Against one of them. None: none can carry it alone, or their speed isn't known."""
    communication: Communication | None
    """Of an optimizer step; None: the devices' speed isn't known."""
    host: HostMemory | None = None
    """RAM that those of one machine take while the base model loads. None: it wasn't forecast."""
    stops_paying: str = ""
    """Why more of them, or these, are hardly worth it; empty: they are."""


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """The recommendation for one model, one kind of device, one goal."""

    fits: bool
    """False: nothing does; what follows is the leanest setting there is, and `changes` says what would help."""
    model_weights: int
    architecture: str
    place: Place
    goal: Goal
    data: DataCard | None
    method: str
    settings: dict[str, dict[str, Any]]
    """Tables of a recipe: method, training, evaluation, split; devices where there are several."""
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
    devices: DevicePlan | None = None
    """None: one device."""
