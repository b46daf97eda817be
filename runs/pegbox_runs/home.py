"""Where Pegbox keeps what is its own."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def home() -> Path:
    """Give the folder that holds runs and caches: $PEGBOX_HOME, else the platform's place for user data."""
    named = os.environ.get("PEGBOX_HOME")
    return Path(named).expanduser().absolute() if named else platformdirs.user_data_path("pegbox")


def runs_root() -> Path:
    """Give the folder of all runs. It may not exist yet."""
    return home() / "runs"
