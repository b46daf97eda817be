"""The devices that a run could use, each with its policy, and the free memory that counts."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pegbox_hardware.alike import Alike, Seat, alike, stands_alone, teams_for
from pegbox_hardware.gpu import Gpu
from pegbox_hardware.machine import Machine
from pegbox_hardware.profile_rows import Accelerator, CardRow
from pegbox_hardware.profiles import Profiles, UnknownCard
from pegbox_methods.advice.records import Place
from pegbox_methods.advice.teams import left_out, team_of
from pegbox_methods.refusal import Refusal

GIB = 2**30
MOST_KINDS = 8
"""Of an inventory: those of which there are most."""
MOST_GIB = 100_000
MAC = "`pegbox train` computes on the processor of a Mac today, in fp32: this holds for its GPU"
BF16_FROM = (8, 0)
"""Compute capability from which NVIDIA's cards compute in bfloat16."""
CPU_ROWS = (("amx_bf16", "CPU amx_bf16"), ("avx512_bf16", "CPU avx512_bf16"), ("avx512f", "CPU avx512f"))
CPU_BF16 = frozenset(("amx_bf16", "avx512_bf16"))
"""What the worker takes as a reason to compute in bfloat16 on a processor."""


def places_of(machine: Machine, profiles: Profiles) -> tuple[Place, ...]:
    """List this machine's devices worth advising for: of several GPUs the roomiest, the fastest, and one of each kind
    of which several are alike; else the processor.

    Memory of several GPUs is never added up. Each place names the team that it belongs to.
    """
    gpus = [
        (number, gpu) for number, gpu in enumerate(machine.gpus) if gpu.memory_total and gpu.memory_free is not None
    ]
    groups = alike(Seat("", gpu) for _, gpu in gpus)
    apart = [gpu for _, gpu in gpus if stands_alone(gpu)]
    found = [_in_team(_gpu_place(gpu, number, machine, profiles), gpu, groups, apart, profiles) for number, gpu in gpus]
    if not found:
        return (_processor(machine, profiles),)
    roomiest = max(found, key=lambda place: place.usable_bytes)
    fastest = max(found, key=lambda place: (_rate(place.card), place.usable_bytes))
    worth = [roomiest] if fastest is roomiest or fastest.name == roomiest.name else [roomiest, fastest]
    for place in sorted(found, key=lambda place: -place.usable_bytes):
        if place.team is not None and place.team not in [one.team for one in worth]:
            worth.append(place)
    return tuple(worth)


def places_in(seats: Sequence[Seat], profiles: Profiles) -> tuple[Place, ...]:
    """List an inventory's devices worth advising for: of the kinds with most of them the freest, each with its team."""
    known = [seat for seat in seats if seat.gpu.memory_total and seat.gpu.memory_free is not None]
    groups = alike(known)
    apart = [seat.gpu for seat in known if stands_alone(seat.gpu)]
    found = []
    for group in groups[:MOST_KINDS]:
        gpu = group.seats[0].gpu
        place = _gpu_place(gpu, 0, None, profiles)
        found.append(_in_team(place, gpu, groups, apart, profiles))
    return tuple(found)


def kinds_for(machine: Machine, count: int, profiles: Profiles) -> list[tuple[Place, list[Gpu]]]:
    """Describe the GPUs that could carry a run of so many processes here, the roomiest kind first.

    Returns: each kind as the freest of its GPUs with the others as its team, and those GPUs in the driver's order; none
    where there aren't so many of one kind.
    """
    gpus = [gpu for gpu in machine.gpus if gpu.kind == "cuda"] or [gpu for gpu in machine.gpus if gpu.kind == "rocm"]
    found = []
    for chosen in teams_for(gpus, count):
        freest = sorted(chosen, key=lambda gpu: -(gpu.memory_free or 0))
        if freest[-1].memory_total:
            team = team_of(Alike(tuple(Seat("", gpu) for gpu in freest), ()), profiles)
            place = msgspec.structs.replace(_gpu_place(freest[0], 0, machine, profiles), team=team)
            found.append((place, chosen))
    return found


def most_alike(places: Sequence[Place]) -> Place:
    """Take the kind of which most devices are at hand; of two, the roomier."""
    return max(places, key=lambda place: (place.team.devices if place.team else 1, place.usable_bytes))


def having(places: Sequence[Place], devices: int | None) -> Sequence[Place]:
    """Leave those of which so many are at hand; where there are none, the kind with the most, to say so of it."""
    found = [place for place in places if (place.team.devices if place.team else 1) >= (devices or 1)]
    return found or [most_alike(places)]


def planned_card(name: str, profiles: Profiles) -> Place:
    """Plan for a card by its name; all its memory counts as free.

    Raises: Refusal: the table has no such card; names those that come close.
    """
    try:
        card = profiles.card(name)
    except UnknownCard as error:
        raise Refusal(f"--gpu {name}: {error}") from None
    return _planned(card.name, card.accelerator, card.capability, card.memory_bytes, profiles, card)


def planned_memory(vram_gib: float, profiles: Profiles) -> Place:
    """Plan for an NVIDIA card of which only the memory is known.

    Raises: Refusal: no sensible amount.
    """
    if not 0 < vram_gib <= MOST_GIB:
        raise Refusal(f"--vram {vram_gib:g}: expected the card's memory in GiB, above 0 and at most {MOST_GIB}.")
    place = _planned(f"a card of {vram_gib:g} GiB", "cuda", BF16_FROM, round(vram_gib * GIB), profiles, None)
    note = "taken as an NVIDIA card of compute capability 8.0 or above (RTX 30 and newer)"
    return msgspec.structs.replace(place, notes=(*place.notes, note))


def _planned(
    name: str,
    accelerator: Accelerator,
    capability: tuple[int, int] | None,
    total: int,
    profiles: Profiles,
    card: CardRow | None,
) -> Place:
    policy = profiles.policy(accelerator, capability, total)
    return Place(
        name=name,
        accelerator=accelerator,
        capability=capability,
        memory_total=total,
        memory_free=total,
        margin=profiles.margin(policy, card),
        policy=policy,
        card=card.with_cores(1) if card else None,
        planned=True,
        bf16=policy.dtype == "bf16",
        notes=("all its memory is taken as free", *([MAC] if accelerator == "mps" else [])),
    )


def _gpu_place(gpu: Gpu, number: int, machine: Machine | None, profiles: Profiles) -> Place:
    total, free = gpu.memory_total or 0, gpu.memory_free or 0
    capability = capability_of(gpu)
    # A slice has its own memory, and a part of its card's speed that the table doesn't know.
    card = None if gpu.slice_of is not None else profiles.card_of(gpu.name, total)
    if capability is None and card is not None:
        capability = card.capability
    policy = profiles.policy(gpu.kind, capability, total)
    # What a desktop holds is missing from the free memory already; shared RAM can be taken by anybody at any time.
    margin = profiles.margin(policy, card) if gpu.unified else policy.margin
    notes = []
    if gpu.slice_of is not None:
        notes.append(f"a MIG slice: its own {total / GIB:.1f} GiB count, not the card's")
    if gpu.unified:
        notes.append("its memory is the machine's RAM, so a larger part stays free")
    if gpu.kind == "mps":
        notes.append(MAC)
    if machine is not None and len(machine.gpus) > 1:
        notes.append(f"one of {len(machine.gpus)} devices: their memory doesn't add up")
    return Place(
        name=gpu.name,
        accelerator=gpu.kind,
        capability=capability,
        memory_total=total,
        memory_free=min(free, total),
        margin=margin,
        policy=policy,
        card=card,
        bf16=capability >= BF16_FROM if gpu.kind == "cuda" and capability else policy.dtype == "bf16",
        uuid=gpu.uuid if gpu.uuid and not (number == 0 and _is_freest(gpu, machine)) else None,
        held_by=_holders(gpu),
        notes=tuple(notes),
        ram_total=None if machine is None else machine.memory_total,
        ram_free=None if machine is None else machine.memory_available,
    )


def _is_freest(gpu: Gpu, machine: Machine | None) -> bool:
    """Tell whether a run takes the first device unasked: none has more memory free."""
    others = () if machine is None else machine.gpus
    return all((one.memory_free or 0) <= (gpu.memory_free or 0) for one in others)


def _in_team(place: Place, gpu: Gpu, groups: Sequence[Alike], apart: Sequence[Gpu], profiles: Profiles) -> Place:
    """Name the devices that could carry a run together with one, and those that can't."""
    own = next((group for group in groups if any(seat.gpu is gpu for seat in group.seats)), None)
    besides = [one for one in apart if one is not gpu]
    team = None if own is None else team_of(own, profiles)
    others = [group for group in groups if group is not own] if team is not None else []
    return msgspec.structs.replace(place, team=team, left_out=left_out(own, others, besides))


def _processor(machine: Machine, profiles: Profiles) -> Place:
    policy = profiles.policy("cpu", None, machine.memory_total)
    row = next((name for flag, name in CPU_ROWS if flag in machine.cpu_flags), "CPU")
    card = profiles.card(row).with_cores(machine.cores)
    why = "the GPU's memory can't be read" if machine.gpus else "no GPU that this process may use"
    doctor = " (`pegbox doctor` says more)" if machine.troubles or machine.gpus else ""
    note = f"{why}{doctor}: {machine.cores} cores of the processor, and RAM"
    return Place(
        name=machine.cpu,
        accelerator="cpu",
        capability=None,
        memory_total=machine.memory_total,
        memory_free=machine.memory_available,
        margin=policy.margin,
        policy=policy,
        card=card,
        bf16=bool(CPU_BF16 & {*machine.cpu_flags}),
        notes=(note,),
        ram_total=machine.memory_total,
        ram_free=machine.memory_available,
        cores=machine.cores,
    )


def capability_of(gpu: Gpu) -> tuple[int, int] | None:
    """Give a GPU's CUDA compute capability; None: it has none, or the driver doesn't tell."""
    if gpu.compute_capability is None:
        return None
    major, _, minor = gpu.compute_capability.partition(".")
    return int(major), int(minor or 0)


def _rate(card: CardRow | None) -> float:
    return max(card.bf16_tflops or 0.0, card.fp16_tflops or 0.0, card.fp32_tflops) if card else 0.0


def _holders(gpu: Gpu) -> str | None:
    names = [f"{holder.name or 'a process'} ({holder.pid})" for holder in gpu.holders[:3]]
    return ", ".join(names) or None
