"""Weights between files and memory, one tensor at a time: read without mapping the file, written without a copy of all.

Pages of a mapped file count as this process' memory, and a whole shard in memory is what merging map by map avoids.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from pegbox_runs.artefacts.weight_files import FORMATS, StoredTensor

TORCH = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
WORDS = {dtype: word for word, dtype in TORCH.items()}
PIECE = 2**22
"""Numbers that are read, rounded and written at once where a tensor only passes through."""
ALIGNMENT = 8
"""The header is filled up with spaces to a multiple of it, as the library does."""


class Overflowed(Exception):
    """A weight is beyond what its new number format reaches."""


@dataclass(frozen=True)
class Wanted:
    """One tensor of a file that is to be written."""

    name: str
    format: str
    shape: tuple[int, ...]
    bytes: int


def wanted(stored: StoredTensor, word: str | None) -> Wanted:
    """Say how a tensor is to be written; `word`: the number format of weights, None: each one's own."""
    if word is None or not stored.is_weight:
        return Wanted(stored.name, stored.format, stored.shape, stored.bytes)
    return Wanted(stored.name, word, stored.shape, stored.count * FORMATS[word])


def read_weight(stored: StoredTensor) -> Tensor:
    """Read one weight in float32. Raises: OSError."""
    raw = np.fromfile(stored.file, dtype=np.uint8, count=stored.bytes, offset=stored.begin)
    return torch.from_numpy(raw).view(TORCH[stored.format]).reshape(stored.shape).float()


def write_file(path: Path, tensors: Sequence[Wanted], give: Callable[[Wanted], Iterator[bytes]]) -> None:
    """Write a safetensors file whose tensors are given one after the other, each in pieces.

    Raises: OSError; ValueError: a tensor has another size than was said.
    """
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    place = 0
    for one in tensors:
        header[one.name] = {"dtype": one.format, "shape": one.shape, "data_offsets": (place, place + one.bytes)}
        place += one.bytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for one in tensors:
            if sum(file.write(piece) for piece in give(one)) != one.bytes:
                raise ValueError(f"{one.name} has another size than the {one.bytes} bytes that were said")


def passed_through(stored: StoredTensor, word: str) -> Iterator[bytes]:
    """Give a tensor as it is stored, rounded to another number format if it is one of weights.

    Raises: Overflowed; OSError.
    """
    with stored.file.open("rb") as file:
        file.seek(stored.begin)
        if word == stored.format:
            yield from _raw(file, stored.bytes)
            return
        each, left = FORMATS[stored.format], stored.count
        while left:
            count = min(PIECE, left)
            raw = np.fromfile(file, dtype=np.uint8, count=count * each)
            left -= count
            yield _bytes(torch.from_numpy(raw).view(TORCH[stored.format]), word)


def rounded(weight: Tensor, word: str) -> Iterator[bytes]:
    """Give a weight of memory in a number format, piece by piece. Raises: Overflowed."""
    flat = weight.detach().contiguous().view(-1)
    for begin in range(0, flat.numel(), PIECE):
        yield _bytes(flat[begin : begin + PIECE], word)


def _bytes(flat: Tensor, word: str) -> bytes:
    """Raises: Overflowed."""
    there = flat.to(TORCH[word])
    if word == "F16" and not there.isfinite().all():
        raise Overflowed
    return there.view(torch.uint8).numpy().tobytes()


def _raw(file: IO[bytes], count: int) -> Iterator[bytes]:
    while count:
        piece = file.read(min(count, 4 * PIECE))
        if not piece:
            return  # the reader of what comes finds that it is too short
        count -= len(piece)
        yield piece
