"""Whether several devices should carry a run: how many, by which engine, and where more stop paying."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import msgspec

from pegbox_hardware.forecast.time import SpeedUp, speed_up
from pegbox_hardware.profile_rows import LinkRow
from pegbox_methods.advice.deciding import Decision
from pegbox_methods.advice.goals import Rule
from pegbox_methods.advice.records import DevicePlan, Place, Team
from pegbox_methods.advice.situation import Situation
from pegbox_methods.card import Card
from pegbox_methods.refusal import Refusal

GIB = 2**30
PAYS = 1.2
"""Times as fast that twice the devices must be, or the half of them is advised: the rest may do something else."""
SHORT_SECONDS = 60.0
"""A run that takes no longer on one device isn't worth several: to start and join them takes a good part of that."""
ON_PROCESSOR = (
    "one process uses all cores of the processor: its threads are as good as several processes (measured with 2 cores: "
    "186 to 197 tokens/s by two processes, 178 by two threads), and each process would hold the base once more"
)
Deciding = Callable[[Situation, Card | None], Decision]
"""For a situation, among all methods or with one alone."""


def place_for(place: Place, processes: int) -> Place:
    """Give the device as each of several processes finds it: the one of them that has least memory."""
    if processes == 1:
        return place
    if place.accelerator == "cpu":
        parted = place.memory_total // processes, place.memory_free // processes
        return msgspec.structs.replace(place, memory_total=parted[0], memory_free=parted[1])
    least = place.memory_free if place.team is None else place.team.memory_free
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
    if place.accelerator in ("cpu", "mps"):
        why = ON_PROCESSOR if place.accelerator == "cpu" else "the GPU of a Mac is one device"
        return dataclasses.replace(alone, told=(*place.left_out, f"one process is advised, not {team.devices}: {why}"))
    counts = _counts(team, alone.now.batch)
    short = _short(alone)
    if not counts or (short and not team.asked):
        why = short or f"a step of {alone.now.batch.value} rows doesn't part among more"
        return dataclasses.replace(alone, told=(*place.left_out, f"one of {team.devices} devices is advised: {why}"))
    tried = [] if alone.winner is None else [(alone, count, False) for count in counts]
    found, stops = _paying(tried, team, deciding)
    if found is None:
        found, stops = _paying([(alone, count, True) for count in counts], team, deciding)
    if found is None:
        return dataclasses.replace(alone, told=(*place.left_out, _no_help(alone, counts, deciding)))
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


def _paying(tried: Sequence[tuple[Decision, int, bool]], team: Team, deciding: Deciding) -> tuple[Decision | None, str]:
    """Take as many devices as pay, the fewest first. `tried`: (what one would do, how many, whether sharded).

    What fits on one is trained by the same method on several.
    Returns: (the decision, None where nothing fits; why no more of them).
    """
    chosen: Decision | None = None
    stops = ""
    for alone, count, sharded in tried:
        more = _found(alone, count, deciding, sharded=sharded)
        if more is None:
            continue
        if chosen is not None:
            before, after = _speed(chosen), _speed(more)
            better = _packs(chosen) and not _packs(more)
            if after < PAYS * before and not better:
                gain = f"{after / before:.2f} times as fast as {chosen.now.processes}"
                stops = f"{count} of the {team.devices} devices would be {gain}: they wait for one another"
                break
        chosen = more
    return chosen, stops


def _found(alone: Decision, count: int, deciding: Deciding, *, sharded: bool) -> Decision | None:
    """Decide for so many devices; None: nothing fits, or not what one device would train with."""
    only = None if alone.winner is None else alone.winner.pricing.card
    try:
        found = deciding(_situation(alone.now, count, sharded=sharded), only)
    except Refusal:
        return None
    return None if found.winner is None else found


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
        stops_paying=stops,
    )
    return dataclasses.replace(chosen, plan=plan, told=now.place.left_out)


def _why(alone: Decision, chosen: Decision) -> str:
    count = chosen.now.processes
    if not chosen.now.sharded:
        return f"the base model fits on each of the {count} devices; each takes its part of a step's rows"
    if alone.winner is not None:
        return f"beside what {count} processes need to talk, it no longer fits whole: each device holds 1/{count} of it"
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
    if alone.winner is not None:
        name = alone.winner.pricing.card.name
        return f"one of {count} devices is advised: beside what several need to talk, {name} no longer fits on each"
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
