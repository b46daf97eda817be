"""The RAM that there really is: the host's, or what the container allows of it."""

from __future__ import annotations

from dataclasses import dataclass

import psutil

from pegbox_hardware.cgroup import Cgroups


@dataclass(frozen=True)
class Memory:
    """RAM in bytes."""

    total: int
    """The smaller of the host's RAM and the container's limit."""
    available: int
    """What can be taken before something swaps or is killed."""
    limit: int | None
    """The container's limit where it is below the host's RAM."""
    host_total: int


def read_memory(cgroups: Cgroups | None = None) -> Memory:
    """Read it now."""
    host = psutil.virtual_memory()
    limit, left = (cgroups or Cgroups()).memory()
    if limit is None or limit >= host.total:
        return Memory(total=host.total, available=host.available, limit=None, host_total=host.total)
    available = host.available if left is None else min(host.available, left)
    return Memory(total=limit, available=available, limit=limit, host_total=host.total)
