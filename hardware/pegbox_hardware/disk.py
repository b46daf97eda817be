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
    folder = path.absolute()
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return Disk(what=what, path=shown, total=None, free=None, writable=False)
    writable = folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
    return Disk(what=what, path=shown, total=usage.total, free=usage.free, writable=writable)


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
