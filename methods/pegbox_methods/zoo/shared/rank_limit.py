"""Ranks that a map is too small for, where an adapter begins as a part of what the map does."""

from __future__ import annotations

from collections.abc import Mapping

from pegbox_methods.refusal import Refusal


def refuse_rank_above(limits: Mapping[str, int], rank: int) -> None:
    """Refuse a rank that some map doesn't have. `limits`: name of a map -> the most directions it has.

    Raises: Refusal: says which rank would be accepted.
    """
    narrow = min(limits, key=lambda name: limits[name])
    if rank > limits[narrow]:
        raise Refusal(
            f"method.settings.rank = {rank}: {narrow} has {limits[narrow]} directions to begin with, and no more; take "
            f"{limits[narrow]} at most, or leave that map out of method.settings.targets."
        )
