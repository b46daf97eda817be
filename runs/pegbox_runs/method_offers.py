"""Every installed method in one situation: what it would take, what stands in its way, who has tried it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from pegbox_methods.advice.serving import why_not
from pegbox_methods.card import Card
from pegbox_methods.refusal import Refusal
from pegbox_methods.registry import all_cards, origin_of
from pegbox_runs.drafts import Draft
from pegbox_runs.method_facts import known_certificates
from pegbox_runs.setting_values import SETTINGS
from pegbox_runs.settling import Settled

Tried = Literal["yes", "no", "fails"]


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """One method. Bytes."""

    name: str
    title: str
    summary: str
    origin: str
    source: str
    fits: bool
    likely_fits: bool
    """The likely figure does, whatever the safe one says."""
    safe_bytes: int | None
    """None: it can't be priced."""
    margin_bytes: int
    seconds_ratio: float | None
    """Time of the run against that of the advised method; None: not known."""
    obstacle: str | None
    """Why it can't be used here; None: it can."""
    unservable: str | None
    """Why the place that was chosen couldn't serve it; None: it could, or none was chosen."""
    certified: Tried
    advised: bool


class Offers(msgspec.Struct, frozen=True, kw_only=True):
    """All methods in one situation."""

    methods: tuple[Offer, ...]
    """Those that fit first, the advised one at their head."""
    shared: tuple[str, ...] = ()
    """What is to be mended of the recipe whatever the method, a sentence each: no method's obstacle."""
    left_out: tuple[str, ...] = ()
    """A sentence for each plugin that is, and for what couldn't be read."""


OWN = ("method.", "model.quantization")
"""How faults of a method begin: of its choice, of its settings, of whether it packs its base."""


def offers(draft: Draft, settled: Callable[[Draft], Settled]) -> Offers:
    """Price every method with its own advised settings, and what the person set for any method.

    Raises: Refusal: as `settled`, where that holds for every method.
    """
    cards, broken = all_cards()
    certificates, unread = known_certificates(tuple(card.name for card in cards))
    try:
        usual = settled(for_method(draft, None))
    except Refusal:
        usual = None  # each method's own obstacle says more
    priced: list[tuple[Card, Settled]] = []
    refused: Refusal | None = None
    for card in cards:
        try:
            priced.append((card, settled(for_method(draft, card.name))))
        except Refusal as refusal:
            refused = refusal
            broken = (*broken, f"{card.name}: {refusal.sentence}")
    if not priced and refused is not None:
        raise refused
    shared = _shared([own for _, own in priced])
    found: list[Offer] = []
    for card, own in priced:
        obstacle = next((fault for fault in own.faults if fault not in shared), None)
        certificate = certificates.get(card.name)
        named = own.card.name == card.name
        found.append(
            Offer(
                name=card.name,
                title=card.title,
                summary=card.summary,
                origin=origin_of(card.name),
                source=card.source,
                fits=named and own.fits and obstacle is None,
                likely_fits=own.memory is not None and own.memory.card_bytes <= own.advice.place.usable_bytes,
                safe_bytes=own.memory.safe_bytes if own.memory is not None and named else None,
                margin_bytes=own.margin_bytes,
                seconds_ratio=_ratio(own, usual) if named and usual is not None else None,
                obstacle=obstacle,
                unservable=why_not(draft.serving, card, own.recipe.method.settings) if draft.serving else None,
                certified="no" if certificate is None else "yes" if certificate.certified else "fails",
                advised=usual is not None and card.name == usual.card.name,
            )
        )
    found.sort(key=lambda one: (not one.advised, one.obstacle is not None, not one.fits, one.name))
    return Offers(methods=tuple(found), shared=shared, left_out=(*broken, *unread))


def _shared(priced: Sequence[Settled]) -> tuple[str, ...]:
    """Find the faults that stay whichever method is taken: a value out of its range, rows that contradict."""
    first = priced[0].faults if priced else ()
    everywhere = (fault for fault in first if all(fault in one.faults for one in priced))
    return tuple(fault for fault in everywhere if not fault.startswith(OWN))


def for_method(draft: Draft, method: str | None) -> Draft:
    """Take another method: what was set of the last one's own settings is put back, the rest stays."""
    values = {key: value for key, value in draft.values.items() if not key.startswith(SETTINGS)}
    return msgspec.structs.replace(draft, method=method, values=values)


def _ratio(one: Settled, usual: Settled) -> float | None:
    if one.time is None or usual.time is None or not usual.time.seconds:
        return None
    return one.time.seconds / usual.time.seconds
