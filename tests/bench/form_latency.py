"""How long it takes from a key in the form of settings to bars that have moved, and what of it is pricing.

A model's config alone is needed. Goal: at most 50 ms, also at the 95th percentile, on two cores.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from typing import Any

from textual.events import Key
from textual.screen import Screen
from textual.widgets import Static

from pegbox_hardware.model_config import shape_of
from pegbox_hardware.shape import ModelShape
from pegbox_tui.wizard.settings.form import SettingsForm
from pegbox_tui.wizard.settings.screen import SettingsStep
from tests.methods.advice_situations import model_8b, model_70b
from tests.smollm2 import smollm2
from tests.tui.cardboard import CardboardBench, StepApp, draft, move_to, settled

LIMIT_MS = 50.0
ROUNDS = 40
KEYS = ("method.settings.rank", "training.micro_batch", "training.length")


def smol() -> ModelShape:
    """SmolLM2-135M by its own config."""
    found, why = shape_of(json.loads((smollm2() / "config.json").read_text(encoding="utf-8")))
    assert found is not None, why
    return found


async def measure(shape: ModelShape, card: str) -> tuple[list[float], list[float]]:
    """Press keys that change a value. Returns: (milliseconds from key to drawn frame, those of the pricing alone)."""
    bench = CardboardBench(shape, card)
    step = SettingsStep(draft(), bench)
    app = TimedApp(step)
    frames, priced = [], []
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        for number in range(ROUNDS):
            move_to(step.query_one(SettingsForm), KEYS[number % len(KEYS)])
            await settled(pilot)
            app.await_frame()
            begin = time.perf_counter()
            app.post_message(Key("right" if number // len(KEYS) % 2 == 0 else "left", None))
            await asyncio.wait_for(app.moved.wait(), 5)
            frames.append(1e3 * (app.at - begin))
            begin = time.perf_counter()
            bench.settled(step.draft)
            priced.append(1e3 * (time.perf_counter() - begin))
    return frames, priced


class TimedApp(StepApp):
    """Says when a frame was written in which the bar and figures are other ones than before."""

    moved: asyncio.Event
    at = 0.0
    before = ""

    def await_frame(self) -> None:
        """Begin to watch."""
        self.moved, self.before = asyncio.Event(), self._price()

    def _display(self, screen: Screen[Any], renderable: Any) -> None:
        super()._display(screen, renderable)
        if self.before and self._price() != self.before:
            self.at, self.before = time.perf_counter(), ""
            self.moved.set()

    def _price(self) -> str:
        return str(self.step.query_one("#price", Static).visual)


def main() -> None:
    worst = 0.0
    for name, shape in (("SmolLM2 135 M", smol()), ("8 B", model_8b()), ("70 B", model_70b())):
        for card in ("RTX 4090", "H100"):
            frames, priced = asyncio.run(measure(shape, card))
            median, late = statistics.median(frames), statistics.quantiles(frames, n=20)[-1]
            worst = max(worst, late)
            pricing = (
                f"pricing {statistics.median(priced):.1f} ms, 95th {statistics.quantiles(priced, n=20)[-1]:.1f} ms"
            )
            print(f"{name:14}{card:9} key to frame median {median:.1f} ms, 95th {late:.1f} ms; {pricing}")
    print(f"worst 95th percentile {worst:.1f} ms, limit {LIMIT_MS:.0f} ms: {worst / LIMIT_MS:.2f} of it")


if __name__ == "__main__":
    main()
