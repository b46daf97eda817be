"""Which files of an adapter's folder may be opened: those that can't run code."""

from __future__ import annotations

from pathlib import Path

from pegbox_methods.refusal import Refusal

SAFE = "adapter_model.safetensors"
PICKLED = "adapter_model.bin"


def refuse_pickles(folder: Path) -> None:
    """Refuse an adapter whose weights lie in a pickle alone: PEFT would open that.

    Raises: Refusal: says how to convert it.
    """
    if not (folder / SAFE).is_file() and (folder / PICKLED).exists():
        raise Refusal(
            f"{folder}: has its weights in {PICKLED}, which may run code when opened and won't be. Load the adapter "
            "once with PEFT where you trust it, save it with save_pretrained(), and name that folder."
        )
