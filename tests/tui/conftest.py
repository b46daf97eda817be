"""What tests of how screens look stand on."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from pegbox_runs import event_log
from pegbox_tui.dashboard import screen
from tests.tui.dashboards import NOW


@pytest.fixture
def at_one_moment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let all happen at once, at a known time and place; and let no draw wait for the next."""
    monkeypatch.setattr(screen, "DRAW_SECONDS", 0.0)
    monkeypatch.setattr(screen, "CHART_SECONDS", 0.0)
    monkeypatch.setattr(screen, "now", lambda: NOW + 2)
    monkeypatch.setattr(event_log, "now", lambda: NOW)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()
