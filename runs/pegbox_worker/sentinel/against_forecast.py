"""Whether the run is as fast, and takes as much memory, as was forecast for this device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from pegbox_methods.events import Check
from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal
from pegbox_worker.token_rows import RowFacts

if TYPE_CHECKING:
    from pegbox_hardware.forecast.memory import Forecast
    from pegbox_hardware.forecast.time import TimeForecast

GIB = 2**30
SPEED, MEMORY = "speed", "memory"
PROCESSOR = "a processor's speed and memory depend on what else runs on the machine: forecasts for it are rough"


class Expectation:
    """What the analytic forecast says of a recipe on the device of this worker; made when it is first asked for.

    `given`: a memory forecast that was made before, which is held to instead.
    """

    def __init__(self, recipe: Recipe, facts: RowFacts, device: torch.device, given: Forecast | None) -> None:
        self._recipe, self._facts, self._device, self._given = recipe, facts, device, given

    def checks(self, *, tokens_per_second: float | None, padding_share: float) -> tuple[Check, Check]:
        """Hold the measured speed, and torch's peak, against it."""
        if self._device.type == "cpu":
            return _skipped(SPEED, PROCESSOR), _skipped(MEMORY, PROCESSOR)
        memory, time = self._forecast(padding_share)
        return _speed(time, tokens_per_second), _memory(self._given or memory, self._device)

    def _forecast(self, padding_share: float) -> tuple[Forecast | None, TimeForecast | None]:
        from pegbox_runs.rungs import Ground

        mean = None
        if self._facts.rows and self._recipe.training.order != "packed":
            mean = self._facts.tokens / self._facts.rows / (1 - padding_share)
        try:
            ground = Ground(self._recipe, str(self._device))
            return ground.forecast(self._recipe, row_tokens=mean, padding_share=padding_share)
        except (Refusal, OSError):
            return None, None


def _speed(time: TimeForecast | None, tokens_per_second: float | None) -> Check:
    if time is None:
        return _skipped(SPEED, "this device's speed, or the model's work, isn't known")
    if tokens_per_second is None:
        return _skipped(SPEED, "too few steps to tell")
    said = f"{tokens_per_second:,.0f} tokens a second"
    span = f"{time.tokens_per_second_low:,.0f} to {time.tokens_per_second_high:,.0f}"
    if tokens_per_second < time.tokens_per_second_low:
        text = (
            f"{said}, below the forecast's {span}: look whether another process uses the card (`pegbox doctor`), "
            "whether it is throttled by heat, or whether training.micro_batch leaves it idle"
        )
        return Check(name=SPEED, verdict="unsure", text=text)
    where = "above" if tokens_per_second > time.tokens_per_second_high else "within"
    return Check(name=SPEED, verdict="passed", text=f"{said}, {where} the forecast's {span}")


def _memory(forecast: Forecast | None, device: torch.device) -> Check:
    if forecast is None:
        return _skipped(MEMORY, "the model or the method can't be priced")
    peak = torch.cuda.max_memory_allocated(device)
    said = f"tensors took {peak / GIB:.1f} GiB at most; the forecast says up to {forecast.high_bytes / GIB:.1f}"
    if peak > forecast.high_bytes:
        text = f"{said}. A longer micro-batch may not fit: lower training.micro_batch and raise training.accumulation"
        return Check(name=MEMORY, verdict="unsure", text=text)
    return Check(name=MEMORY, verdict="passed", text=said)


def _skipped(name: str, why: str) -> Check:
    return Check(name=name, verdict="not-applicable", text=why)
