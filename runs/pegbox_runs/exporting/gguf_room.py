"""Whether a disk has room for a GGUF file and for the merged model that it is made of, which may lie apart."""

from __future__ import annotations

from pathlib import Path

from pegbox_hardware.disk import read_disk, share_a_disk
from pegbox_methods.refusal import Refusal
from pegbox_runs.artefacts.merging import merged_place
from pegbox_runs.artefacts.room import SPARE_BYTES
from pegbox_runs.figures import size
from pegbox_runs.printable import printable
from pegbox_runs.tuned import TunedRun

FREE = "Free some."
NAME = "Free some, or name a place on another disk with --output."
MERGED = "It goes into the run's own folder, wherever --output is: free some there."


def refuse_no_room(run: TunedRun, place: Path, file_bytes: int, merged_bytes: int, *, movable: bool = True) -> None:
    """See that there is room for what is still to be written of both.

    `movable`: --output names where the file lies.
    Raises: Refusal: says what is free, what is needed, and what helps.
    """
    merged = merged_place(run)
    helps = NAME if movable else "The GGUF file goes into the run's own folder, wherever --output is: free some there."
    if not merged_bytes:
        _refuse(place, "", file_bytes, helps)
    elif share_a_disk(place, merged):
        parts = f", {size(merged_bytes)} of it for the merged model that it is made of, in {printable(str(merged))}"
        _refuse(place, parts, file_bytes + merged_bytes, FREE if _fits(merged, merged_bytes) < 0 else helps)
    else:
        _refuse(merged, " for the merged model", merged_bytes, MERGED)
        _refuse(place, "", file_bytes, helps)


def _fits(place: Path, needed: int) -> int:
    """Give what would be left; a disk that says nothing has room."""
    free = read_disk("output", place.parent).free
    return 0 if free is None else free - needed - SPARE_BYTES


def _refuse(place: Path, what: str, needed: int, helps: str) -> None:
    left = _fits(place, needed)
    if left < 0:
        wanted = needed + SPARE_BYTES
        raise Refusal(
            f"{printable(str(place))}: needs about {size(wanted)} of disk{what}, and {size(wanted + left)} are free. "
            f"{helps}"
        )
