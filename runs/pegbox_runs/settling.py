"""From a draft to the recipe that it stands for: the advice, with what the person set by hand on top, and its price."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

import msgspec

from pegbox_hardware.forecast.memory import Forecast, Learned
from pegbox_hardware.forecast.time import TimeForecast
from pegbox_hardware.profiles import Profiles
from pegbox_hardware.shape import ModelShape
from pegbox_methods.advice.choose import advise, advise_alone, advise_chosen
from pegbox_methods.advice.data_card import DataCard
from pegbox_methods.advice.goals import Goal
from pegbox_methods.advice.ranking import RANKED
from pegbox_methods.advice.records import Advice, Place
from pegbox_methods.advice.several import place_for
from pegbox_methods.card import Card
from pegbox_methods.fence import one_line_of
from pegbox_methods.recipe import Recipe
from pegbox_methods.refusal import Refusal
from pegbox_methods.registry import find_card, method_names
from pegbox_methods.suitability import Conditions, bitsandbytes_is_here, packed_by
from pegbox_runs.drafts import Draft
from pegbox_runs.exporting.servable import unserved
from pegbox_runs.misfits import misfits
from pegbox_runs.models import FoundModel
from pegbox_runs.printable import one_line
from pegbox_runs.recipe_price import price_of
from pegbox_runs.setting_values import FILE, composed, sentence_of

KEPT = 100
"""Advices that a shelf keeps: of all methods, for two or three situations that a person goes back and forth between."""
Found = TypeVar("Found")


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """What a draft comes to. Bytes and seconds."""

    advice: Advice
    """For the draft's machine, model, rows and goal; of the method that the person chose, where one is chosen."""
    card: Card
    """Of the method that is taken."""
    place: Place
    """The device, as each of the recipe's processes finds it."""
    recipe: Recipe
    """Complete, with what the person set by hand; of rows that aren't named yet, the file is `-`."""
    memory: Forecast | None
    """Of that recipe. None: it can't be priced."""
    time: TimeForecast | None
    """Of the whole run; of a million tokens where the steps aren't known."""
    steps: int | None
    """None: nothing is known of the rows, or `uncounted` says why they aren't counted."""
    fits: bool
    margin_bytes: int
    """What would be left of the usable memory; below 0: what is lacking."""
    uncounted: str = ""
    """Why steps and time of the whole run aren't known, though rows are: a clause."""
    faults: tuple[str, ...] = ()
    """What would be refused of the recipe as it stands, a sentence each."""
    left_out: tuple[str, ...] = ()
    """Keys of the draft's values that the recipe couldn't take: what was advised stands in their place."""
    follows: Mapping[str, str] = {}
    """Values that weren't set by hand and moved with one that was: key -> why."""
    unserved: tuple[str, ...] = ()
    """Why the place that the draft names can't serve it, or that it isn't known, a sentence each."""
    usual_method: str = ""
    """What would be advised if no method were chosen; empty: none would."""


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for every method of a situation, with the advice that is free to take any."""

    goal: Goal
    place: Place
    """That several processes get; where one is advised, it is `alone`."""
    alone: Place
    """That a single process gets."""
    model: FoundModel
    shape: ModelShape
    data: DataCard | None
    profiles: Profiles
    given: Conditions
    learned: Mapping[str, Learned]
    """By a device's name."""
    usual: Advice | None
    """None: no method can be advised, as `none_usable` says."""
    none_usable: str = ""

    def learned_of(self, place: Place) -> Learned | None:
        """Give what measurements taught of a device; None: nothing."""
        return self.learned.get(place.name)


class Advised(msgspec.Struct, frozen=True, kw_only=True):
    """The costly half of a settling: it holds as long as machine, model, rows, goal and method stay."""

    ground: Ground
    advice: Advice
    """Of the method that is taken."""
    card: Card
    faults: tuple[str, ...] = ()
    """Why the method that was chosen isn't the one that is taken."""


class Shelf:
    """Advices that were worked out, so that a change of a setting costs the price of a recipe alone.

    Safe to use from several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: list[tuple[tuple[Any, ...], Any]] = []

    def settle(
        self,
        draft: Draft,
        place: Place,
        model: FoundModel,
        data: DataCard | None,
        profiles: Profiles,
        learned: Mapping[str, Learned],
        others: Sequence[Place] = (),
    ) -> Settled:
        """Settle a draft. `others`: kinds of devices of the same machine, of which several could carry a run together.

        Raises: Refusal: the model has no shape that can be priced, or no method is chosen and none can be advised.
        """
        situation = (place, tuple(others), model, data, draft.goal, dict(learned), method_names())
        with self._lock:
            ground = self._once(
                (None, *situation), lambda: ground_of(draft.goal, place, model, data, profiles, learned, others)
            )
            found = self._once((draft.method or "", *situation), lambda: advised(ground, draft.method))
        return settle_with(found, draft)

    def _once(self, key: tuple[Any, ...], work_out: Callable[[], Found]) -> Found:
        kept = next((kept for known, kept in self._kept if known == key), None)
        if kept is None:
            kept = work_out()
            if isinstance(kept, Ground) and kept.usual is None:
                return cast(Found, kept)  # what is lacking may be installed meanwhile, and is looked for again
            self._kept = [(key, kept), *self._kept[: KEPT - 1]]
        return cast(Found, kept)


def ground_of(
    goal: Goal,
    place: Place,
    model: FoundModel,
    data: DataCard | None,
    profiles: Profiles,
    learned: Mapping[str, Learned],
    others: Sequence[Place] = (),
) -> Ground:
    """Advise for a situation. Of the methods, those alone are imported that the profile table ranks.

    The device is `place`; or one of the `others` where the advice takes several such, as it does on the command line.
    Raises: Refusal: the model has no shape that can be priced.
    """
    shape = shape_for(model)
    installed = method_names()
    given = Conditions(
        shape=shape,
        packed_by=packed_by(model.config),
        bitsandbytes=place.planned or bitsandbytes_is_here(),
        accelerator=place.accelerator,
        capability=place.capability,
    )
    usual, none_usable, alone = None, "", place
    known = {} if place.planned else learned

    def advice(*kinds: Place) -> Advice:
        return advise(
            kinds,
            shape,
            data,
            goal,
            [find_card(name) for name in installed if name in RANKED],
            profiles=profiles,
            given=given,
            others=[name for name in installed if name not in RANKED],
            learned=known,
        )

    try:
        usual = advice(place, *others)
        if others and usual.devices is None:
            usual = advice(place)
        place = next(
            kind for kind in (place, *others) if (kind.name, kind.team) == (usual.place.name, usual.place.team)
        )
    except Refusal as refusal:
        none_usable = refusal.sentence
    return Ground(
        goal=goal,
        place=place,
        alone=alone,
        model=model,
        shape=shape,
        data=data,
        profiles=profiles,
        given=given,
        learned=known,
        usual=usual,
        none_usable=none_usable,
    )


def advised(ground: Ground, method: str | None) -> Advised:
    """Advise for one method, where one is chosen; one that is broken, gone or can't be priced is told as a fault.

    Raises: Refusal: there is no other to take in its place, or none is chosen and none can be advised.
    """
    advice = ground.usual
    faults: tuple[str, ...] = ()
    try:
        if method is not None:
            advice = _for_card(find_card(method), ground)
    except Refusal as refusal:
        faults = (f"method.name = {one_line(repr(method), 80)}: {refusal.sentence.rstrip('.')}.",)
    except Exception as error:  # noqa: BLE001  # a guest's footprint may raise anything
        faults = (f"method.name = {method!r}: its card can't price this model: {one_line_of(error)}.",)
    if advice is None:
        raise Refusal(faults[0] if faults else ground.none_usable)
    if ground.model.told:
        advice = msgspec.structs.replace(advice, warnings=(ground.model.told, *advice.warnings))
    return Advised(ground=ground, advice=advice, card=find_card(advice.method), faults=faults)


def _for_card(card: Card, ground: Ground) -> Advice:
    """Advise for the method that was chosen. Raises: Exception: whatever its card's footprint raises."""
    if ground.usual is None:
        return advise_alone(
            card,
            ground.place,
            ground.shape,
            ground.data,
            ground.goal,
            profiles=ground.profiles,
            given=ground.given,
            learned=ground.learned_of(ground.place),
        )

    def chosen(usual: Advice) -> Advice:
        learned = ground.learned_of(usual.place)
        return advise_chosen(card, usual, ground.shape, profiles=ground.profiles, given=ground.given, learned=learned)

    found = chosen(ground.usual)
    if found.devices is None and ground.alone != ground.place:
        return chosen(msgspec.structs.replace(ground.usual, place=msgspec.structs.replace(ground.alone, team=None)))
    return found


def shape_for(model: FoundModel) -> ModelShape:
    """Give a model's shape. Raises: Refusal: its config doesn't tell it."""
    if model.shape is None:
        named = one_line(model.name, 200)
        raise Refusal(f"{named}: its config.json doesn't tell the model's shape; nothing can be forecast without it.")
    return model.shape


def settle_with(found: Advised, draft: Draft) -> Settled:
    """Put what the person set on top of an advice, check it and price it: some milliseconds."""
    ground, advice, card = found.ground, found.advice, found.card
    taken = composed(draft, advice, card, own_settings=not found.faults)
    wrong = misfits(taken.recipe, card, ground.model, ground.given, file=FILE)
    place = ground.alone if taken.recipe.devices.processes == 1 else ground.place
    price = price_of(taken.recipe, ground.shape, place, card, ground.data, ground.learned_of(place))
    place = place_for(place, taken.recipe.devices.processes)
    margin = 0 if price.memory is None else place.usable_bytes - price.memory.safe_bytes
    return Settled(
        advice=advice,
        card=card,
        place=place,
        recipe=taken.recipe,
        memory=price.memory,
        time=price.time,
        steps=price.steps,
        uncounted=price.uncounted,
        fits=price.memory is not None and margin >= 0,
        margin_bytes=margin,
        faults=(*found.faults, *taken.faults, *map(sentence_of, wrong), *price.faults),
        left_out=taken.left_out,
        follows=taken.follows,
        unserved=_unserved(draft, card, taken.recipe, ground.model),
        usual_method="" if ground.usual is None else ground.usual.method,
    )


def _unserved(draft: Draft, card: Card, recipe: Recipe, model: FoundModel) -> tuple[str, ...]:
    if draft.serving is None:
        return ()
    return tuple(unserved(draft.serving, card, recipe.method.settings, model.config))
