"""Room where files will lie, also where their folder isn't made yet."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import msgspec

from pegbox_hardware.encodable import encodable


class Disk(msgspec.Struct, frozen=True, kw_only=True):
    """One place that something will be written to. Bytes; None where the disk can't be asked."""

    what: str
    """What will lie there: `runs`, `models`."""
    path: str
    total: int | None
    free: int | None
    """What this user may still write."""
    writable: bool


def read_disk(what: str, path: Path) -> Disk:
    """Ask the disk of a folder, or of the nearest one above that exists."""
    shown = encodable(str(path))
    folder = _existing(path)
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return Disk(what=what, path=shown, total=None, free=None, writable=False)
    writable = folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
    return Disk(what=what, path=shown, total=usage.total, free=usage.free, writable=writable)


def share_a_disk(one: Path, other: Path) -> bool:
    """Tell whether what is written below one folder takes room of the other; also where they aren't made yet."""
    try:
        return _existing(one).stat().st_dev == _existing(other).stat().st_dev
    except OSError:
        return False


def _existing(path: Path) -> Path:
    """Give the folder, or the nearest one above that exists."""
    folder = path.absolute()
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    return folder


def model_cache() -> Path:
    """Give the folder in which the Hub's models are kept, by the rules of huggingface_hub.

    Source: https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables.
    """
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if os.environ.get(name):
            return _expanded(os.environ[name])
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return _expanded(os.environ.get("HF_HOME") or f"{caches}/huggingface") / "hub"


def _expanded(path: str) -> Path:
    """Expand variables and the home; a home of nobody's stays as written, where pathlib would raise."""
    return Path(os.path.expanduser(os.path.expandvars(path)))  # noqa: PTH111
