"""Whether the kernel killed a process for memory: counters that are read while it lives and once it is gone.

Source: Linux, Documentation/admin-guide/cgroup-v2.rst (memory.events), cgroup-v1/memory.rst (memory.oom_control, with
`oom_kill` since 4.13), mm/oom_kill.c: a kill is counted in the victim's own group and in /proc/vmstat, whichever limit
was hit.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

COUNTER = "oom_kill"


@dataclass(frozen=True)
class KillCount:
    """How often the kernel had killed for memory, as one file told it."""

    path: Path
    count: int


def kill_counts(pid: int, root: Path = Path("/")) -> tuple[KillCount, ...]:
    """Read every counter that would rise if this living process were killed, the most telling first."""
    found = ((path, _count(path)) for path in _counters(pid, root))
    return tuple(KillCount(path, count) for path, count in found if count is not None)


def killed_for_memory(before: tuple[KillCount, ...]) -> tuple[bool | None, str]:
    """Tell whether the first counter that can still be read has risen since.

    Returns: None if none can be; and what says so. A group's own counter outweighs the machine's, which other
    containers raise too.
    """
    for earlier in before:
        now = _count(earlier.path)
        if now is not None:
            rose = now > earlier.count
            return rose, f"{COUNTER} in {earlier.path} rose from {earlier.count} to {now}" if rose else ""
    return None, ""


def _counters(pid: int, root: Path) -> list[Path]:
    try:
        lines = (root / "proc" / str(pid) / "cgroup").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    mount = root / "sys/fs/cgroup"
    second: list[Path] = []
    first: list[Path] = []
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        inside = path.lstrip("/")
        if ".." in Path(inside).parts:
            continue  # a group outside of this container's view
        if not controllers:
            folders = (mount / inside, mount / "unified" / inside)
            second += [folder / name for folder in folders for name in ("memory.events.local", "memory.events")]
        elif "memory" in controllers.split(","):
            first.append(mount / "memory" / inside / "memory.oom_control")
            first.append(mount / "memory" / "memory.oom_control")  # as a container without its own view sees it
    return [*second, *first, root / "proc/vmstat"]


def _count(path: Path) -> int | None:
    try:
        for line in path.read_text(encoding="ascii", errors="replace").splitlines():
            name, _, value = line.partition(" ")
            if name == COUNTER:
                return int(value)
    except (OSError, ValueError):
        pass
    return None
