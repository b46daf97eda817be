"""MoRA's layer: a linear map with a square matrix beside it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

BASE = 10_000.0
"""Of the angles, as in rotary positions."""


class SquareBeside(nn.Module):
    """A linear map (d_out, d_in), and beside it a square M (side, side) that begins at zero.

    The input is padded to n segments of `side` numbers each. "sharing" adds the segments up and applies M to the sum;
    "rotation" turns each segment by its own angles and applies M to each. What comes out is repeated, or cut, to d_out.
    Neither has a weight of its own, and both are linear, so that all of it can be merged.

    Source: Jiang et al. 2024, section 4, arXiv:2405.12130: equation 6 (sharing), equation 9 (rotation).
    """

    cosines: Tensor
    sines: Tensor

    def __init__(self, linear: nn.Linear, side: int, compression: str) -> None:
        super().__init__()
        self.linear = linear
        self.compression = compression
        device = linear.weight.device
        self.square = nn.Parameter(torch.zeros(side, side, device=device))  # float32, whatever the base is in
        segments = torch.arange(-(-linear.in_features // side), device=device)
        angles = segments[:, None] * BASE ** (-torch.arange(0, side, 2, device=device) / side)
        self.register_buffer("cosines", angles.cos(), persistent=False)
        self.register_buffer("sines", angles.sin(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Add the square's answer to the map's: x (..., d_in) -> (..., d_out)."""
        output: Tensor = self.linear(x)
        return output + self.update(x.float()).to(output.dtype)

    def update(self, x: Tensor) -> Tensor:
        """Give the square's answer alone, in float32, or in what autocast says."""
        side, d_out = len(self.square), self.linear.out_features
        segments = functional.pad(x, (0, -x.shape[-1] % side)).unflatten(-1, (-1, side))
        narrow = segments.sum(-2, keepdim=True) if self.compression == "sharing" else self._turned(segments)
        answer = functional.linear(narrow, self.square.float()).flatten(-2)
        times = -(-d_out // answer.shape[-1])
        return torch.cat([answer] * times, dim=-1)[..., :d_out]

    def _turned(self, segments: Tensor) -> Tensor:
        """Rotate each pair of numbers of segment i by i times the pair's angle."""
        first, second = segments.unflatten(-1, (-1, 2)).unbind(-1)
        turned = (first * self.cosines - second * self.sines, first * self.sines + second * self.cosines)
        return torch.stack(turned, dim=-1).flatten(-2)

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """Fold the square into the map's weight: what it does to each unit vector is a column of the change."""
        weight = self.linear.weight
        units = torch.eye(self.linear.in_features, device=weight.device)
        weight.copy_(weight.float() + self.update(units).T)
        return self.linear
