"""Numbers as people read them."""

from __future__ import annotations


def count(number: float) -> str:
    """Shorten a count: 1234567 becomes 1.2 M."""
    for size, letter in ((1e9, " B"), (1e6, " M"), (1e4, " k")):
        if number >= size:
            return f"{number / (1e3 if letter == ' k' else size):.3g}{letter}"
    return f"{number:,.0f}"


def duration(seconds: float) -> str:
    """Write seconds as 42 s, 3 min 10 s, or 2 h 05 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def gib(number: int | None) -> str:
    """Write bytes in GiB; a dash where there is no figure."""
    return "-" if number is None else f"{number / 2**30:.2f} GiB"
