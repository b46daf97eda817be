"""How a map's inputs divide into blocks of equal size."""

from __future__ import annotations

import math
from collections.abc import Mapping

from pegbox_methods.refusal import Refusal

MOST_OFFERED = 256
"""Larger blocks are left out of what a refusal offers: each costs half its square in weights."""


def refuse_uneven(widths: Mapping[str, int], size: int, *, together: int = 1) -> None:
    """Refuse a size of blocks that doesn't divide the inputs of every map.

    `widths` is a map's name -> its inputs. `together`: that many blocks are mixed with each other; more than one
    mix by halves, so that their size is even.
    Raises: Refusal: says which sizes would be accepted.
    """

    def fits(width: int, size: int) -> bool:
        return width % (size * together) == 0 and (together == 1 or size % 2 == 0)

    uneven = next((name for name, width in widths.items() if not fits(width, size)), None)
    if uneven is None:
        return
    common = math.gcd(*widths.values())
    accepted = [str(other) for other in range(2, MOST_OFFERED + 1) if fits(common, other)]
    offer = f"take {', '.join(accepted)}, or leave" if accepted else "leave"
    groups = f", {together} of them to a group" if together > 1 else ""
    raise Refusal(
        f"method.settings.block_size = {size}: the {widths[uneven]} inputs of {uneven} don't divide into such "
        f"blocks{groups}; {offer} that map out of method.settings.targets."
    )
