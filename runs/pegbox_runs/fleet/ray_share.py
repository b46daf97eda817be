"""What an entry asks a Ray cluster for, and which cluster is meant: without Ray itself."""

from __future__ import annotations

from collections.abc import Sequence

from pegbox_methods.refusal import Refusal
from pegbox_runs.figures import gib
from pegbox_runs.fleet.cluster import Wanted
from pegbox_runs.printable import one_line

CLIENT_PORT = 10001
"""On which Ray's client server listens by default."""


def share_of(nodes: Sequence[dict[str, float]], wanted: Wanted) -> dict[str, float]:
    """Give what an entry asks for: GPUs where the cluster has some, one for each process; else a whole small node.

    `at_once` parts the cores further. Pure.
    """
    share: dict[str, float] = {}
    if has_gpus(nodes):
        with_gpu = [node for node in nodes if node.get("GPU", 0) >= 1]
        share["GPU"] = wanted.processes
        share["CPU"] = max(1, min(int(node.get("CPU", 1) / node["GPU"]) for node in with_gpu) * wanted.processes)
    else:
        cores = [int(node.get("CPU", 0)) for node in nodes if node.get("CPU", 0) >= 1] or [1]
        share["CPU"] = max(1, wanted.processes, min(cores))
        if wanted.at_once is not None:
            share["CPU"] = max(1, wanted.processes, min(share["CPU"], sum(cores) // wanted.at_once))
        if wanted.memory_bytes:
            share["memory"] = wanted.memory_bytes
    return share


def has_gpus(nodes: Sequence[dict[str, float]]) -> bool:
    """Tell whether any node has a GPU."""
    return any(node.get("GPU", 0) >= 1 for node in nodes)


def carries(node: dict[str, float], share: dict[str, float]) -> int:
    """Count the entries that a node has room for."""
    return min(int(node.get(name, 0) // amount) for name, amount in share.items() if amount)


def too_little(nodes: Sequence[dict[str, float]], share: dict[str, float], name: str) -> str:
    """Say what an entry takes, and what each node has."""

    def words(amounts: dict[str, float]) -> str:
        told = [count(amounts.get("GPU", 0), "GPU")] if "GPU" in share else []
        told.append(count(amounts.get("CPU", 0), "core"))
        if "memory" in share:
            told.append(f"{gib(round(amounts.get('memory', 0)))} of memory")
        return ", ".join(told)

    found = "; ".join(dict.fromkeys(words(node) for node in nodes)) or "there is none"
    return f"{name} has no node with room for an entry, which takes {words(share)}; its nodes have: {found}."


def address_of(on: str) -> str:
    """Read what `--on` says. Raises: Refusal."""
    if on == "ray":
        return "auto"
    client = on.startswith("ray://")
    host, _, port = on.removeprefix("ray://" if client else "ray:").strip("/").rpartition(":")
    if client and not host:
        host, port = port, str(CLIENT_PORT)
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise Refusal(
            f"--on {one_line(on, 80)}: expected ray (the cluster that this machine is a node of), ray:HOST:PORT (such "
            f"a one by its head's address), or ray://HOST:{CLIENT_PORT} (another, through its client server)."
        )
    return f"ray://{host}:{port}" if client else f"{host}:{port}"


def count(number: float, what: str) -> str:
    """Put a number before its noun."""
    return f"{number:g} {what}{'' if number == 1 else 's'}"
