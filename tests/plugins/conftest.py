"""The guests of `plugins/`, installed once for all tests of a process."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plugins.installing import PLUGINS, install


@pytest.fixture(scope="session")
def guests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder with the good guests."""
    return install(tmp_path_factory.mktemp("guests"), PLUGINS / "pegbox-road", PLUGINS / "pegbox-mora")


@pytest.fixture(scope="session")
def broken_guests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder with the broken ones."""
    return install(tmp_path_factory.mktemp("broken"), PLUGINS / "broken-on-purpose")
