"""In which order the rows come: drawn anew for each epoch from the seed and the epoch's number, and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import chain

import torch
from torch.utils.data import Sampler
from transformers.trainer_pt_utils import get_length_grouped_indices


class RowOrder(Sampler[int]):
    """The order of one epoch, which the trainer names by `set_epoch`.

    transformers' samplers draw from torch's global generator, or from one that must have gone through all epochs
    before; a run that begins in the middle would have to draw what it had drawn. This one needs to know nothing but
    where it is. It gives the same rows to the same steps whatever part of a step is a micro-batch.
    """

    def __init__(
        self, rows: int, *, seed: int, lengths: Sequence[int] | None = None, step_rows: int = 1, fillers: int = 0
    ) -> None:
        """Take the number of rows; with `lengths`, rows of like length come together in steps of `step_rows`.

        `fillers`: how many more lie behind them, to come last in each epoch; `lengths` doesn't count them.
        """
        self._rows = rows
        self._fillers = range(rows, rows + fillers)
        self._seed = seed
        self._lengths = lengths
        self._step_rows = step_rows
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Name the epoch that is walked through next, from 0."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._rows + len(self._fillers)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(mixed(self._seed, self._epoch))
        if self._lengths is None:
            order = torch.randperm(self._rows, generator=generator).tolist()
        else:
            order = get_length_grouped_indices(self._lengths, self._step_rows, generator=generator)
        return chain(order, self._fillers)


class LongestFirst(Sampler[int]):
    """The order in which rows are only looked at: by length, so that batches have little padding; ties as they lie.

    It draws nothing, so that every look at the same rows, at whatever step, goes through the same batches: what
    rounding makes of a row in company is then the same each time. If memory doesn't suffice, the first batch says so.
    """

    def __init__(self, lengths: Sequence[int], *, fillers: int = 0) -> None:
        """Take the rows' lengths. `fillers`: how many more lie behind them, to come last."""
        places = sorted(range(len(lengths)), key=lambda place: -lengths[place])
        self._places = [*places, *range(len(lengths), len(lengths) + fillers)]

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[int]:
        return iter(self._places)


def fillers_for(rows: int, *, micro_batch: int, processes: int) -> int:
    """Count the rows to lay behind the real ones so that each process gets as many whole micro-batches as the others.

    Accelerate deals micro-batches out in turn, and where they don't come out even it begins again with the first rows.
    """
    return -rows % (micro_batch * processes) if processes > 1 else 0


def mixed(seed: int, number: int) -> int:
    """Make one number of the two; their sum would give one seed's second epoch to the next seed's first."""
    return int.from_bytes(hashlib.sha256(f"{seed} {number}".encode()).digest()[:7])
