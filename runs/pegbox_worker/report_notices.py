"""What the reporter tells in sentences."""

from __future__ import annotations

import math

from pegbox_methods.events import Notice
from pegbox_runs.printable import one_line


def checkpoint_failed(step: int, error: BaseException) -> Notice:
    """Say that the disk refused a checkpoint."""
    text = (
        f"the checkpoint at step {step} could not be written ({one_line(str(error), 300)}); the run goes on. Free "
        "some disk space."
    )
    return Notice(text=text, about="checkpoint-failed")


def no_gain(untrained: float, best: float) -> Notice | None:
    """Say so if no evaluation was better than the untrained model's: the adapter is of no use then."""
    if not math.isfinite(untrained) or best < untrained:
        return None
    text = (
        f"the evaluation loss never fell below the untrained model's {untrained:.4f}; the best was {best:.4f}. "
        "Try a lower training.learning_rate, more steps, or look at the rows."
    )
    return Notice(text=text, about="no-gain")


def not_released() -> Notice:
    """Say why a pause keeps the memory that it was to release."""
    text = (
        "the memory isn't released: without a checkpoint, steps would be lost. The run is paused with its "
        "memory kept; make room on the disk and pause it again, or resume it."
    )
    return Notice(text=text, about="not-released")
