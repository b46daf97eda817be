"""Whether there is room for an artefact, asked before it is begun."""

from __future__ import annotations

from pathlib import Path

from pegbox_hardware.disk import read_disk
from pegbox_methods.refusal import Refusal
from pegbox_runs.figures import size
from pegbox_runs.printable import printable

SPARE_BYTES = 64 * 2**20
"""What small files and the file system itself may take beside."""


def refuse_too_little_room(place: Path, needed: int, *, there: int = 0) -> None:
    """See that a disk has room for so many bytes, of which `there` lie there already.

    Raises: Refusal: says what is free and what is needed.
    """
    free = read_disk("output", place.parent).free
    wanted = max(0, needed - there) + SPARE_BYTES
    if free is not None and free < wanted:
        raise Refusal(
            f"{printable(str(place))}: needs about {size(wanted)} of disk, and {size(free)} are free. Free some, or "
            "name a place on another disk with --output."
        )
