"""Whether a model can be tuned on a device, and with how much to spare: cheap enough to ask for a whole list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from pegbox_hardware.forecast.memory import Learned
from pegbox_hardware.model_config import shape_of
from pegbox_hardware.profiles import Profiles
from pegbox_methods.advice.choices import optimizer_for
from pegbox_methods.advice.choose import advise
from pegbox_methods.advice.data_card import DataCard
from pegbox_methods.advice.goals import Goal
from pegbox_methods.advice.ranking import unusable
from pegbox_methods.advice.records import Place
from pegbox_methods.advice.search import highest_rank, search
from pegbox_methods.advice.situation import situation
from pegbox_methods.card import Card
from pegbox_methods.refusal import Refusal
from pegbox_methods.registry import find_card
from pegbox_methods.suitability import Conditions, bitsandbytes_is_here, packed_by
from pegbox_runs.models import FoundModel

JUDGED = ("lora", "qlora")
"""The plain method, and the one for a base that doesn't fit in 16 bits: what these lack, the others lack too."""


class Fit(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on one model. Bytes."""

    method: str | None = None
    """The first of `lora` and `qlora` that fits, else the one that lacks least; None: `why`."""
    margin_bytes: int = 0
    """Of the memory that a run may count on, what its leanest setting leaves; below 0: what it lacks."""
    why: str = ""
    """Why nothing can be said, in a clause."""

    @property
    def fits(self) -> bool:
        """Whether anything does."""
        return self.method is not None and self.margin_bytes >= 0


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """For what a model is judged: the draft's device, goal and rows."""

    place: Place
    goal: Goal
    data: DataCard | None
    profiles: Profiles
    learned: Learned | None = None


def fit_of(model: FoundModel, wanted: Wanted) -> Fit:
    """Judge a model by the forecasts that the advice itself is made of, so that both say the same."""
    shape = model.shape
    if shape is None:
        return Fit(why=shape_of(model.config)[1])
    place = wanted.place
    given = Conditions(packed_by=packed_by(model.config), bitsandbytes=place.planned or bitsandbytes_is_here())
    now = situation(shape, place, wanted.goal, wanted.data, wanted.learned)
    optimizer = optimizer_for(now).value
    usable = [card for card in _cards() if unusable(card, now, given) is None]
    priced = [(card.name, highest_rank(card, now, optimizer).best.margin_bytes) for card in usable]
    for name, margin in priced:
        if margin >= 0:
            return Fit(method=name, margin_bytes=margin)
    return _hard_pressed(model, wanted, given)


def tokens_per_second(model: FoundModel, wanted: Wanted) -> float | None:
    """Forecast how fast LoRA trains a model; None: it doesn't fit, or the device's speed isn't known."""
    if model.shape is None:
        return None
    now = situation(model.shape, wanted.place, wanted.goal, wanted.data, wanted.learned)
    best = search(_cards()[0], now, optimizer_for(now).value).best
    return best.time.tokens_per_second if best.fits and best.time is not None else None


@lru_cache(maxsize=1)
def _cards() -> Sequence[Card]:
    return [find_card(name) for name in JUDGED]


def _hard_pressed(model: FoundModel, wanted: Wanted, given: Conditions) -> Fit:
    """Have the whole advice made, which tries lower ranks too where nothing fits."""
    assert model.shape is not None  # noqa: S101
    learned = {} if wanted.learned is None else {wanted.place.name: wanted.learned}
    try:
        advice = advise(
            wanted.place,
            model.shape,
            wanted.data,
            wanted.goal,
            _cards(),
            profiles=wanted.profiles,
            given=given,
            learned=learned,
        )
    except Refusal as refusal:
        return Fit(why=refusal.sentence)
    return Fit(method=advice.method, margin_bytes=advice.margin_bytes)
