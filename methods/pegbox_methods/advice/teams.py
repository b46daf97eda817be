"""What a team of devices that are alike has, over one or many machines, and which devices are left out of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from pegbox_hardware.alike import Alike, Seat
from pegbox_hardware.gpu import Gpu
from pegbox_hardware.profile_rows import LinkRow
from pegbox_hardware.profiles import Profiles
from pegbox_methods.advice.records import Place, Team
from pegbox_methods.refusal import Refusal

GIB = 2**30
MOST_DEVICES = 4096
NAMED = 3
"""Devices that a sentence names."""
PCIE_OF = (((12, 0), 5), ((10, 0), 5), ((9, 0), 5), ((8, 0), 4), ((0, 0), 3))
"""Of cards that are planned for: compute capability from which they have a generation of PCIe. Source: data sheets."""
NVLINKS_OF = (((9, 0), 18), ((8, 0), 12), ((7, 0), 6))
"""Links of cards on an SXM board. Source: NVIDIA's data sheets of V100, A100, H100, B200."""


def team_of(group: Alike, profiles: Profiles, *, network: LinkRow | None = None) -> Team | None:
    """Make a team of devices that are alike; None: there is one alone.

    Over several machines each gives as many: the number at which most devices take part.
    """
    held = Counter(seat.host for seat in group.seats)
    each = max(set(held.values()), key=lambda many: (many * _with(held, many), many))
    nodes = _with(held, each)
    if each * nodes < 2:
        return None
    hosts = [host for host, many in held.items() if many >= each]
    seats = [seat for host in hosts for seat in [seat for seat in group.seats if seat.host == host][:each]]
    here = nodes == 1 and not seats[0].host
    return Team(
        devices=len(seats),
        nodes=nodes,
        at_one=max(held.values()),
        memory_free=min(seat.gpu.memory_free or 0 for seat in seats),
        link=_slowest([seat.gpu for seat in seats], profiles),
        network=None if nodes == 1 else network or profiles.network(None),
        frees=tuple(seat.gpu.memory_free or 0 for seat in seats) if here else (),
        uuids=tuple(seat.gpu.uuid for seat in seats if seat.gpu.uuid) if here else (),
    )


def _with(held: Counter[str], many: int) -> int:
    return sum(1 for number in held.values() if number >= many)


def _slowest(gpus: Sequence[Gpu], profiles: Profiles) -> LinkRow:
    links = {(gpu.compute_capability, gpu.nvlinks, gpu.pcie_generation, gpu.pcie_lanes) for gpu in gpus}
    rows = [
        profiles.card_link(_capability(capability), nvlinks, (generation, lanes))
        for capability, nvlinks, generation, lanes in links
    ]
    return min(rows, key=lambda row: row.gbs)


def _capability(said: str | None) -> tuple[int, int] | None:
    major, _, minor = (said or "").partition(".")
    return (int(major), int(minor or 0)) if major else None


def left_out(group: Alike | None, others: Sequence[Alike], apart: Sequence[Gpu] = ()) -> tuple[str, ...]:
    """Say which devices don't take part, and why, a clause each. `apart`: those that are alike with none."""
    said = []
    if group is not None and group.busy:
        said.append(f"left out, as others use their memory: {_named(group.busy)}")
    if others:
        shown = [(len(other.seats) + len(other.busy), other.seats[0].gpu.name) for other in others[:NAMED]]
        kinds = ", ".join(f"{many} x {name}" for many, name in shown)
        more = ", ..." if len(others) > NAMED else ""
        said.append(f"left out, as the slowest and smallest would decide for all: {kinds}{more}")
    slices = Counter(gpu.name for gpu in apart if gpu.slice_of is not None)
    if slices:
        kinds = ", ".join(f"{many} x {name}" for name, many in slices.most_common(NAMED))
        more = ", ..." if len(slices) > NAMED else ""
        said.append(f"left out, as MIG slices can't carry a run together, nor with a whole card: {kinds}{more}")
    return tuple(said)


def _named(seats: Sequence[Seat]) -> str:
    shown = [_seat(seat) for seat in seats[:NAMED]]
    more = len(seats) - len(shown)
    return ", ".join(shown) + (f", {more} more" if more else "")


def _seat(seat: Seat) -> str:
    gpu = seat.gpu
    where = f" of {seat.host}" if seat.host else ""
    held = f", held by {gpu.holders[0].name or 'a process'}" if gpu.holders else ""
    return f"GPU {gpu.index}{where} ({(gpu.memory_free or 0) / GIB:.1f} GiB free{held})"


def with_team(
    place: Place, profiles: Profiles, *, devices: int | None, nodes: int = 1, network_gbit: float | None = None
) -> Place:
    """Plan for a number of such devices on each of so many machines, as the person asked.

    `devices` None: all that are here, or one of a planned card.
    Raises: Refusal: fewer are here, or no sensible number.
    """
    refuse_numbers(devices, nodes, network_gbit)
    team = place.team
    here = 1 if team is None or team.nodes > 1 else team.devices
    each = devices if devices is not None else here
    if each * nodes > MOST_DEVICES:
        raise Refusal(f"{nodes} x {each} devices: at most {MOST_DEVICES} carry a run together.")
    if not place.planned and each > here and place.accelerator != "cpu":
        out = "".join(f"; {why}" for why in place.left_out)
        raise Refusal(
            f"--devices {each}: {'1 device' if here == 1 else f'{here} devices'} of this machine can carry a run "
            f"together ({place.name}{out}). Take that many, or plan for others by --gpu NAME."
        )
    if not place.planned and place.cores is not None and each > place.cores:
        raise Refusal(
            f"--devices {each}: this machine has no GPU, and {place.cores} cores; expected at most one process a core."
        )
    if each * nodes == 1:
        return msgspec.structs.replace(place, team=None, left_out=() if devices == 1 else place.left_out)
    asked = devices is not None or nodes > 1
    made = Team(
        devices=each * nodes,
        nodes=nodes,
        memory_free=place.memory_free if team is None else team.memory_free,
        link=_link(place, profiles) if team is None else team.link,
        network=profiles.network(network_gbit) if nodes > 1 else None,
        frees=() if team is None or nodes > 1 else team.frees[:each],
        uuids=() if team is None or nodes > 1 else team.uuids[:each],
        asked=asked,
    )
    return msgspec.structs.replace(place, team=made)


def refuse_numbers(devices: int | None, nodes: int, network_gbit: float | None) -> None:
    """Refuse numbers that no run could have. Raises: Refusal."""
    for flag, number in (("--devices", devices), ("--nodes", nodes)):
        if number is not None and not 1 <= number <= MOST_DEVICES:
            raise Refusal(f"{flag} {number}: expected a whole number from 1 to {MOST_DEVICES}.")
    if network_gbit is not None and not 0 < network_gbit <= 100_000:
        raise Refusal(f"--network {network_gbit:g}: expected the network's speed in Gbit/s, above 0.")
    if network_gbit is not None and nodes == 1:
        raise Refusal("--network is the link between machines: name their number by --nodes.")


def _link(place: Place, profiles: Profiles) -> LinkRow:
    """Take the usual link of a card that isn't here."""
    if place.accelerator == "cpu":
        return profiles.shared_memory
    capability = place.capability or (0, 0)
    generation = next(pcie for least, pcie in PCIE_OF if capability >= least)
    links = None
    if "SXM" in place.name or place.name.startswith(("B200", "GB200", "B300")):
        links = next((many for least, many in NVLINKS_OF if capability >= least), None)
    return profiles.card_link(place.capability, links, (generation if place.capability else None, 16))
