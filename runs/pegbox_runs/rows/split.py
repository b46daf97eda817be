"""Which rows are held out: by their content, so that order, machine and duplicates don't matter."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

from pegbox_runs.rows.example import Example


def split(examples: Sequence[Example], share: float, seed: int) -> tuple[list[Example], list[Example]]:
    """Part the examples; each keeps its order, and equal examples fall on the same side.

    The distinct examples are ranked by a seeded hash, and the lowest `share` of them is held out, at least
    one if the share is above 0 and there are two.

    Returns: (trained, held out).
    """
    ranks = [_rank(example, seed) for example in examples]
    distinct = sorted(set(ranks))
    count = min(len(distinct) - 1, max(1, round(share * len(distinct)))) if share else 0
    held_out = set(distinct[:count])
    trained: list[Example] = []
    kept: list[Example] = []
    for example, rank in zip(examples, ranks, strict=True):
        (kept if rank in held_out else trained).append(example)
    return trained, kept


def _rank(example: Example, seed: int) -> bytes:
    return hashlib.blake2b(msgspec.json.encode(example), digest_size=16, key=seed.to_bytes(8, "big")).digest()
