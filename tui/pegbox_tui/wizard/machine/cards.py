"""The cards that one can plan for, found by what is typed: a name, or a size in GiB."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pegbox_hardware.profile_rows import CardRow
from pegbox_hardware.profiles import Profiles
from pegbox_runs.drafts import PlannedCard

LARGEST_GIB = 640
"""No single device has more. What is larger is a name: 1080, 4090."""


@dataclass(frozen=True)
class Plannable:
    """A card that can be planned for, and how it is listed."""

    planned: PlannedCard
    name: str
    said: str
    card: CardRow | None = None
    """None: only its memory is known."""


def all_cards(profiles: Profiles) -> tuple[CardRow, ...]:
    """Give each card of the table once, in its order; processors are no cards to plan for."""
    rows = {row.name: row for named in profiles.by_name.values() for row in named if row.accelerator != "cpu"}
    return tuple(rows.values())


def plannable(typed: str, cards: tuple[CardRow, ...]) -> Iterator[Plannable]:
    """List what the typed text may mean: each of its words must be in a card's names; a number is also a size."""
    words = re.findall(r"[a-z0-9.]+", typed.lower())
    size = _size(typed)
    if size is not None:
        yield Plannable(PlannedCard(vram_gib=size), f"any card of {size:g} GiB", "as an NVIDIA card of RTX 30 or newer")
    for card in cards:
        written = " ".join((card.name, *card.names, f"{card.memory_gib:g}gib")).lower()
        if all(word in written for word in words):
            yield Plannable(PlannedCard(gpu=card.name), card.name, _said(card), card)


def _size(typed: str) -> float | None:
    """Read the text as an amount of memory; None: it is none."""
    found = re.fullmatch(r"\s*(\d{1,6}(?:[.,]\d{1,2})?)\s*(?:g|gb|gib)?\s*", typed, re.IGNORECASE)
    size = float(found[1].replace(",", ".")) if found else 0.0
    return size if 0 < size <= LARGEST_GIB else None


def _said(card: CardRow) -> str:
    rate = card.bf16_tflops or card.fp16_tflops or card.fp32_tflops
    kind = "bf16" if card.bf16_tflops else "fp16" if card.fp16_tflops else "fp32"
    shared = ", shared with the processor" if card.unified else ""
    return f"{card.memory_gib:g} GiB{shared}, {rate:g} TFLOP/s {kind}"
