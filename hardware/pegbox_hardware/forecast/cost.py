"""What a run costs on a card: its energy, and money where a price is named."""

from __future__ import annotations

import msgspec

from pegbox_hardware.forecast.time import TimeForecast
from pegbox_hardware.profile_rows import CardRow

LEAST_POWER_SHARE = 0.5
"""Of board power, in a run that waits for launches or memory; matrix products reach the limit."""


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """Energy of the card alone, and money if the user named a price. Money is in the price's currency."""

    kwh: float
    kwh_low: float
    kwh_high: float
    money: float | None
    """None: no price was given."""
    money_low: float | None
    money_high: float | None
    note: str


def running_cost(
    time: TimeForecast,
    card: CardRow,
    *,
    price_per_hour: float | None = None,
    price_per_kwh: float | None = None,
    devices: int = 1,
) -> Cost:
    """Price a run: rent by the hour of all that is rented, or electricity, or both.

    The high end is the card at its power limit all the time, which is a bound for the card but leaves out the machine
    around it (processor, fans, power supply: often another third); the low end is half the limit.
    Raises: ValueError: a negative price.
    """
    for name, price in (("price_per_hour", price_per_hour), ("price_per_kwh", price_per_kwh)):
        if price is not None and price < 0:
            raise ValueError(f"{name} = {price:g}: a price is 0 or more")
    kilowatts, middle = devices * card.board_watts / 1000, (1 + LEAST_POWER_SHARE) / 2
    cards = "the card" if devices == 1 else f"{devices} cards"
    hours = time.seconds_low / 3600, time.seconds / 3600, time.seconds_high / 3600
    energy = [span * kilowatts * share for span, share in zip(hours, (LEAST_POWER_SHARE, middle, 1.0), strict=True)]
    money: list[float | None] = [None, None, None]
    if price_per_hour is not None or price_per_kwh is not None:
        pairs = zip(hours, energy, strict=True)
        money = [span * (price_per_hour or 0.0) + kwh * (price_per_kwh or 0.0) for span, kwh in pairs]
    return Cost(
        kwh=energy[1],
        kwh_low=energy[0],
        kwh_high=energy[2],
        money=money[1],
        money_low=money[0],
        money_high=money[2],
        note=f"{cards} alone, at {LEAST_POWER_SHARE:.0%} to 100 % of {card.board_watts:g} W "
        f"({card.source.kind}: {card.source.where}); the machine around it comes on top",
    )
