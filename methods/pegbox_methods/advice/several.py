"""Whether several devices should carry a run: how many, by which engine, and where more stop paying."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from pegbox_hardware.forecast.host import HostMemory
from pegbox_hardware.forecast.time import SpeedUp, speed_up
from pegbox_hardware.profile_rows import LinkRow
from pegbox_methods.advice.deciding import Decision
from pegbox_methods.advice.goals import Rule
from pegbox_methods.advice.ram import lacking_ram, ram_of, tight_ram
from pegbox_methods.advice.records import DevicePlan, Place, Team
from pegbox_methods.advice.search import Found
from pegbox_methods.advice.situation import Situation
from pegbox_methods.card import Card
from pegbox_methods.refusal import Refusal

GIB = 2**30
PAYS = 1.2
"""Times as fast that twice the devices must be, or the half of them is advised: the rest may do something else."""
SHORT_SECONDS = 60.0
"""A run that takes no longer on one device isn't worth several: to start and join them takes a good part of that."""
ON_PROCESSOR = (
    "each process holds the base model, and takes its part of a step's rows on its part of the cores. Processes wait "
    "for one another once a step, threads in every operation: with 2 cores they were 1.06 to 2.1 times as fast"
)
Deciding = Callable[[Situation, Card | None], Decision]
"""For a situation, among all methods or with one alone."""


def place_for(place: Place, processes: int) -> Place:
    """Give the device as each of several processes finds it: the one of them that has least memory."""
    if processes == 1:
        return place
    if place.accelerator == "cpu":
        here = processes // (1 if place.team is None else place.team.nodes_for(processes) or 1)
        parted = place.memory_total // here, place.memory_free // here
        return msgspec.structs.replace(place, memory_total=parted[0], memory_free=parted[1])
    least = place.memory_free if place.team is None else place.team.least_free(processes)
    return msgspec.structs.replace(place, memory_free=min(place.memory_free, least))


def together(alone: Decision, deciding: Deciding) -> Decision:
    """Take several devices in place of one where that makes it fit, or faster by enough.

    What fits on one is held whole by each (DDP); what doesn't is parted among them (FSDP2), if the method allows it.
    `deciding` decides for a situation; Raises there: Refusal: no method can be used in it.
    """
    place = alone.now.place
    team = place.team
    if team is None:
        return dataclasses.replace(alone, told=place.left_out)
    if place.accelerator == "mps":
        why = f"one process is advised, not {team.devices}: the GPU of a Mac is one device"
        return dataclasses.replace(alone, told=(*place.left_out, why))
    counts = _counts(team, alone.now.batch)
    short = _short(alone)
    if not counts or (short and not team.asked):
        why = short or f"a step of {alone.now.batch.value} rows doesn't part among more"
        return dataclasses.replace(alone, told=(*place.left_out, f"one of {team.devices} devices is advised: {why}"))
    found, stops = None, ""
    for way in _ways(alone):
        found, stops = _paying(alone, counts, way, deciding)
        if found is not None or stops:
            break
    if found is None:
        why = stops or _no_help(alone, counts, deciding)
        return dataclasses.replace(alone, told=(*place.left_out, why))
    return _planned(alone, found, team, stops)


def beside_others(chosen: Decision, deciding: Deciding) -> Decision:
    """Price the other methods too, in the situation in which one alone was decided for."""
    if chosen.plan is None or chosen.winner is None:
        return chosen
    whole = deciding(chosen.now, None)
    same = whole.winner is not None and whole.winner.pricing.card.name == chosen.winner.pricing.card.name
    if not same:  # another would win among so many; what one device trains with stays
        others = tuple(one for one in whole.found if one.pricing.card.name != chosen.winner.pricing.card.name)
        return dataclasses.replace(chosen, found=(*chosen.found, *others), refused=whole.refused)
    return dataclasses.replace(whole, plan=chosen.plan, told=chosen.told)


def _counts(team: Team, batch: Rule) -> list[int]:
    """List the numbers of devices to try, the fewest first: powers of two, which part a step's rows alike."""
    if team.asked:
        return [team.devices] if team.devices > 1 else []
    powers = [1 << power for power in range(1, team.devices.bit_length())]
    return [count for count in powers if batch.value % count == 0 and team.nodes_for(count) is not None]


def _short(alone: Decision) -> str:
    time = None if alone.winner is None or alone.now.data is None else alone.winner.best.time
    if time is None or time.seconds > SHORT_SECONDS:
        return ""
    return f"the whole run takes about {time.seconds:.0f} s on it, which starting several would use up"


def _situation(now: Situation, count: int, *, sharded: bool) -> Situation:
    team = now.place.team
    assert team is not None  # noqa: S101
    return dataclasses.replace(
        now,
        place=place_for(now.place, count),
        processes=count,
        sharded=sharded,
        link=team.between(count),
        batch=_parted(now.batch, count),
    )


def _parted(batch: Rule, count: int) -> Rule:
    """Keep a step's rows, or take the nearest number that so many devices part alike."""
    if batch.value % count == 0:
        return batch
    value = count * max(1, round(batch.value / count))
    why = f"the nearest to {batch.value} that {count} devices part alike; {batch.why}"
    return Rule(value, why, batch.source)


class _Way(NamedTuple):
    """How several devices may carry a run."""

    only: Card | None
    """The one method that is asked for; None: any."""
    sharded: bool


def _ways(alone: Decision) -> list[_Way]:
    """List the ways to try, the best first: whole on each by the method that one device would take, then by any, which
    may pack the base; only then parted."""
    whole_there = alone.now.place.accelerator == "cpu"  # where all share one memory, to part the base saves nothing
    if alone.winner is None:
        return [] if whole_there else [_Way(None, sharded=True)]
    same = alone.winner.pricing.card
    parted = [] if whole_there else [_Way(None, sharded=True)]
    return [_Way(same, sharded=False), _Way(None, sharded=False), *parted]


def _paying(alone: Decision, counts: Sequence[int], way: _Way, deciding: Deciding) -> tuple[Decision | None, str]:
    """Take as many devices as pay, the fewest first; as many as were asked for in any case, unless the base is parted
    that fits on one.

    Returns: (the decision, None where nothing fits or none pays; why no more of them).
    """
    chosen: Decision | None = None
    team = alone.now.place.team
    assert team is not None  # noqa: S101
    for count in counts:
        more = _found(alone, count, way, deciding)
        if more is None:
            continue
        if lacking := lacking_ram(_ram(more), more.now.place):  # more of them lack more
            return chosen, lacking if chosen is not None else ""
        rival = alone if chosen is None and (way.sharded or not team.asked) else chosen
        if rival is not None and rival.winner is not None and not _pays(rival, more):
            gain = f"{_speed(more) / _speed(rival):.2f} times as fast as {rival.now.processes}"
            return chosen, f"{count} of the {team.devices} devices would be {gain}: they wait for one another"
        chosen = more
    return chosen, ""


def _pays(few: Decision, more: Decision) -> bool:
    """Tell whether more devices are worth it: faster by enough, or no slower with a base that isn't packed any more."""
    least = 1.0 if _packs(few) and not _packs(more) else PAYS
    return _speed(more) >= least * _speed(few)


def _found(alone: Decision, count: int, way: _Way, deciding: Deciding) -> Decision | None:
    """Decide for so many devices; None: nothing fits, or the one method at a lower rank alone."""
    try:
        found = deciding(_situation(alone.now, count, sharded=way.sharded), way.only)
    except Refusal:
        return None
    if found.winner is None or (
        way.only is not None and alone.winner is not None and _lower(found.winner, alone.winner)
    ):
        return None  # at the same rank a packed base comes first, as on one device
    return found


def _lower(found: Found, than: Found) -> bool:
    return found.best.setup.rank < than.best.setup.rank


def _speed(decision: Decision) -> float:
    return 0.0 if decision.winner is None else decision.winner.best.speed


def _packs(decision: Decision) -> bool:
    return decision.winner is not None and decision.winner.best.setup.quantized


def _planned(alone: Decision, chosen: Decision, team: Team, stops: str) -> Decision:
    now, winner = chosen.now, chosen.winner
    assert winner is not None  # noqa: S101
    gain = _gain(alone, chosen)
    if not stops and team.asked and gain is not None and gain.likely < PAYS:
        stops = f"{now.processes} devices are about {gain.likely:.2f} times as fast as one: one does nearly as well"
    time = winner.best.time
    plan = DevicePlan(
        engine="fsdp2" if now.sharded else "ddp",
        processes=now.processes,
        nodes=team.nodes_for(now.processes) or team.nodes,
        uuids=team.uuids[: now.processes],
        why=_why(alone, chosen),
        speed_up=gain,
        communication=None if time is None else time.communication,
        host=_ram(chosen),
        stops_paying=stops,
    )
    tight = tight_ram(plan.host, now.place)
    return dataclasses.replace(chosen, plan=plan, told=(*now.place.left_out, *([tight] if tight else ())))


def _ram(decision: Decision) -> HostMemory | None:
    now, winner, team = decision.now, decision.winner, decision.now.place.team
    if winner is None:
        return None
    nodes = 1 if team is None else team.nodes_for(now.processes) or team.nodes
    return ram_of(now.place, now.shape, winner.best.setup, winner.best.memory, nodes=nodes)


def _why(alone: Decision, chosen: Decision) -> str:
    count = chosen.now.processes
    if chosen.now.place.accelerator == "cpu":
        return ON_PROCESSOR
    if not chosen.now.sharded:
        said = f"the base model fits on each of the {count} devices; each takes its part of a step's rows"
        one, many = alone.winner, chosen.winner
        if one is None or many is None or one.pricing.card.name == many.pricing.card.name:
            return said
        return f"{said}. {one.pricing.card.title} fits on one alone, and no more beside what {count} need to talk"
    if alone.winner is not None:
        return (
            f"beside what {count} processes need to talk, no method fits whole: each device holds 1/{count} of the base"
        )
    least = min(alone.found, key=lambda one: -one.best.margin_bytes)
    name, lacking = least.pricing.card.name, -least.best.margin_bytes / GIB
    return f"it fits on no single device (even {name} lacks {lacking:.1f} GiB): each holds 1/{count} of the base model"


def _gain(alone: Decision, chosen: Decision) -> SpeedUp | None:
    one, many, link = alone.winner, chosen.winner, chosen.now.link
    card = chosen.now.place.card
    if one is None or many is None or card is None or link is None:
        return None
    setup = many.best.setup
    return speed_up(
        chosen.now.shape,
        one.best.setup,
        setup,
        many.pricing.footprint.trainable_weights,
        card,
        link,
        row_tokens=many.pricing.row_tokens(setup.length),
        step_time_ratio=many.pricing.step_time_ratio,
    )


def _no_help(alone: Decision, counts: Sequence[int], deciding: Deciding) -> str:
    """Say why several devices are no help."""
    count = counts[-1]
    for way in _ways(alone):
        held = _found(alone, counts[0], way, deciding)
        if held is not None and (short := lacking_ram(_ram(held), held.now.place)):
            said = "together are no help" if alone.winner is None else "aren't advised, but one"
            return f"{counts[0]} devices {said}: {short}"
    if alone.now.place.accelerator == "cpu":
        why = f"each would hold the base model, and 1/{count} of the RAM is too little"
        return f"one process is advised, not {count}: {why}"
    if alone.winner is not None:
        return f"one of {count} devices is advised: beside what several need to talk, no method fits on each"
    try:
        found = deciding(_situation(alone.now, count, sharded=True), None).found
    except Refusal as refusal:
        return f"{count} devices together are no help: {refusal.sentence.rstrip('.')}"
    least = max(found, key=lambda one: one.best.margin_bytes)
    lacking = -least.best.margin_bytes / GIB
    return (
        f"{count} devices together are no help: with the base model parted among them, even {least.pricing.card.name} "
        f"lacks {lacking:.1f} GiB on each"
    )


def link_for(place: Place, processes: int) -> LinkRow | None:
    """Give the link that so many processes talk over; None: there is one process, or nothing is known of others."""
    return None if processes == 1 or place.team is None else place.team.between(processes)
