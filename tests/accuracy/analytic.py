"""Level 1 against every measured row."""

from __future__ import annotations

from collections.abc import Iterator

from pegbox_hardware.forecast.adapters import cost_of
from pegbox_hardware.forecast.memory import Forecast, forecast_memory
from pegbox_hardware.model_config import shape_of
from pegbox_methods.refusal import Refusal
from tests.accuracy.rows import Measured, measured_rows


def forecasts() -> Iterator[tuple[Measured, Forecast]]:
    """Forecast each measured row."""
    for row in measured_rows():
        shape, why = shape_of(row.config)
        if shape is None:
            raise Refusal(f"{row.model}: {why}")
        yield row, forecast_memory(shape, row.setup, cost_of(shape, row.setup), stack=row.stack)
