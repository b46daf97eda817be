"""A step of the wizard on its own: an app that only collects what it says, and a workbench of cardboard."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from textual.pilot import Pilot

from pegbox_hardware.machine import Machine
from pegbox_runs.drafts import Draft
from pegbox_runs.hub_cache import CachedModel, CacheScan
from pegbox_runs.torch_facts import TorchFacts
from pegbox_tui.shell.app import PegboxApp
from pegbox_tui.wizard.messages import Answered, Turned
from pegbox_tui.wizard.step import StepScreen
from pegbox_tui.wizard.workbench import Workbench

PATIENCE_SECONDS = 10.0


class CardboardBench(Workbench):
    """Says what it was told; places, profiles, models and fits are the real ones."""

    def __init__(
        self, machine: Machine | Callable[[], Machine], torch: Any = "nobody asked", cached: Sequence[CachedModel] = ()
    ) -> None:
        super().__init__()
        self._machine, self._torch, self._cached = machine, torch, cached
        self.asked: list[str] = []

    def machine(self) -> Machine:
        """Give the made-up machine, or raise what it raises."""
        self.asked.append("machine")
        made_up = self._machine
        return self._once("machine", made_up if callable(made_up) else lambda: made_up)

    def torch(self) -> TorchFacts | str:
        """Give what torch would say."""
        self.asked.append("torch")
        answer: TorchFacts | str = self._torch() if callable(self._torch) else self._torch
        return answer

    def cached_models(self) -> CacheScan:
        """Give the made-up cache."""
        return CacheScan(tuple(self._cached))

    def learned(self) -> dict[str, Any]:
        """Know nothing."""
        return {}


class StepApp(PegboxApp[None]):
    """One step, and what it told."""

    def __init__(self, step: type[StepScreen], draft: Draft, bench: Workbench) -> None:
        super().__init__()
        self.step = step(draft, bench)
        self.answers: list[Draft] = []
        self.turns: list[str] = []

    def on_mount(self) -> None:
        """Open it."""
        self.push_screen(self.step)

    def on_answered(self, message: Answered) -> None:
        """Keep the newest draft."""
        self.answers.append(message.draft)

    def on_turned(self, message: Turned) -> None:
        """Note where the person goes."""
        self.turns.append(message.to)


def drawn(app: Any) -> str:
    """Give what stands on the terminal."""
    return "\n".join("".join(part.text for part in strip) for strip in app.screen._compositor.render_strips())


def words_of(app: Any) -> str:
    """Give what stands on the terminal as one line, wherever its lines end."""
    return " ".join(drawn(app).split())


def notices(app: Any) -> list[str]:
    """Give what was said in passing."""
    return [notice.message for notice in app._notifications]


async def shows(pilot: Pilot[Any], *texts: str) -> str:
    """Wait until all of the texts stand on the terminal, across line ends too. Returns: what does, as one line."""
    await reaches(pilot, lambda: all(text in words_of(pilot.app) for text in texts), lambda: drawn(pilot.app))
    return words_of(pilot.app)


async def reaches(pilot: Pilot[Any], state: Callable[[], bool], seen: Callable[[], object] = lambda: "") -> None:
    """Wait until something is so."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not state():
        if time.monotonic() > until:
            raise AssertionError(f"it never came to that:\n{seen()}")
        await pilot.pause()
        await asyncio.sleep(0.01)


async def rests(pilot: Pilot[Any], seconds: float = 0.15) -> None:
    """Wait until what stands on the terminal stays the same for so long: a state known is not yet a state drawn."""
    seen, since = "", time.monotonic()

    def same() -> bool:
        nonlocal seen, since
        now = drawn(pilot.app)
        if now != seen:
            seen, since = now, time.monotonic()
        return time.monotonic() - since >= seconds

    await reaches(pilot, same, lambda: seen)
