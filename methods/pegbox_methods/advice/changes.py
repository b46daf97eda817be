"""What would make it fit where nothing does: the smallest change of each kind."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from math import floor, log10

import msgspec

from pegbox_hardware.profile_rows import CardRow
from pegbox_hardware.profiles import Profiles
from pegbox_hardware.shape import ModelShape
from pegbox_methods.advice.choices import optimizer_for
from pegbox_methods.advice.places import planned_card
from pegbox_methods.advice.pricing import Pricing
from pegbox_methods.advice.ranking import unusable
from pegbox_methods.advice.records import Change
from pegbox_methods.advice.search import Found, lean
from pegbox_methods.advice.situation import Situation, situation
from pegbox_methods.card import Card
from pegbox_methods.suitability import Conditions

GIB = 2**30
STEPS = 32
"""Sizes between nothing and the whole model at which a smaller one is priced."""
LENGTHS = (64, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144)
COUNTS = (2, 4, 8, 16, 32, 64)
TOGETHER = frozenset(("cuda", "rocm"))
"""Kinds of devices that FSDP2 parts a model among here."""
OLDEST = (7, 5)
"""Least compute capability of a card that is worth naming: what today's torch and bitsandbytes serve well."""

Priced = dict[tuple[str, str, bool, str], int]
"""Method, profile, bfloat16, optimizer -> the leanest batch's bytes, which depend on nothing else of a card."""


def changes(leanest: Found, cards: Sequence[Card], profiles: Profiles, given: Conditions) -> tuple[Change, ...]:
    """List them, the smallest first: free memory, a shorter length, a smaller model, another card, several of these.

    `leanest` is the method that takes least, at micro-batch 1 with checkpointing; `given` holds on any device.
    """
    now = leanest.pricing.now
    found = (
        _free(leanest),
        _shorter(leanest),
        _smaller(leanest),
        _card(now, cards, profiles, given),
        _more(leanest, given),
    )
    return tuple(change for change in found if change is not None)


def _free(leanest: Found) -> Change | None:
    place = leanest.pricing.now.place
    held = place.memory_total - place.memory_free
    if leanest.best.margin_bytes + held < 0:
        return None
    lacking = -leanest.best.margin_bytes
    who = f"; it is held by {place.held_by}" if place.held_by else ""
    return Change(what=f"free {lacking / GIB:.1f} GiB on {place.name}{who}", consequence="nothing is given up")


def _shorter(leanest: Found) -> Change | None:
    now = leanest.pricing.now
    lengths = [length for length in LENGTHS if length < now.length.value]
    low, high = 0, len(lengths)
    while low < high:
        middle = (low + high) // 2
        pricing = leanest.pricing
        fits = pricing.trial(1, checkpointing=pricing.checkpoints, length=lengths[middle]).fits
        low, high = (middle + 1, high) if fits else (low, middle)
    if not low:
        return None
    length, kept = lengths[low - 1], "rows longer than that lose their end"
    if now.data is not None:
        kept = f"{100 * now.data.at(length).trained_kept:.3g} % of the trained tokens are left"
    name = leanest.pricing.card.name
    return Change(
        what=f"length {length} in place of {now.length.value}, with {name}",
        consequence=kept,
        overrides={"training.length": length, "method.name": name},
    )


def _smaller(leanest: Found) -> Change | None:
    """Price the same model made smaller all over: what fits has about the size of a model that would."""
    whole = leanest.pricing.now.shape
    low, high = 0, STEPS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _shrunk_fits(leanest, middle / STEPS) else (low, middle)
    if not low:
        return None
    weights = shrunk(whole, low / STEPS).weights
    return Change(
        what=f"a model of at most about {_rounded_down(weights)} weights in place of {_rounded(whole.weights)}",
        consequence=f"{leanest.pricing.card.title} of this architecture would fit at that size",
    )


def _rounded_down(weights: int) -> str:
    """Say a limit with two digits that count, and never more than it is."""
    step = 10 ** max(0, floor(log10(weights)) - 1)
    return _rounded(weights // step * step)


def _rounded(weights: int) -> str:
    """Say a number of weights with two or three digits that count, and no exponent."""
    size, unit = (weights / 1e9, "B") if weights >= 1e9 else (weights / 1e6, "M")
    return f"{size:.{0 if size >= 10 else 1 if size >= 1 else 3}f}".removesuffix(".0") + f" {unit}"


def _shrunk_fits(leanest: Found, share: float) -> bool:
    pricing = leanest.pricing
    now = dataclasses.replace(pricing.now, shape=shrunk(pricing.now.shape, share))
    smaller = Pricing(pricing.card, pricing.settings, now, pricing.optimizer)
    return smaller.trial(1, checkpointing=smaller.checkpoints).fits


def shrunk(shape: ModelShape, share: float) -> ModelShape:
    """Make a model that is narrower and less deep by a share, with the same vocabulary."""

    def part(size: int) -> int:
        return max(1, round(size * share))

    blocks = tuple(
        msgspec.structs.replace(
            block,
            count=part(block.count),
            inner=part(block.inner) if block.inner else 0,
            small_weights=part(block.small_weights),
            matrices={name: (part(d_out), part(d_in)) for name, (d_out, d_in) in block.matrices.items()},
            experts=block.experts and msgspec.structs.replace(block.experts, inner=part(block.experts.inner)),
        )
        for block in shape.blocks
    )
    return msgspec.structs.replace(
        shape,
        hidden=part(shape.hidden),
        heads=part(shape.heads),
        kv_heads=part(shape.kv_heads),
        small_weights=part(shape.small_weights),
        blocks=blocks,
    )


def _card(now: Situation, cards: Sequence[Card], profiles: Profiles, given: Conditions) -> Change | None:
    """Name the cards of the least memory on which something fits.

    Each is asked on its own: two of a size differ in number format, margin and their profile's length.
    """
    sold = [row for row in profiles.cards if row.accelerator == "cuda" and (row.capability or (0, 0)) >= OLDEST]
    sold = [row for row in sold if "Laptop" not in row.name and row.memory_bytes > now.place.memory_total]
    priced: Priced = {}
    for size in sorted({row.memory_gib for row in sold}):
        alike = [row for row in sold if row.memory_gib == size]
        names = [row.name for row in alike if _fits_on(row, now, cards, profiles, given, priced)]
        if names:
            shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
            return Change(what=f"a card of {size:g} GiB: {shown}", consequence="the same model, rows and length")
    return None


def _more(leanest: Found, given: Conditions) -> Change | None:
    """Name the least number of such devices among which the base model could be parted."""
    now, card = leanest.pricing.now, leanest.pricing.card
    if now.place.accelerator not in TOGETHER or any("MIG" in note for note in now.place.notes):
        return None
    low, high = 0, len(COUNTS)  # COUNTS[:low] are too few, COUNTS[high:] are enough
    while low < high:
        middle = (low + high) // 2
        there = dataclasses.replace(now, processes=COUNTS[middle], sharded=True)
        if unusable(card, there, given):
            return None
        fits = lean(card, there, leanest.pricing.optimizer).fits
        low, high = (low, middle) if fits else (middle + 1, high)
    if low == len(COUNTS):
        return None
    count = COUNTS[low]
    return Change(
        what=f"{count} x {now.place.name}, each holding 1/{count} of the base model, with {card.name}",
        consequence=f"--devices {count} plans for them; their memory doesn't add up, each must have its own",
    )


def _fits_on(
    row: CardRow, now: Situation, cards: Sequence[Card], profiles: Profiles, given: Conditions, priced: Priced
) -> bool:
    """Whether a method of the card's profile fits, at this length and at the one that would be advised there."""
    place = planned_card(row.name, profiles)
    there = situation(now.shape, place, now.goal, now.data)
    longer = now.length if now.length.value > there.length.value else there.length
    there = dataclasses.replace(there, length=longer)
    optimizer = optimizer_for(there).value

    def least(card: Card) -> int:
        key = card.name, place.policy.name, place.bf16, optimizer
        if key not in priced:
            priced[key] = lean(card, there, optimizer).best.memory.safe_bytes
        return priced[key]

    return any(
        least(card) <= place.usable_bytes
        for card in sorted(cards, key=lambda card: not card.needs.quantized_base)  # the likeliest to fit first
        if card.name in place.policy.methods and not unusable(card, there, given)
    )
