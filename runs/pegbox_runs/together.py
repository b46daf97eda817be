"""The processes that carry a run together, in words: how many, by which engine, where, and which of them failed.

Names in a log may hold anything: they come out printable, bounded, and a few of however many.
"""

from __future__ import annotations

from collections.abc import Sequence

from pegbox_methods.events import Joined, Member, RankFailed
from pegbox_runs.printable import one_line
from pegbox_runs.run_state import RunState

ENGINES = {"ddp": "DDP", "fsdp2": "FSDP2"}
MOST_NAMES = 3
"""Machines, or devices, that are named; of more, the first two."""
NAME, WHAT = 40, 400
"""Characters."""


def carried_by(state: RunState, *, brief: bool = False, names: bool = True) -> str | None:
    """Say who carries a run: `2 processes, DDP on node-a (cuda:0, cuda:1)`. None: one process does, as usual.

    `brief`: only how many, and the engine. `names`: whether machines are named; they are counted anyway.
    """
    joined = state.joined
    if joined is None:
        told = state.prepared.processes if state.prepared else 1
        return processes(told) if told > 1 else None
    return processes(len(joined.members), joined.engine) if brief else _whole(joined, names=names)


def processes(number: int, engine: str | None = None) -> str:
    """Count them, and name what binds them: `2 processes, DDP`."""
    counted = f"{number:,} process{'' if number == 1 else 'es'}"
    return f"{counted}, {ENGINES.get(engine, one_line(engine, 12))}" if engine else counted


def kinds_of_device(joined: Joined) -> dict[str, int]:
    """Count the processes by the name of their card; `cpu` where there is none, and `cuda` where it isn't told."""
    counted: dict[str, int] = {}
    for member in joined.members:
        place, _, name = member.device.partition(" (")
        kind = one_line(name.removesuffix(")") or place.partition(":")[0], NAME)
        counted[kind] = counted.get(kind, 0) + 1
    return counted


def joined_sentence(event: Joined, *, names: bool = True) -> str:
    """Tell that all are there, and how long they waited for the last one."""
    return f"carried by {_whole(event, names=names)}; all were there after {event.seconds:.1f} s"


def failure_sentence(event: RankFailed, *, names: bool = True) -> str:
    """Tell which process failed, where, and of what; one that only lost the others isn't told as the cause."""
    did = "failed" if event.first else "lost the others"
    when = f"at step {event.step:,}" if event.step else "before its first step"
    what = event.what.removeprefix(f"rank {event.rank} on {event.host}").lstrip(": ")  # the crew names it too
    return f"{process_name(event, names=names)} {did} {when}{how_it_ended(event)}: {one_line(what, WHAT)}"


def without_machines(text: str, state: RunState) -> str:
    """Leave out on which machine a process is: `rank 1 on node-b was killed` becomes `rank 1 was killed`."""
    members = state.joined.members if state.joined else ()
    hosts = {member.host for member in members} | {one.host for one in state.rank_failures}
    for host in sorted(hosts, key=len, reverse=True):
        text = text.replace(f" on {host}", "") if host else text
    return text


def process_name(event: RankFailed, *, names: bool) -> str:
    """Name it by its number, and its machine."""
    return f"rank {event.rank}" + (f" on {one_line(event.host, NAME)}" if names else "")


def how_it_ended(event: RankFailed) -> str:
    """Give its signal or its exit code, in brackets behind a space; empty: nobody saw its end."""
    if event.signal is not None:
        return f" ({one_line(event.signal, 20)})"
    return f" (exit code {event.exit_code})" if event.exit_code is not None else ""


def _whole(joined: Joined, *, names: bool) -> str:
    return f"{processes(len(joined.members), joined.engine)} {_where(joined.members, names=names)}"


def _where(members: Sequence[Member], *, names: bool) -> str:
    hosts = list(dict.fromkeys(member.host for member in members))
    if len(hosts) > 1:
        return f"on {len(hosts):,} machines" + (f" ({_some(hosts)})" if names else "")
    devices = list(dict.fromkeys(member.device.partition(" (")[0] for member in members))
    where = f"on {one_line(hosts[0], NAME)} " if names and hosts else ""
    return f"{where}({_span(devices) or _some(devices)})"


def _span(devices: Sequence[str]) -> str | None:
    """Write `cuda:0` to `cuda:7` as a span; None: they are too few for one, or aren't in a row."""
    kinds = {device.partition(":")[0] for device in devices}
    if len(devices) <= MOST_NAMES or len(kinds) > 1:
        return None
    if list(devices) != [f"{min(kinds)}:{number}" for number in range(len(devices))]:
        return None
    return f"{one_line(devices[0], NAME)} to {one_line(devices[-1], NAME)}"


def _some(names: Sequence[str]) -> str:
    shown = [one_line(name, NAME) for name in names[: MOST_NAMES if len(names) <= MOST_NAMES else MOST_NAMES - 1]]
    left = len(names) - len(shown)
    return ", ".join(shown) + (f" and {left:,} more" if left else "")
