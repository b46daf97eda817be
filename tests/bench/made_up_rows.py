"""Short rows made up by the million: questions with answers, and among them what a doctor should find."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SEED = 5
WORDS = 20_000
SYLLABLES = [first + last for first in "bdfghklmnprstvwz" for last in ("a", "e", "i", "o", "u", "an", "ol")]
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


class Planted(NamedTuple):
    """Which share of the rows is what."""

    exact: float = 0.01
    near: float = 0.02
    secret: float = 0.0005
    damage: float = 0.001
    control: float = 0.0005
    broken: float = 0.0005
    """Without an answer."""
    foreign: float = 0.02
    """With letters beyond ASCII, and nothing wrong."""


def vocabulary(chance: random.Random) -> list[str]:
    """Make words up."""
    words = {"".join(chance.choices(SYLLABLES, k=chance.randint(1, 4))) for _ in range(2 * WORDS)}
    return sorted(words)[:WORDS]


def rows(count: int, planted: Planted | None = None) -> Iterator[tuple[str, dict[str, str]]]:
    """Give rows, each with the word for what it is: `plain` for those with nothing wrong."""
    planted = planted or Planted()
    chance = random.Random(SEED)  # noqa: S311 - the same rows every time
    words = vocabulary(chance)
    kinds, weights = list(planted._fields), list(planted)
    kept: list[dict[str, str]] = []
    for _ in range(count):
        kind = chance.choices([*kinds, "plain"], [*weights, 1 - sum(weights)])[0]
        question = " ".join(chance.choices(words, k=chance.randint(8, 14)))
        answer = " ".join(chance.choices(words, k=chance.randint(14, 24)))
        row = {"instruction": f"{question}?", "output": f"{answer}."}
        if kind in ("exact", "near") and not kept:
            kind = "plain"
        if kind == "exact":
            row = chance.choice(kept)
        elif kind == "near":
            row = changed(chance.choice(kept), chance)
        elif kind == "secret":
            row["output"] += " hf" + "_" + "".join(chance.choices(LETTERS, k=34))
        elif kind == "damage":
            row["output"] += " schön für größere".encode().decode("latin-1")
        elif kind == "control":
            row["output"] += " \x1b[31mrot\x00"
        elif kind == "broken":
            del row["output"]
        elif kind == "foreign":
            row["output"] += " und schöne Grüße, déjà vu, привет, 日本語"
        elif chance.random() < 0.05:
            kept.append(row)
        yield kind, row


def changed(row: dict[str, str], chance: random.Random) -> dict[str, str]:
    """Change one word of an answer, and write the question in capitals."""
    words = row["output"].split()
    words[-1] = "".join(chance.choices(SYLLABLES, k=5))
    return {"instruction": row["instruction"].upper(), "output": " ".join(words)}


def write_rows(path: Path, count: int) -> dict[str, int]:
    """Write rows as JSON lines. Returns: how many there are of each kind."""
    counts: dict[str, int] = {}
    with path.open("w", encoding="utf-8") as file:
        for kind, row in rows(count):
            counts[kind] = counts.get(kind, 0) + 1
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return counts
