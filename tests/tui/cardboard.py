"""A workbench of cardboard and an app around one step: models, cards and rows that aren't here."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from textual.app import App
from textual.message_pump import MessagePump
from textual.pilot import Pilot

from pegbox_hardware.forecast.memory import Learned
from pegbox_hardware.profiles import Profiles
from pegbox_hardware.shape import ModelShape
from pegbox_methods.advice.data_card import DataCard
from pegbox_methods.advice.places import planned_card
from pegbox_methods.advice.records import Place
from pegbox_methods.recipe import Model, Rows
from pegbox_runs.drafts import Draft
from pegbox_runs.models import FoundModel
from pegbox_tui.shell.app import PegboxApp
from pegbox_tui.wizard.keeper import DraftKeeper
from pegbox_tui.wizard.messages import Answered, NotBegun, NotStarted, RunsBegan, StartAsked, Turned
from pegbox_tui.wizard.settings.form import SettingsForm
from pegbox_tui.wizard.starter import RunStarter
from pegbox_tui.wizard.step import StepScreen
from pegbox_tui.wizard.workbench import Workbench
from tests.methods.advice_situations import PROFILES, model_8b, rows

PATIENCE_SECONDS = 20.0
QUIET_LOOKS = 3
"""So often must the app be found at rest, one look after the other."""


class CardboardBench(Workbench):
    """Knows one model on one planned card, and rows of one length; whatever is settled is settled for real."""

    def __init__(self, shape: ModelShape | None = None, card: str = "RTX 4090", data: DataCard | None = None) -> None:
        super().__init__()
        self.shape = shape or model_8b()
        self.card = card
        self.rows = data or rows()
        self.folder = Path(tempfile.gettempdir(), "no-model-here")

    def place(self, draft: Draft) -> Place:
        return planned_card(self.card, PROFILES)

    def model(self, draft: Draft) -> FoundModel | None:
        return FoundModel("org/model-8b", self.folder, {"max_position_embeddings": 8192}, self.shape, True, True)

    def data(self, draft: Draft) -> DataCard | None:
        return self.rows

    def profiles(self) -> Profiles:
        return PROFILES

    def learned(self) -> Mapping[str, Learned]:
        return {}


class StepApp(PegboxApp[None]):
    """Shows one step, and keeps what it says."""

    def __init__(self, step: StepScreen) -> None:
        super().__init__()
        self.step = step
        self.drafts: list[Draft] = []
        self.turns: list[str] = []
        self.began: list[Any] = []
        self.ended_draft = False
        self.starter = RunStarter(self, DraftKeeper(lambda _sentence: None))

    def on_mount(self) -> None:
        super().on_mount()
        self.push_screen(self.step)

    def on_answered(self, event: Answered) -> None:
        self.drafts.append(event.draft)

    def on_turned(self, event: Turned) -> None:
        self.turns.append(event.to)

    def on_start_asked(self, event: StartAsked) -> None:
        self.starter.begin(event)

    def on_runs_began(self, event: RunsBegan) -> None:
        self.starter.rest()
        self.began.extend(event.folders)
        self.ended_draft = event.ends_draft

    def on_not_begun(self, event: NotBegun) -> None:
        self.starter.rest()
        event.asker.post_message(NotStarted(event.trouble))


def draft(**changes: Any) -> Draft:
    """Give a draft that has come as far as the settings."""
    given = {"model": Model(name="org/model-8b"), "rows": Rows(file="/tmp/rows.jsonl"), "step": "settings"}
    return Draft(**{**given, **changes})


def move_to(form: SettingsForm, key: str) -> None:
    """Move the cursor to a setting, line by line as the keys do."""
    form.action_move(-1000)
    seen = None
    while form.line is not None and form.line.field.key != key:
        assert form.line is not seen, f"{key} isn't shown"
        seen = form.line
        form.action_move(1)


async def settled(pilot: Pilot[Any]) -> None:
    """Wait until no thread of the app works any more, what they said was taken, and what came of it is drawn.

    One look at rest may be early: what a message sends on, or begins, is only found by the next.
    """
    seen, alike = "", 0
    until = time.monotonic() + PATIENCE_SECONDS
    while alike < QUIET_LOOKS:
        assert time.monotonic() < until, f"it never came to rest:\n{drawn(pilot.app)}"
        await pilot.app.workers.wait_for_complete()
        await pilot.pause(0)
        now = drawn(pilot.app)
        alike = alike + 1 if now == seen and _rests(pilot.app) else 0
        seen = now


def _rests(app: App[Any]) -> bool:
    """Tell whether nothing works, and no screen or widget, seen or covered, has a message to take."""
    pumps: list[MessagePump] = [
        app,
        *(node for screen in app.screen_stack for node in screen.walk_children(with_self=True)),
    ]
    working = any(not worker.is_finished for worker in app.workers)
    return not working and all(pump.is_running and not pump.message_queue_size for pump in pumps)


def drawn(app: App[Any]) -> str:
    """Give what stands on the terminal."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(part.text for part in strip).rstrip() for strip in strips)
