"""What lies in safetensors files, by their headers alone: names, number formats, shapes and places, no weights.

Source: https://github.com/huggingface/safetensors#format: 8 bytes of length, a JSON header, the tensors' bytes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pegbox_methods.refusal import Refusal
from pegbox_runs.printable import printable

LENGTH_BYTES = 8
MOST_HEADER_BYTES = 100 * 2**20
"""The library refuses longer ones too."""
FORMATS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
"""Number formats of weights, in the files' words, and the bytes of one weight."""


@dataclass(frozen=True)
class StoredTensor:
    """One tensor of a file."""

    name: str
    file: Path
    format: str
    """In the files' words: `BF16`, `I64`..."""
    shape: tuple[int, ...]
    begin: int
    """Place of its first byte in the file."""
    bytes: int

    @property
    def count(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)

    @property
    def is_weight(self) -> bool:
        """Whether it holds numbers that may be rounded; whole numbers and masks may not."""
        return self.format in FORMATS


def stored_tensors(files: Iterable[Path]) -> dict[str, StoredTensor]:
    """Read the headers of weight files, in the files' order and each one's own.

    Raises: Refusal: one can't be read as safetensors.
    """
    found: dict[str, StoredTensor] = {}
    for file in files:
        for one in _tensors_of(file):
            found[one.name] = one
    return found


def _tensors_of(file: Path) -> list[StoredTensor]:
    try:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(LENGTH_BYTES), "little")
            if length > MOST_HEADER_BYTES:
                raise ValueError("its header is too long")
            header = json.loads(stream.read(length))
            size = stream.seek(0, 2)
        begin = LENGTH_BYTES + length
        tensors = [_tensor(name, one, file, begin) for name, one in header.items() if name != "__metadata__"]
        if any(one.begin + one.bytes > size for one in tensors):
            raise ValueError("it is shorter than its header says")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        why = printable(str(error))[:200]
        raise Refusal(f"{printable(str(file))}: can't be read as safetensors: {why}.") from error
    return sorted(tensors, key=lambda one: one.begin)


def _tensor(name: str, told: dict[str, Any], file: Path, begin: int) -> StoredTensor:
    first, behind = told["data_offsets"]
    return StoredTensor(name, file, told["dtype"], tuple(told["shape"]), begin + first, behind - first)
