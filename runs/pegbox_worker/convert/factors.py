"""Two thin matrices in the place of one: the nearest there are of a rank, and how much of the matrix they hold."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pegbox_runs.exporting.conversion import EXACT

FIRST_RANK = 128
"""What is tried first where no rank is named: most methods' changes are of a lower rank by their nature."""
POWERS = 4
"""Of the matrix times its transpose, in the randomized search."""


@dataclass(frozen=True)
class Factors:
    """The leading directions of a matrix (d_out, d_in), the strongest first."""

    left: Tensor
    """(d_out, count), times the values' roots."""
    right: Tensor
    """(count, d_in), times the values' roots."""
    kept: Tensor
    """(count,) in float64: share of the energy that so many directions hold."""

    def rank_for(self, share: float) -> int | None:
        """Give the least number of directions that hold a share of the energy; None: more than are here."""
        enough = int(torch.searchsorted(self.kept, share)) + 1
        return enough if enough <= len(self.kept) else None

    def held_by(self, rank: int) -> float:
        """Give the share of the energy that so many directions hold."""
        return float(self.kept[min(rank, len(self.kept)) - 1])

    def cut(self, rank: int) -> tuple[Tensor, Tensor]:
        """Give LoRA's A (rank, d_in) and B (d_out, rank); zeros fill up what a small matrix lacks."""
        a = torch.zeros(rank, self.right.shape[1])
        b = torch.zeros(self.left.shape[0], rank)
        count = min(rank, len(self.kept))
        a[:count], b[:, :count] = self.right[:count].cpu(), self.left[:, :count].cpu()
        return a, b


def factors_of(change: Tensor, rank: int | None, most: int) -> Factors:
    """Find a change's leading directions: `rank` of them, or with None as many as hold all of it, at most `most`."""
    if rank is None:
        first = _leading(change, FIRST_RANK)
        return first if first.kept[-1] >= EXACT else _leading(change, most)
    return _leading(change, rank)


def _leading(change: Tensor, count: int) -> Factors:
    """Find that many directions; all values of a small matrix, a randomized search among twice as many in a large one.

    Source: Halko, Martinsson and Tropp 2011, algorithm 4.4, arXiv:0909.4061.
    """
    sides = min(change.shape)
    if 4 * count < sides:
        left, values, columns = torch.svd_lowrank(change, q=2 * count, niter=POWERS)
        right = columns.T
    else:
        left, values, right = torch.linalg.svd(change, full_matrices=False)
    left, values, right = left[:, :count], values[:count], right[:count]
    kept = values.double().square().cumsum(0) / change.double().square().sum()
    roots = values.sqrt()
    return Factors(left * roots, roots[:, None] * right, kept.clamp(max=1.0).cpu())
