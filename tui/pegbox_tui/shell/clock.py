"""Moments as people here read them."""

from __future__ import annotations

import time


def clock(moment: float, now: float) -> str:
    """Write a time of day, with the date where it is another day; a dash for one that no calendar has."""
    try:
        then, today = time.localtime(moment), time.localtime(now)
    except (OverflowError, ValueError, OSError):  # a log may say anything
        return "-"
    return time.strftime("%H:%M" if then[:3] == today[:3] else "%d %b %H:%M", then)
