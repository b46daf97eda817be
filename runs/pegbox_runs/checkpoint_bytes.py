"""What a trained weight takes on disk: told before the start, held against the disk by the worker."""

from __future__ import annotations

TRAINED_BYTES = 4
"""Of the weight itself: adapters train and are kept in fp32."""
OTHER_FILES = 2**20
"""Of a checkpoint, whatever is trained: JSON and the generators' states."""
_STATE_BYTES = {"adamw_8bit": 2.1, "paged_adamw_8bit": 2.1, "adafactor": 0.1}
_ADAMW_BYTES = 8.0


def state_bytes(optimizer: str) -> float:
    """Give what the optimizer remembers of a weight; one that isn't known counts as AdamW.

    AdamW keeps two floats; its 8-bit kin two bytes and their scales; Adafactor rows and columns.
    """
    return _STATE_BYTES.get(optimizer, _ADAMW_BYTES)
