"""Errors of forecasts, counted by source, model and method."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median

from pegbox_hardware.forecast.memory import Forecast
from tests.accuracy.rows import Measured


@dataclass
class Errors:
    """Of one group of rows; shares of the measured value, negative where the forecast is too low."""

    known: bool
    allocated: list[float] = field(default_factory=list)
    card: list[float] = field(default_factory=list)
    outside: int = 0
    unsafe: int = 0
    wrong_fit: int = 0
    rows: int = 0

    def take(self, row: Measured, forecast: Forecast) -> None:
        """Count one row in."""
        self.rows += 1
        if row.ran_out:
            self.wrong_fit += forecast.fits(row.gpu_bytes or 0)
            return
        shown = row.card or row.reserved
        if row.allocated:
            self.allocated.append(forecast.allocated_bytes / row.allocated - 1)
        if shown:
            self.card.append(forecast.card_bytes / shown - 1)
            self.unsafe += forecast.safe_bytes < shown and not row.setup.full
        inside = [forecast.low_bytes <= value <= forecast.high_bytes for value in (row.allocated, shown) if value]
        self.outside += not all(inside)


def collect(pairs: Iterable[tuple[Measured, Forecast]]) -> dict[tuple[str, str, str], Errors]:
    """Group the errors by source, model and method."""
    groups: dict[tuple[str, str, str], Errors] = {}
    for row, forecast in pairs:
        key = (row.source, row.model, row.setup.method)
        groups.setdefault(key, Errors(row.known)).take(row, forecast)
    return groups


def merge(groups: Iterable[Errors]) -> Errors:
    """Put groups together."""
    whole = Errors(known=True)
    for errors in groups:
        whole.allocated += errors.allocated
        whole.card += errors.card
        for name in ("outside", "unsafe", "wrong_fit", "rows"):
            setattr(whole, name, getattr(whole, name) + getattr(errors, name))
    return whole


def quantile(values: list[float], share: float) -> float:
    """Give the size of error that so large a share of the rows stays below."""
    sizes = sorted(abs(value) for value in values)
    return sizes[min(len(sizes) - 1, round(share * len(sizes) + 0.49) - 1)]


def _cell(values: list[float]) -> str:
    if not values:
        return f"{'-':>26}"
    numbers = (median(abs(value) for value in values), quantile(values, 0.9), min(values), max(values))
    return "{:6.1%}{:6.1%}{:+7.1%}{:+7.1%}".format(*numbers)


def report(pairs: Iterable[tuple[Measured, Forecast]]) -> str:
    """Write the table: median and 90th percentile of the error's size, its least and greatest value."""
    groups = collect(pairs)
    columns = "{:^26}  {:^26}".format("allocated: med p90 min max", "card: med p90 min max")
    head = f"{'source':12}{'model':20}{'method':18}{'n':>4}  {columns}"
    lines = [f"{head}  outside unsafe wrong-fit"]
    by_kind: dict[bool, list[Errors]] = defaultdict(list)
    for (source, model, method), errors in sorted(groups.items()):
        by_kind[errors.known].append(errors)
        lines.append(_line(f"{source:12}{model:20}{method:18}", errors))
    for known, title in ((True, "known stacks and methods"), (False, "anything else")):
        if by_kind[known]:
            lines.append(_line(f"{title:50}", merge(by_kind[known])))
    return "\n".join(lines)


def _line(title: str, errors: Errors) -> str:
    counts = f"{errors.outside:8}{errors.unsafe:7}{errors.wrong_fit:10}"
    return f"{title}{errors.rows:4}  {_cell(errors.allocated)}  {_cell(errors.card)}{counts}"
