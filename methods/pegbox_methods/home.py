"""Where Pegbox keeps what is its own."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from pegbox_methods.refusal import Refusal


def home() -> Path:
    """Give the folder that holds runs, drop-in methods and caches: $PEGBOX_HOME, else the platform's place.

    Raises: Refusal: $PEGBOX_HOME begins with "~somebody" of whom this machine knows nothing.
    """
    named = os.environ.get("PEGBOX_HOME")
    return user_path(named).absolute() if named else platformdirs.user_data_path("pegbox")


def user_path(named: str) -> Path:
    """Read a path as a person writes it, with `~`.

    Raises: Refusal: "~somebody" of whom this machine knows nothing.
    """
    try:
        return Path(named).expanduser()
    except RuntimeError:
        raise Refusal(f"{named}: there is no such user's home on this machine. Give a path.") from None
