"""What tests of how screens look stand on."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from textual import _wait
from textual import screen as textual_screen

from pegbox_runs import event_log
from pegbox_tui.dashboard import screen
from tests.tui.dashboards import NOW


@pytest.fixture(autouse=True)
def short_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a pilot see after 5 ms that an app is at rest, as often as it may draw.

    Textual's own 20 ms at each key and pause are a third of these tests' time. A rest must be two drawings long.
    """
    monkeypatch.setattr(_wait, "SLEEP_GRANULARITY", 1 / 200)
    monkeypatch.setattr(_wait, "SLEEP_IDLE", 1 / 200 / 20)
    monkeypatch.setattr(textual_screen, "UPDATE_PERIOD", 1 / 240)


@pytest.fixture
def one_clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let all be told at one known time, at one known place."""
    monkeypatch.setattr(event_log, "now", lambda: NOW)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def at_one_moment(one_clock: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a dashboard see all at once, and let no draw wait for the next."""
    monkeypatch.setattr(screen, "DRAW_SECONDS", 0.0)
    monkeypatch.setattr(screen, "CHART_SECONDS", 0.0)
    monkeypatch.setattr(screen, "now", lambda: NOW + 2)
