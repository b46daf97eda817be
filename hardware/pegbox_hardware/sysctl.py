"""One fact of macOS, which has no files to read it from."""

from __future__ import annotations

import platform
import subprocess

PROGRAM = "/usr/sbin/sysctl"


def sysctl(name: str) -> str | None:
    """Read a value by its name; None on another system, or where it isn't known."""
    if platform.system() != "Darwin":
        return None
    try:
        done = subprocess.run([PROGRAM, "-n", name], capture_output=True, text=True, timeout=1, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
