"""What went wrong, in a sentence a person can act on."""

from __future__ import annotations

import torch

from pegbox_methods.events import Failed
from pegbox_methods.refusal import Refusal


class Diverged(Exception):
    """A loss that is no number any more. Going on would only cost time: no later step mends the weights."""


LESS_MEMORY = (
    "Lower training.micro_batch and raise training.accumulation by as much (the result stays the same), "
    "lower training.length, or set training.activation_checkpointing to 'on'."
)


def explain(error: BaseException, where: str) -> Failed:
    """Turn an exception into the run's last event. The traceback is in worker.log."""
    if isinstance(error, Refusal):
        return Failed(what=error.sentence, where=where, remedy="Change the recipe and train again.")
    if isinstance(error, Diverged):
        return Failed(
            what=str(error),
            where=where,
            remedy="Lower training.learning_rate, or compute in 'bfloat16' or 'float32' where it was 'float16'.",
        )
    if isinstance(error, torch.OutOfMemoryError):
        return Failed(what="the device ran out of memory", where=where, remedy=LESS_MEMORY)
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        return Failed(what="the machine ran out of memory", where=where, remedy=LESS_MEMORY)
    if isinstance(error, OSError) and error.errno is not None:
        return Failed(
            what=f"a file could not be read or written: {error}",
            where=where,
            remedy="Check disk space and permissions.",
        )
    return Failed(
        what=f"{type(error).__name__}: {error}",
        where=where,
        remedy="The end of worker.log in the run's folder has the whole traceback.",
    )
