"""Edges: antialiasing of colours where the corners of a pixel may show another surface.

Quincunx sampling: a pixel is half its centre plus an eighth of each of its four corners. A corner
is sampled only where the four centres around it disagree. Depth is always that of the centre.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from glpn.synthetic.rendering.cast import Eyes

_ROUND = (
    64  # corners are padded to whole vectors, so that no value depends on the rest of the batch
)

Around = tuple[Tensor, Tensor, Tensor, Tensor]  # indices [B, n]: upper left, upper right, lower …


class Corners(NamedTuple):
    """Corners at edges, per image [B, n]: ray x and y, the four pixels around, a mask."""

    x: Tensor
    y: Tensor
    around: Around
    real: Tensor


def corners_at_edges(solid: Tensor, face: Tensor, eyes: Eyes) -> Corners | None:
    """Where neighbours hit different solids or faces, from maps [B, H, W]; None if nowhere."""
    batch, _, width = solid.shape
    key = solid * 4 + face
    a, b, c, d = key[:, :-1, :-1], key[:, :-1, 1:], key[:, 1:, :-1], key[:, 1:, 1:]
    mixed = (a != d) | (b != c) | (a != b)
    count = mixed.flatten(1).sum(1)
    most = -(-int(count.max()) // _ROUND) * _ROUND
    if most == 0:
        return None
    picture, row, column = mixed.nonzero(as_tuple=True)
    rank = torch.arange(len(picture), device=key.device) - (count.cumsum(0) - count)[picture]
    first = torch.zeros((batch, most), dtype=torch.long, device=key.device)
    first[picture, rank] = row * width + column
    real = torch.zeros_like(first, dtype=torch.bool)
    real[picture, rank] = True
    around = (first, first + 1, first + width, first + width + 1)
    x, y = (mean_around(field.flatten(1), around) for field in (eyes.x, eyes.y))
    return Corners(x, y, around, real)


def mean_around(field: Tensor, around: Around) -> Tensor:
    """The mean of a map [B, N] over the four pixels around each corner [B, n]."""
    a, b, c, d = (field.gather(1, index) for index in around)
    return 0.25 * (a + b + c + d)


def blend(light: Tensor, corners: Corners, colour: Tensor) -> Tensor:
    """Move pixels of `light` [B, 3, N] an eighth towards the colour of each corner."""
    blended = light.clone()
    for index in corners.around:
        # A pixel is the upper left (upper right, …) of one corner at most, so no writes collide.
        spread = index[:, None].expand(-1, 3, -1)
        step = (colour - light.gather(2, spread)) * (0.125 * corners.real[:, None])
        blended.scatter_add_(2, spread, step)
    return blended
