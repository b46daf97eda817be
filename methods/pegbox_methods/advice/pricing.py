"""What a method with its settings takes on a device: one memory forecast, and one of time."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from pegbox_hardware.forecast.adapters import PRICED, MethodCost, cost_of
from pegbox_hardware.forecast.memory import Forecast, forecast_memory
from pegbox_hardware.forecast.setup import USUAL_SURPLUS, NumberFormat, Optimizer, TrainingSetup
from pegbox_hardware.forecast.simulated import Stack
from pegbox_hardware.forecast.time import TimeForecast, forecast_time
from pegbox_hardware.profile_rows import Accelerator
from pegbox_hardware.shape import ALL_LINEAR, ATTENTION, ModelShape
from pegbox_methods.advice.situation import Situation
from pegbox_methods.card import Card, Footprint

STACKS: dict[Accelerator, Stack] = {
    "cuda": Stack(),
    "rocm": Stack(),
    "mps": Stack(cublas_workspace_bytes=0),
    "cpu": Stack(cublas_workspace_bytes=0, collectives_bytes=0),
}
"""Only NVIDIA's and AMD's libraries take a workspace. On a processor the context stands for Python itself."""
PROCESSOR = 1.7
"""Times a forecast for a card that a process on a processor may take at most. Peak resident memory of SmolLM2-135M:
LoRA, 4 x 512 tokens, 4.3 to 5.4 GB under bf16 autocast, 8.0 GB in fp32 (forecasts 4.3 and 5.2); AdaLoRA, 2 x 256, bf16
autocast, 3.1 GB after a few steps and 4.0 GB after 24 of many lengths (forecast 2.6)."""
FILLING = 512
"""Tokens at which an unknown card is taken to be half busy."""
UNCHECKPOINTED = 1.25
"""Speed without recomputation, on an unknown card. Source: rule of thumb, 20 to 30 %."""
PER_MILLION = 1_000_000


@dataclass(frozen=True, eq=False)
class Trial:
    """One setting, priced; `Pricing` makes each only once."""

    setup: TrainingSetup
    memory: Forecast
    margin_bytes: int
    """Of the usable memory, what is left; below 0: what is lacking."""
    time: TimeForecast | None

    @property
    def fits(self) -> bool:
        """Whether the safe figure leaves the margin free."""
        return self.margin_bytes >= 0

    @property
    def speed(self) -> float:
        """Give tokens a second; where the card's speed isn't known, a figure that only ranks."""
        if self.time is not None:
            return self.time.tokens_per_second
        filled = self.setup.tokens / (self.setup.tokens + FILLING)
        return filled if self.setup.checkpointing else filled * UNCHECKPOINTED


class Pricing:
    """The prices of one method in one situation, each computed once."""

    def __init__(self, card: Card, settings: Mapping[str, Any], now: Situation, optimizer: Optimizer) -> None:
        self.card, self.settings, self.now, self.optimizer = card, settings, now, optimizer
        self.footprint: Footprint = card.price(now.shape, settings)
        self._known: dict[tuple[int, bool, int], Trial] = {}

    @property
    def checkpoints(self) -> bool:
        """Whether the method can train with activation checkpointing."""
        return "checkpointing" not in self.card.cannot

    @property
    def compute(self) -> NumberFormat:
        """Name the format of the computation, which the method may narrow."""
        return "fp32" if self.now.compute == "bf16" and "bfloat16" in self.card.cannot else self.now.compute

    def trial(self, micro_batch: int, *, checkpointing: bool, length: int | None = None) -> Trial:
        """Price one micro-batch; accumulation makes up for it, so that the effective batch stays."""
        key = micro_batch, checkpointing, length or self.now.length.value
        if key not in self._known:
            self._known[key] = self._price(*key)
        return self._known[key]

    def _price(self, micro_batch: int, checkpointing: bool, length: int) -> Trial:
        now, setup = self.now, self._setup(micro_batch, checkpointing, length)
        cost = method_cost(self.card, self.footprint, setup, now.shape)
        stack = STACKS[now.place.accelerator]
        memory = forecast_memory(now.shape, setup, cost, stack=stack, learned=now.learned)
        if now.place.accelerator == "cpu":
            memory = on_processor(memory)
        return Trial(setup, memory, now.place.usable_bytes - memory.safe_bytes, self._time(setup))

    def _setup(self, micro_batch: int, checkpointing: bool, length: int) -> TrainingSetup:
        now, quantized = self.now, self.card.needs.quantized_base
        return TrainingSetup(
            method=self.card.name,
            rank=number_of(self.settings, "rank", 16),
            surplus=number_of(self.settings, "surplus", USUAL_SURPLUS),
            targets=targets_of(self.settings),
            micro_batch=micro_batch,
            length=length,
            accumulation=max(1, now.batch.value // now.processes // micro_batch),
            checkpointing=checkpointing,
            optimizer=self.optimizer,
            dtype="fp32" if self.card.name == "full" or now.place.accelerator == "cpu" else self.compute,
            autocast=self.compute != "fp32",
            quantization="nf4-double" if quantized else "none",
            kbit_casts=quantized and self.settings.get("preparation") == "full",
            dropout=number_of(self.settings, "dropout", 0.0),
            attention="eager" if now.shape.attention_cap else "sdpa",
            padding=micro_batch > 1,
            evaluation_batch=micro_batch,
            processes=now.processes,
            sharded=now.sharded,
        )

    @property
    def step_time_ratio(self) -> float:
        """Give the method's step time against LoRA's; the forecast counts itself what unpacking a 4-bit base and
        training all weights take."""
        alike = self.card.needs.quantized_base or self.card.name == "full"
        return 1.0 if alike else self.footprint.step_time_ratio or 1.0

    def row_tokens(self, length: int) -> float | None:
        """Give the mean length of a row; None: nothing is known of the rows."""
        return max(1.0, self.now.data.at(length).mean_tokens) if self.now.data else None

    def _time(self, setup: TrainingSetup) -> TimeForecast | None:
        now = self.now
        if now.place.card is None:
            return None
        return forecast_time(
            now.shape,
            setup,
            self.footprint.trainable_weights,
            now.place.card,
            tokens=PER_MILLION if now.tokens is None else now.tokens,
            evaluation_tokens=now.evaluated_tokens,
            step_time_ratio=self.step_time_ratio,
            row_tokens=self.row_tokens(setup.length),
            link=now.link,
        )


def on_processor(forecast: Forecast) -> Forecast:
    """Widen a forecast that was made for GPUs to what a processor's runs were seen to take."""
    high = round(forecast.card_bytes * PROCESSOR)
    return msgspec.structs.replace(
        forecast,
        safe_bytes=max(forecast.safe_bytes, high),
        high_bytes=max(forecast.high_bytes, high),
        notes=(*forecast.notes, "on a processor the forecast was held against runs of one small model only"),
    )


def method_cost(card: Card, footprint: Footprint, setup: TrainingSetup, shape: ModelShape) -> MethodCost:
    """Give what the method adds: by its name, by its card's word, or as if it were low-rank with its own weights.

    The last is a guess, and the forecast widens its range for it.
    """
    if footprint.cost is not None:
        return footprint.cost
    priced = cost_of(shape, setup)
    if card.name in PRICED:
        return priced
    return dataclasses.replace(priced, trained=((1, footprint.trainable_weights),), known=False)


Number = TypeVar("Number", int, float)


def number_of(settings: Mapping[str, Any], name: str, usual: Number) -> Number:
    """Give a setting that a set-up has too, if the method has it and means a number of that kind by it."""
    value = settings.get(name, usual)
    return value if type(value) is type(usual) else usual


def targets_of(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Give a method's targets as a shape knows them; a word of the method's own counts as all linear maps."""
    targets = settings.get("targets", ALL_LINEAR)
    if isinstance(targets, str):
        return (targets if targets in (ALL_LINEAR, ATTENTION) else ALL_LINEAR,)
    return tuple(targets)
