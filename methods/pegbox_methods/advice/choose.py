"""The advice itself: from machine, model, rows and goal to one method with its settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from pegbox_hardware.forecast.cost import Cost, running_cost
from pegbox_hardware.forecast.memory import Learned
from pegbox_hardware.machine import Machine
from pegbox_hardware.profiles import Profiles
from pegbox_hardware.shape import ModelShape
from pegbox_methods.advice.alternatives import other_methods, other_settings
from pegbox_methods.advice.changes import changes
from pegbox_methods.advice.choices import all_choices, device_choices, optimizer_for, recipe_tables
from pegbox_methods.advice.data_card import KEPT, DataCard
from pegbox_methods.advice.deciding import Decision, decide, settled
from pegbox_methods.advice.goals import Goal, overfitting
from pegbox_methods.advice.kinds import as_started
from pegbox_methods.advice.places import places_of
from pegbox_methods.advice.ranking import RANKED, not_together
from pegbox_methods.advice.records import Advice, Alternative, Change, Choice, Place
from pegbox_methods.advice.search import Found, highest_rank
from pegbox_methods.advice.several import beside_others, together
from pegbox_methods.advice.situation import Situation, situation
from pegbox_methods.card import Card
from pegbox_methods.refusal import Refusal
from pegbox_methods.suitability import Conditions

NOTHING_KNOWN = Conditions()
GEMMA_IN_FP16 = (
    "Gemma in float16: activations of Gemma 2 and 3 are known to exceed float16's range, and the loss becomes 0 or nan "
    "(transformers#36822, unsloth#2040). Watch the first steps; a card with bfloat16 (compute capability 8.0 and "
    'above) avoids it, and so does training.precision = "float32", which takes more memory'
)

ROWS_CUT = 0.01
"""Share of the rows from which it is told that they lose their end: they don't teach the model to stop."""


def advise(
    machine: Machine | Place | Sequence[Place],
    shape: ModelShape,
    data: DataCard | None,
    goal: Goal,
    zoo: Sequence[Card],
    *,
    profiles: Profiles,
    given: Conditions = NOTHING_KNOWN,
    others: Sequence[str] = (),
    learned: Mapping[str, Learned] | None = None,
    price_per_hour: float | None = None,
) -> Advice:
    """Recommend a method and its settings for a machine, for one kind of device, or for the best of several kinds.

    `zoo`: the cards of installed methods, of which those are priced that the device's profile ranks; `others`: names
    of methods that are installed besides; `given`: what is known of the model's stored weights and the installation;
    `learned`: what probes taught of a device, by its name. Costs a forecast of memory and one of time for each setting
    it considers, some 20 in all.
    Raises: Refusal: no method can be used at all; ValueError: a negative price.
    """
    places = places_of(machine, profiles) if isinstance(machine, Machine) else machine
    places = (places,) if isinstance(places, Place) else places
    asked = [situation(shape, place, goal, data, (learned or {}).get(place.name)) for place in places]
    names = [card.name for card in zoo] + [*others]
    known = [card for card in zoo if card.name in RANKED]

    def deciding(now: Situation, only: Card | None) -> Decision:
        return decide(now, known if only is None else [only], names, given)

    decisions = [together(deciding(now, None), deciding) for now in asked]
    best = beside_others(as_started(decisions, asked), deciding)
    if best.winner is not None:
        return _advice(best, best.winner, price_per_hour, ())
    leanest = min(best.found, key=lambda one: one.best.memory.safe_bytes)
    return _advice(best, leanest, price_per_hour, changes(leanest, known, profiles, given))


def advise_chosen(
    card: Card,
    usual: Advice,
    shape: ModelShape,
    *,
    profiles: Profiles,
    given: Conditions = NOTHING_KNOWN,
    learned: Learned | None = None,
) -> Advice:
    """Recommend settings for a method that the person chose, in the situation of an advice for any method.

    It need not be one that the profile ranks; then the rules of thumb for rank and dropout leave its card's defaults.
    What stands in its way is for the caller to find out.
    Raises: Exception: whatever the card's footprint raises.
    """
    if card.name == usual.method:
        return usual
    now = situation(shape, usual.place, usual.goal, usual.data, learned)
    advice = _of_card(card, now, usual.unranked, f"{usual.method} would be advised", profiles, given)
    rival = Alternative(
        kind="method",
        what=f"{usual.method}, which would be advised",
        fits=usual.fits,
        safe_bytes=usual.memory.safe_bytes,
        margin_bytes=usual.margin_bytes,
        tokens_per_second=usual.time.tokens_per_second if usual.time else None,
        lost_because=f"you chose {card.name}",
        source="you",
    )
    return msgspec.structs.replace(advice, alternatives=(rival, *advice.alternatives))


def advise_alone(
    card: Card,
    place: Place,
    shape: ModelShape,
    data: DataCard | None,
    goal: Goal,
    *,
    profiles: Profiles,
    given: Conditions = NOTHING_KNOWN,
    learned: Learned | None = None,
) -> Advice:
    """Recommend settings for a method that the person chose where none would be advised.

    Raises: Exception: as `advise_chosen`.
    """
    now = situation(shape, place, goal, data, learned)
    return _of_card(card, now, (), "no method would be advised here", profiles, given)


def _of_card(
    card: Card, now: Situation, unranked: tuple[str, ...], instead: str, profiles: Profiles, given: Conditions
) -> Advice:
    def deciding(here: Situation, _only: Card | None) -> Decision:
        why = not_together(card, processes=here.processes, sharded=here.sharded)
        if why is not None:
            raise Refusal(why)
        found, winner = settled([highest_rank(card, here, optimizer_for(here, card).value)], here)
        return Decision(here, tuple(found), (), unranked, winner)

    decision = together(deciding(now, None), deciding)
    first = decision.winner or decision.found[0]
    helping = () if decision.winner else changes(first, [card], profiles, given)
    advice = _advice(decision, first, None, helping)
    method = Choice(key="method.name", value=card.name, why=f"you chose it; {instead}", source="you")
    return msgspec.structs.replace(advice, choices=(method, *advice.choices[1:]))


def _advice(decision: Decision, winner: Found, price_per_hour: float | None, helping: tuple[Change, ...]) -> Advice:
    now, best, card = decision.now, winner.best, winner.pricing.card
    choices = all_choices(winner, _method(winner, decision), winner.choices, optimizer_for(now, card))
    choices += () if decision.plan is None else device_choices(decision.plan)
    others = (*other_methods(decision.found, winner, decision.refused, now), *other_settings(winner, now))
    return Advice(
        fits=best.fits,
        model_weights=now.shape.weights,
        architecture=now.shape.architecture,
        place=now.place,
        goal=now.goal,
        data=now.data,
        method=card.name,
        settings=recipe_tables(choices),
        choices=choices,
        memory=best.memory,
        margin_bytes=best.margin_bytes,
        effective_batch=best.setup.micro_batch * best.setup.accumulation * best.setup.processes,
        steps=None if now.walk is None else now.walk.steps,
        time=best.time,
        time_unknown=None if best.time else _time_unknown(now.place),
        cost=_cost(winner, now, price_per_hour),
        alternatives=others,
        unranked=decision.unranked,
        changes=helping,
        warnings=(*decision.told, *_warnings(now, winner)),
        devices=decision.plan,
    )


def _method(winner: Found, decision: Decision) -> Choice:
    card, now = winner.pricing.card, decision.now
    reason = card.recommended[0] if card.recommended else None
    why, source = card.summary, card.source
    if not winner.fits:
        why = "takes the least memory of all methods, and still doesn't fit"
    elif now.goal.priority in ("memory", "speed", "small-adapter"):
        least = {"memory": "least memory", "speed": "fastest", "small-adapter": "fewest trained weights"}
        why, source = f"{least[now.goal.priority]} of the methods that fit", "their forecasts"
    elif card.name == "lora" and now.weights == "fp32":
        held = "its weights in fp32" if now.compute == "fp32" else "its weights in fp32, computing in bfloat16"
        why = f"the base model fits as it is, {held}: the fastest method per step, and every server can load it"
    elif reason is not None:
        why, source = f"{reason.when}: {reason.why}", reason.source
    return Choice(key="method.name", value=card.name, why=why, source=source)


def _cost(winner: Found, now: Situation, price_per_hour: float | None) -> Cost | None:
    if winner.best.time is None or now.place.card is None:
        return None
    return running_cost(winner.best.time, now.place.card, price_per_hour=price_per_hour, devices=now.processes)


def _time_unknown(place: Place) -> str:
    if any("MIG" in note for note in place.notes):
        return "a MIG slice has a part of its card's speed that the profile table doesn't tell"
    return f"the profile table has no speeds for {place.name!r}; a row in your own profiles.toml adds them"


def rows_cut(rows: DataCard, length: int) -> str:
    """Say what a length cuts off the rows; empty: not so much that it must be told."""
    cut = rows.at(length)
    if cut.trained_kept >= KEPT and cut.rows_truncated <= ROWS_CUT:
        return ""
    share, lost = 100 * cut.rows_truncated, 100 * (1 - cut.trained_kept)
    return f"at length {length}, {share:.3g} % of the rows lose their end: {lost:.3g} % of the trained tokens"


def _warnings(now: Situation, winner: Found) -> Iterator[str]:
    """Tell what the user should know before trusting the advice."""
    yield from winner.best.memory.notes
    if now.compute == "fp16" and now.shape.architecture.startswith("gemma"):
        yield GEMMA_IN_FP16
    if now.learned is not None:
        yield "the card's figure counts what a probe on it measured"
    if now.data is None:
        yield "nothing is known of the rows: --data FILE gives their length, number of steps and time"
        return
    few = overfitting(now.data.rows)
    if few:
        yield few
    cut = rows_cut(now.data, now.length.value)
    if cut:
        yield cut
    if now.data.estimate:
        yield f"token counts are estimates: {now.data.estimate}"
