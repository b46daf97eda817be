"""Numbers as people read them."""

from __future__ import annotations

import math


def count(number: float) -> str:
    """Shorten a count to three digits: 1234567 becomes 1.23 M."""
    if number < 1e4:
        return f"{number:,.0f}"
    rounded = float(f"{number:.3g}")  # first, so that 999,900,000 is 1 B and not 1e+03 M
    size, letter = next(((size, letter) for size, letter in ((1e9, "B"), (1e6, "M")) if rounded >= size), (1e3, "k"))
    return f"{rounded / size:.3g} {letter}"


def duration(seconds: float) -> str:
    """Write seconds as 42 s, 3 min 10 s, or 2 h 05 min; a dash for what isn't finite."""
    if not math.isfinite(seconds):  # sums of what an absurd log tells
        return "-"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def moment(seconds: float) -> str:
    """Write what is often less than a second: 0.4 ms, 15 ms, 2.3 s, and from a minute on as `duration` does."""
    if seconds < 0.9995:
        milliseconds = 1e3 * seconds
        return f"{milliseconds:.{1 if milliseconds < 9.95 else 0}f} ms"
    return f"{seconds:.1f} s" if seconds < 59.95 else duration(seconds)


def traffic(number: float) -> str:
    """Write bytes that go over a link, in the decimal units that links are sold by: 4 kB, 161 MB, 231.7 GB."""
    if number < 999.5e3:
        return f"{number / 1e3:.0f} kB"
    return f"{number / 1e6:.0f} MB" if number < 999.5e6 else f"{number / 1e9:.1f} GB"


def gib(number: int | None) -> str:
    """Write bytes in GiB to two digits after the point, for tables of forecasts and axes; a dash for no figure."""
    return "-" if number is None else f"{number / 2**30:.2f} GiB"


def size(number: int | None, *, brief: bool = False) -> str:
    """Write bytes as the screens do: in GiB; in MiB what is less than a tenth of one, in KiB what is less than that.

    Disks, downloads and memory have one unit, so that what is lacking can be seen. A dash is no figure. `brief`: at
    most three digits, for a column.
    """
    if number is None:
        return "-"
    units = ((2**30, 0.1, "GiB"), (2**20, 1.0 if number else 0.0, "MiB"), (2**10, 0.0, "KiB"))
    unit, _, letters = next(one for one in units if abs(number) >= one[0] * one[1])
    amount = number / unit
    fine = (letters == "GiB" and not brief) or 0 < abs(amount) < 9.95
    return f"{amount:.{1 if fine else 0}f} {letters}"
