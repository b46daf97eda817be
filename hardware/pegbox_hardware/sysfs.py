"""The small files in which the kernel's drivers tell a device's figures, one each."""

from __future__ import annotations

from pathlib import Path


def text_in(file: Path) -> str | None:
    """Read a file's one line; None: it isn't there, or says nothing."""
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip() or None
    except OSError:
        return None


def number_in(file: Path) -> int | None:
    """Read a file's number; None: it isn't there, or holds none."""
    text = text_in(file)
    return int(text) if text is not None and text.isdecimal() else None


def sensors_of(device: Path) -> Path:
    """Give the folder of a device's heat and power; it may not exist."""
    return next(iter(sorted((device / "hwmon").glob("hwmon*"))), device / "hwmon")
