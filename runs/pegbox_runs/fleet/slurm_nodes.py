"""The nodes of a partition, as sinfo tells them, and what an entry can have of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pegbox_methods.refusal import Refusal
from pegbox_runs.fleet.cluster import Wanted
from pegbox_runs.fleet.slurm_commands import asked
from pegbox_runs.fleet.slurm_options import TIME, SlurmOptions, seconds_of
from pegbox_runs.printable import one_line

UNFIT = (
    "down",
    "drain",
    "fail",
    "error",
    "unknown",
    "future",
    "maint",
    "power",
    "inval",
    "reboot",
    "no_resp",
)
"""Beginnings of states in which a node takes no job. Source: sinfo(1), "NODE STATE CODES"."""
CPUS_BESIDE_GPU, CPUS_ALONE = 4, 2
"""Of each process, where the person chose none and the nodes have so many."""


class Node(NamedTuple):
    """One node of the partition."""

    name: str
    state: str
    cpus: int
    memory_mib: int
    gpus: int
    longest: str
    """A job's longest time in the partition, as sinfo writes it: `infinite`, or in words that sbatch takes."""

    @property
    def fit(self) -> bool:
        """Whether it takes jobs, now or once it is free."""
        return not self.state.startswith(UNFIT) and not self.state.endswith("*")


def nodes_of(options: SlurmOptions) -> list[Node]:
    """Read the partition's nodes; without one that is named, the default's.

    Raises: OSError: Slurm doesn't answer. Refusal: there is no such partition.
    """
    text = asked(["sinfo", "--noheader", "--Node", "--format=%N|%P|%T|%c|%m|%G|%a|%l"])
    rows = [line.split("|") for line in text.splitlines() if line.count("|") == 7]
    partitions = dict.fromkeys(row[1].rstrip("*") for row in rows)
    default = next((row[1].rstrip("*") for row in rows if row[1].endswith("*")), None)
    wanted = options.partition or default
    if wanted not in partitions:
        known = ", ".join(one_line(name, 40) for name in partitions) or "none"
        what = "Slurm names no default partition" if wanted is None else f"Slurm has no partition {wanted} with nodes"
        raise Refusal(f"--on slurm: {what}. It has {known}; name one as --on slurm:partition=NAME.")
    return [_node(row) for row in rows if row[1].rstrip("*") == wanted and row[6] == "up"]


def refuse_long(options: SlurmOptions, nodes: Sequence[Node]) -> None:
    """See that jobs may take so long: many clusters would let them wait for ever. Raises: Refusal."""
    longest = nodes[0].longest
    if options.time is None or not TIME.fullmatch(longest):
        return
    if seconds_of(options.time) > seconds_of(longest):
        raise Refusal(
            f"--on slurm: time={options.time} is above what the partition allows, {longest}. Give that, or less: an "
            "entry that needs longer goes on in another job."
        )


def gpus_on(nodes: Sequence[Node], options: SlurmOptions) -> bool:
    """Tell whether each process gets a GPU: one was asked for, or all nodes have some."""
    return options.gpu is not None or (bool(nodes) and all(node.gpus for node in nodes))


def cpus_of(nodes: Sequence[Node], options: SlurmOptions, wanted: Wanted) -> int:
    """Give the cores of each process: those that were asked for, else some, as far as a node has them."""
    if options.cpus is not None:
        return options.cpus
    usual = CPUS_BESIDE_GPU if gpus_on(nodes, options) else CPUS_ALONE
    most = max((node.cpus for node in nodes), default=usual) // wanted.processes
    return max(1, min(usual, most))


def places_on(node: Node, options: SlurmOptions, wanted: Wanted, *, gpus: bool, cpus: int) -> int:
    """Count the entries that a node carries at once."""
    rooms = [node.cpus // (cpus * wanted.processes)]
    if gpus:
        rooms.append(node.gpus // wanted.processes)
    if options.mem is None and wanted.memory_bytes:
        rooms.append(node.memory_mib * 2**20 // wanted.memory_bytes)
    return min(rooms)


def _node(row: Sequence[str]) -> Node:
    name, _, state, cpus, memory, gres, _, longest = row
    gpus = sum(_count(one) for one in gres.split(",") if one.split(":")[0] == "gpu")
    return Node(name, state.lower(), _number(cpus), _number(memory), gpus, longest)


def _count(gres: str) -> int:
    """Count the GPUs of `gpu:4`, `gpu:a100:4(S:0-1)` or `gpu`."""
    last = gres.partition("(")[0].rpartition(":")[2]
    return int(last) if last.isdigit() else 1


def _number(text: str) -> int:
    digits = text.rstrip("+")
    return int(digits) if digits.isdigit() else 0
