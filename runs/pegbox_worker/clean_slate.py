"""What a run leaves behind in its process beside its model, wiped away so that the next finds nothing of it."""

from __future__ import annotations

import gc
import os
import sys
from typing import Any

from accelerate.state import AcceleratorState, GradientState


class CleanSlate:
    """Remembers the process' environment as it was before its first run; made once, when all is imported."""

    def __init__(self) -> None:
        self._environment = dict(os.environ)
        gc.freeze()  # what is imported stays: looking through its half a million objects after each run costs 0.3 s

    def wipe(self) -> None:
        """Forget what libraries keep for the whole process. Generators of chance are seeded by each run itself."""
        for name in os.environ.keys() - self._environment.keys():
            del os.environ[name]
        os.environ.update(self._environment)
        AcceleratorState._reset_state(reset_partial_state=True)
        GradientState._reset_state()  # which Trainer doesn't; it knows the data loaders of the run
        optimizers: Any = sys.modules.get("bitsandbytes.optim")
        if optimizers is not None:
            # It keeps, by the memory address of a weight, which ones an 8-bit optimizer holds in 32 bits.
            optimizers.GlobalOptimManager.get_instance().initialize()
