"""What the container allows: limits of memory and processor, under cgroup v1 and v2."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

UNLIMITED = 2**60
"""v1 writes "no limit" as a number just below 2**63."""


@dataclass(frozen=True)
class Cgroups:
    """Where the kernel shows them; tests give trees of their own."""

    mount: Path = Path("/sys/fs/cgroup")
    own: Path = Path("/proc/self/cgroup")

    def memory(self) -> tuple[int | None, int | None]:
        """Read (limit, what is left of it) in bytes; None where nothing limits.

        The tightest of all levels counts. File cache that the kernel would give back counts as left.
        """
        lefts: list[int] = []
        limits: list[int] = []
        for folder, names in self._levels("memory", ("memory.max", "memory.current", "inactive_file"), _V1_MEMORY):
            limit = _number(folder / names[0])
            if limit is None or limit >= UNLIMITED:
                continue
            limits.append(limit)
            used = _number(folder / names[1])
            if used is not None:
                lefts.append(max(0, limit - used + _stat(folder / "memory.stat", names[2])))
        return min(limits, default=None), min(lefts, default=None)

    def cores(self) -> float | None:
        """Read the processor's quota in cores, as 1.5; None where nothing limits."""
        found = []
        for folder, names in self._levels("cpu", ("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
            words = [word for name in names for word in _words(folder / name)]
            if len(words) == 2 and all(word.isdecimal() for word in words) and int(words[1]):  # else "max" or -1
                found.append(int(words[0]) / int(words[1]))
        return min(found, default=None)

    def _levels(
        self, controller: str, v2: tuple[str, ...], v1: tuple[str, ...]
    ) -> Iterator[tuple[Path, tuple[str, ...]]]:
        """Give this process's group and all above it, with the names of their files.

        Inside a container the path may be the host's, which isn't there: then the mount's top is the container's.
        """
        try:
            lines = self.own.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            lines = ["0::/"]
        for line in lines:
            number, _, rest = line.partition(":")
            controllers, _, path = rest.partition(":")
            if number == "0" and not controllers:
                yield from ((folder, v2) for folder in _upwards(self.mount, path))
            elif controller in controllers.split(","):
                yield from ((folder, v1) for folder in _upwards(self.mount / controller, path))


_V1_MEMORY = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def _upwards(top: Path, path: str) -> Iterator[Path]:
    parts = [part for part in path.split("/") if part and part != ".."]
    for depth in range(len(parts), -1, -1):
        folder = top.joinpath(*parts[:depth])
        if folder.is_dir():
            yield folder


def _words(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return []


def _number(file: Path) -> int | None:
    words = _words(file)
    return int(words[0]) if len(words) == 1 and words[0].isdecimal() else None


def _stat(file: Path, name: str) -> int:
    words = _words(file)
    return int(words[words.index(name) + 1]) if name in words[:-1] and words[words.index(name) + 1].isdecimal() else 0
