"""forecast.json: what was forecast of a run before it began, to be held against what is measured."""

from __future__ import annotations

import msgspec

from pegbox_hardware.forecast.memory import Forecast
from pegbox_hardware.forecast.time import TimeForecast
from pegbox_methods.events import UNDECODABLE
from pegbox_runs.run_folder import RunFolder


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """The forecast of a whole run on the device that it was started for. Bytes."""

    device: str
    accelerator: str
    """`cuda`, `rocm`, `mps` or `cpu`."""
    memory_total: int
    memory_free: int
    """When the run was started."""
    usable_bytes: int | None = None
    """What the run might count on then: the free memory without a margin. None in files of earlier versions."""
    memory: Forecast | None
    """None: the model or the method can't be priced."""
    time: TimeForecast | None
    unknown: str | None = None
    """Why there is no forecast, or none of time."""


def read_expected(folder: RunFolder) -> Expected | None:
    """Read a run's forecast; None: it has none, as runs of earlier versions, or it can't be read."""
    try:
        return msgspec.json.decode(folder.forecast.read_bytes(), type=Expected)
    except (OSError, *UNDECODABLE):
        return None
