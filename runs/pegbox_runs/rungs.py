"""The settings that a training could go on with in less memory, each with what the forecast says of it.

Imports the forecast, so only whoever re-plans imports this.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from itertools import product
from typing import Any

import msgspec

from pegbox_hardware.forecast.host import HostMemory
from pegbox_hardware.forecast.memory import Forecast, Learned, forecast_memory
from pegbox_hardware.forecast.setup import TrainingSetup
from pegbox_hardware.forecast.time import TimeForecast, forecast_time
from pegbox_hardware.gpu import Gpu
from pegbox_hardware.machine import Machine, probe
from pegbox_hardware.profiles import PACKAGED, BadProfiles, Profiles, load_profiles
from pegbox_hardware.shape import ModelShape
from pegbox_methods.advice.kinds import KindPrice, best_kind
from pegbox_methods.advice.places import kinds_for, places_of
from pegbox_methods.advice.pricing import FILLING, STACKS, UNCHECKPOINTED, on_processor
from pegbox_methods.advice.ram import ram_of
from pegbox_methods.advice.records import Place
from pegbox_methods.advice.several import link_for, place_for
from pegbox_methods.advice.teams import with_team
from pegbox_methods.card import Card
from pegbox_methods.recipe import Recipe, Training
from pegbox_methods.refusal import Refusal
from pegbox_methods.registry import find_card
from pegbox_methods.suitability import Conditions, bitsandbytes_is_here, eight_bit_obstacle
from pegbox_runs.conditions import gpu_of_run
from pegbox_runs.forecasting import cost_for, setup_of, step_time_ratio
from pegbox_runs.learned import learned_for, torch_version
from pegbox_runs.models import find_config

MOST_ACCUMULATION = 4096
"""As the recipe allows."""
TRAINING_PHASES = ("layer", "loss", "optimizer")
SMALLER_OPTIMIZERS = {"adamw": ("adamw_8bit", "paged_adamw_8bit"), "adamw_8bit": ("paged_adamw_8bit",)}


@dataclass(frozen=True)
class Price:
    """What the forecast says of one setting. Bytes and seconds."""

    training: float
    """Highest peak of a training step, on the card as its driver shows it."""
    evaluation: float
    """The same of an evaluation."""
    relative_seconds: float
    """Of a step; of use only beside another price of the same run."""
    time: TimeForecast | None
    """None: the device's speed isn't known."""


@dataclass(frozen=True)
class Rung:
    """One way to go on."""

    training: Training
    price: Price | None
    numerics: int
    """How far the numbers of a step will be others: 0 not at all, 1 by an optimizer of 8 bits, 2 by a paged one."""


class Ground:
    """What a run stands on: the model, the method's card, the device. `device` is the worker's, as torch names it."""

    def __init__(self, recipe: Recipe, device: str | None, machine: Machine | None = None, *, nodes: int = 1) -> None:
        """Look at it. `machine`: as it was probed before; None: now. `nodes`: machines, of which this is one."""
        self.card: Card = find_card(recipe.method.name)
        machine = machine or probe()
        self.place = _place(machine, device)
        self.gpus: list[Gpu] = []
        """Of a run over several: those that its processes get here, in the driver's order; none: the processor."""
        self.processor = device == "cpu" if device is not None else self.place.accelerator == "cpu"
        self._nodes = nodes
        self._shape = _shape_of(recipe)
        self._learned = None if self.processor else _learned(machine, self.place)
        if recipe.devices.processes > 1:
            self._take_several(recipe, machine)

    def _take_several(self, recipe: Recipe, machine: Machine) -> None:
        """Take the devices that the processes get here in place of the one that a single one would, and their links."""
        count, place = recipe.devices.processes, self.place
        here = max(1, count // self._nodes)
        kinds = [] if self.processor else kinds_for(machine, here, _profiles())

        def on(kind: Place) -> Ground:
            other = copy(self)
            other.place = place_for(_with_others(kind, here, self._nodes), count)
            other._learned = None if self.processor else _learned(machine, kind)
            return other

        def price(kind: Place) -> KindPrice | None:
            there = on(kind)
            memory, time = there.forecast(recipe)
            fits = memory is not None and memory.fits(there.place.usable_bytes)
            return None if memory is None else KindPrice(fits, 0.0 if time is None else time.tokens_per_second)

        if kinds:
            place = best_kind([kind for kind, _ in kinds], price)
            self.gpus = next(gpus for kind, gpus in kinds if kind is place)
        chosen = on(place)
        self.place, self._learned = chosen.place, chosen._learned

    def ram(self, recipe: Recipe) -> HostMemory | None:
        """Forecast the RAM of this machine's processes; None: there is one, or the model or method can't be priced."""
        memory, _ = self.forecast(recipe)
        if memory is None or self._shape is None:
            return None
        return ram_of(self.place, self._shape, self._setup(recipe), memory, nodes=self._nodes)

    def forecast(
        self,
        recipe: Recipe,
        *,
        row_tokens: float | None = None,
        padding_share: float = 0.0,
        tokens: int | None = None,
        evaluation_tokens: int = 0,
        measured: float | None = None,
    ) -> tuple[Forecast | None, TimeForecast | None]:
        """Forecast a recipe's memory and time; None: the model, the method or the device can't be priced.

        `row_tokens`: mean length of a padded row; None: all are as long as may be. `tokens`: of all training, without
        padding; None: of one full step. `measured`: tokens a second that this setting was measured at.
        """
        if self._shape is None:
            return None, None
        setup = self._setup(recipe)
        settings = recipe.method.settings
        try:
            cost = cost_for(self._shape, setup, settings)
            stack = STACKS[self.place.accelerator]
            memory = forecast_memory(self._shape, setup, cost, stack=stack, learned=self._learned)
            ratio = step_time_ratio(setup, self._shape, settings)
        except Exception:  # noqa: BLE001  # a guest's card may raise anything, and a forecast isn't worth a run
            return None, None
        if self.processor:
            memory = on_processor(memory)
        if self.place.card is None:
            return memory, None
        time = forecast_time(
            self._shape,
            setup,
            cost.trainable_weights,
            self.place.card,
            tokens=setup.step_tokens if tokens is None else tokens,
            evaluation_tokens=evaluation_tokens,
            padding_share=padding_share,
            step_time_ratio=ratio,
            row_tokens=row_tokens,
            measured_tokens_per_second=measured,
            link=link_for(self.place, setup.processes),
        )
        return memory, time

    def price(self, recipe: Recipe) -> Price | None:
        """Price a recipe; None: the model or the method can't be priced."""
        memory, time = self.forecast(recipe)
        # Paged averages lie on the card as long as there is room, and leave it when there is none.
        shown, _ = self.forecast(_unpaged(recipe))
        if memory is None or shown is None:
            return None
        beside = shown.card_bytes - shown.allocated_bytes
        return Price(
            training=beside + max(memory.phases[name] for name in TRAINING_PHASES),
            evaluation=beside + memory.phases.get("evaluation", 0),
            relative_seconds=_rough_seconds(self._setup(recipe)) if time is None else time.seconds,
            time=time,
        )

    def rungs(self, recipe: Recipe) -> Iterator[Rung]:
        """Give every setting that could need less, at the same effective batch; not the present one."""
        training = recipe.training
        present = self._setup(recipe).checkpointing
        checkpointings = [training.activation_checkpointing]
        if not present and "checkpointing" not in self.card.cannot:
            checkpointings.append("on")
        smaller = () if recipe.devices.shards else self._smaller_optimizers(training)  # 8 bits can't be sharded
        optimizers = (training.optimizer, *smaller)
        for checkpointing, micro_batch, optimizer in product(
            checkpointings, divisors(training.micro_batch), optimizers
        ):
            changed = msgspec.structs.replace(
                training,
                activation_checkpointing=checkpointing,
                micro_batch=micro_batch,
                accumulation=training.accumulation * (training.micro_batch // micro_batch),
                optimizer=optimizer,
            )
            if changed != training and changed.accumulation <= MOST_ACCUMULATION:
                price = self.price(msgspec.structs.replace(recipe, training=changed))
                yield Rung(changed, price, optimizers.index(optimizer))

    def _smaller_optimizers(self, training: Training) -> tuple[Any, ...]:
        given = Conditions(
            bitsandbytes=bitsandbytes_is_here(), accelerator=self.place.accelerator, capability=self.place.capability
        )
        if "optimizer" in self.card.cannot or eight_bit_obstacle(given) is not None:
            return ()
        known = SMALLER_OPTIMIZERS.get(training.optimizer, ())
        return tuple(name for name in known if not (self.processor and name.startswith("paged")))

    def _setup(self, recipe: Recipe) -> TrainingSetup:
        return setup_of(recipe, bf16=self.place.bf16, processor=self.processor)


def divisors(number: int) -> list[int]:
    """List the divisors of a number, the largest first."""
    return [part for part in range(number, 0, -1) if number % part == 0]


def _unpaged(recipe: Recipe) -> Recipe:
    if not recipe.training.optimizer.startswith("paged"):
        return recipe
    return msgspec.structs.replace(recipe, training=msgspec.structs.replace(recipe.training, optimizer="adamw_8bit"))


def _rough_seconds(setup: TrainingSetup) -> float:
    """Rank steps of the same tokens on a device of unknown speed."""
    return (1 + FILLING / setup.tokens) * (UNCHECKPOINTED if setup.checkpointing else 1.0)


def _shape_of(recipe: Recipe) -> ModelShape | None:
    try:
        return find_config(recipe.model).shape
    except (Refusal, OSError):
        return None


def _learned(machine: Machine, place: Place) -> Learned | None:
    """Look up what was measured on the run's card with the driver and the torch that are here."""
    gpu, torch = next((gpu for gpu in machine.gpus if gpu.name == place.name), None), torch_version()
    return None if gpu is None or torch is None else learned_for(gpu.name, gpu.driver, torch)


def _place(machine: Machine, device: str | None) -> Place:
    """Find the device of the run among this machine's: the card that its worker was shown, or the processor."""
    gpu = None if device == "cpu" else gpu_of_run(machine)
    alone = msgspec.structs.replace(machine, gpus=() if gpu is None else (gpu,))
    return places_of(alone, _profiles())[0]


def _with_others(place: Place, here: int, nodes: int) -> Place:
    """Name the links of processes on a processor, or on several machines, each with so many."""
    profiles = _profiles()
    if place.accelerator == "cpu" or nodes > 1:
        asked = msgspec.structs.replace(place, planned=True)  # their number was checked before
        place = with_team(asked, profiles, devices=here, nodes=nodes)
    return msgspec.structs.replace(place, planned=False)


def _profiles() -> Profiles:
    try:
        return load_profiles()
    except BadProfiles:  # the user's own table was broken while the run ran
        return load_profiles(PACKAGED)
