"""What every test stands on: a home of its own, and the slow ones only where asked for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("pegbox", deadline=None)  # a busy machine is no failure
settings.load_profile("pegbox")

SLOW_TOO = os.environ.get("CI") == "true"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave slow tests out, unless CI runs them or they were named by -m."""
    if SLOW_TOO or config.getoption("markexpr"):
        return
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="slow: give -m slow, or set CI=true"))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test an empty PEGBOX_HOME, so that nobody's runs are touched."""
    folder = tmp_path / "pegbox-home"
    monkeypatch.setenv("PEGBOX_HOME", str(folder))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return folder
