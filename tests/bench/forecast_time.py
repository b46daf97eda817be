"""What a forecast costs: one of level 1, against reading the model's config.json, which it saves from being more."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from pegbox_hardware.forecast.adapters import cost_of
from pegbox_hardware.forecast.memory import forecast_memory
from pegbox_hardware.forecast.setup import TrainingSetup
from pegbox_hardware.model_config import shape_of
from tests.models_by_name import CONFIGS

REPEATS = 300
LIMIT_MS = 1.0


def milliseconds(work: Callable[[], object]) -> float:
    """Time one call: the median of many."""
    taken = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return 1000 * median(taken)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.json"
        path.write_text(json.dumps(CONFIGS["llama-3.1-8b"]))
        reading = milliseconds(lambda: shape_of(json.loads(path.read_text())))
    print(f"reading a config.json and its shape: {reading:.3f} ms")
    for name, config in CONFIGS.items():
        shape, why = shape_of(config)
        if shape is None:
            raise SystemExit(why)
        for method in ("lora", "dora", "full"):
            setup = TrainingSetup(method=method, length=2048)
            one = milliseconds(lambda s=shape, u=setup: forecast_memory(s, u, cost_of(s, u)))  # type: ignore[misc]
            print(f"{name:20}{method:8}{one:7.3f} ms: {one / LIMIT_MS:5.2f} x the limit of {LIMIT_MS:g} ms")


if __name__ == "__main__":
    main()
