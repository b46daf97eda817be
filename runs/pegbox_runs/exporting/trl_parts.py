"""What a plain TRL script needs to know of a run: asked of the worker, which alone has PEFT and the tokenizer."""

from __future__ import annotations

from typing import Any

import msgspec


class AskParts(msgspec.Struct, frozen=True, kw_only=True):
    """The request."""

    run: str
    """The run's folder."""
    base: str | None = None
    """Where the base lies now, if it was moved."""
    packed: bool
    """Whether the run trained on packed sequences."""
    rows: str
    """The file that the rows are written into: a JSON object a line, of `input_ids`, `labels` and, where several rows
    are packed into a sequence, `seq_lengths`."""


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """The answer."""

    peft_class: str | None
    """Name of PEFT's config class; None: no adapter, the whole model is trained."""
    peft_config: dict[str, Any]
    """What of it differs from the class's own defaults."""
    rows: int
    """Rows, or packed sequences, in one epoch."""
