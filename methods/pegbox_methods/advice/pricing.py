"""What a method with its settings takes on a device: one memory forecast, and one of time."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from pegbox_hardware.forecast.adapters import PRICED, MethodCost, cost_of
from pegbox_hardware.forecast.memory import Forecast, forecast_memory
from pegbox_hardware.forecast.setup import USUAL_SURPLUS, Optimizer, TrainingSetup
from pegbox_hardware.forecast.simulated import Stack
from pegbox_hardware.forecast.time import TimeForecast, forecast_time
from pegbox_hardware.profile_rows import Accelerator
from pegbox_hardware.shape import ALL_LINEAR, ModelShape
from pegbox_methods.advice.situation import Situation
from pegbox_methods.card import Card, Footprint

STACKS: dict[Accelerator, Stack] = {
    "cuda": Stack(),
    "rocm": Stack(),
    "mps": Stack(cublas_workspace_bytes=0),
    "cpu": Stack(cublas_workspace_bytes=0),
}
"""Only NVIDIA's and AMD's libraries take a workspace. On a processor the context stands for Python itself."""
PROCESSOR_AUTOCAST, PROCESSOR_FP32 = 1.25, 1.6
"""What a process on a processor may take, in forecasts for a card. SmolLM2-135M, LoRA, 4 x 512 tokens, peak resident
memory: 4.3 to 5.4 GB under bf16 autocast (forecast 4.3 to 5.2), 8.0 GB in fp32 (forecast 5.2)."""
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
            memory = on_processor(memory, autocast=setup.autocast)
        return Trial(setup, memory, now.place.usable_bytes - memory.safe_bytes, self._time(setup))

    def _setup(self, micro_batch: int, checkpointing: bool, length: int) -> TrainingSetup:
        now, quantized = self.now, self.card.needs.quantized_base
        targets = self.settings.get("targets", ALL_LINEAR)
        return TrainingSetup(
            method=self.card.name,
            rank=self.settings.get("rank", 16),
            surplus=self.settings.get("surplus", USUAL_SURPLUS),
            targets=(targets,) if isinstance(targets, str) else tuple(targets),
            micro_batch=micro_batch,
            length=length,
            accumulation=max(1, now.batch.value // micro_batch),
            checkpointing=checkpointing,
            optimizer=self.optimizer,
            dtype=now.weights,
            autocast=now.compute != "fp32",
            quantization="nf4-double" if quantized else "none",
            kbit_casts=quantized and self.settings.get("preparation") == "full",
            dropout=float(self.settings.get("dropout", 0.0)),
            attention="eager" if now.shape.attention_cap else "sdpa",
            padding=micro_batch > 1,
            evaluation_batch=micro_batch,
        )

    def _time(self, setup: TrainingSetup) -> TimeForecast | None:
        now = self.now
        if now.place.card is None:
            return None
        # The forecast counts the unpacking of a 4-bit base itself.
        ratio = 1.0 if setup.quantized else self.footprint.step_time_ratio or 1.0
        return forecast_time(
            now.shape,
            setup,
            self.footprint.trainable_weights,
            now.place.card,
            tokens=PER_MILLION if now.tokens is None else now.tokens,
            evaluation_tokens=now.evaluated_tokens,
            step_time_ratio=ratio,
            row_tokens=max(1.0, now.data.at(setup.length).mean_tokens) if now.data else None,
        )


def on_processor(forecast: Forecast, *, autocast: bool) -> Forecast:
    """Widen a forecast that was made for GPUs to what a processor's runs were seen to take."""
    high = round(forecast.card_bytes * (PROCESSOR_AUTOCAST if autocast else PROCESSOR_FP32))
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
