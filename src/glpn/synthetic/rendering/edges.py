"""Edges: colours are averaged over a pixel where its corners may show something else.

Quincunx sampling: a pixel is half its centre and an eighth each of its four corners; a corner
is looked at only where the four centres around it disagree. Depth stays that of the centre.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from glpn.synthetic.rendering.cast import Eyes

_ROUND = 64  # corners are padded to whole vectors: no value depends on the rest of its batch

Around = tuple[Tensor, Tensor, Tensor, Tensor]  # indices [B, n]: upper left, upper right, lower …


class Corners(NamedTuple):
    """Corners at edges, per picture [B, n]: ray x and y, the four pixels around, which are real."""

    x: Tensor
    y: Tensor
    around: Around
    real: Tensor


def corners_at_edges(solid: Tensor, face: Tensor, eyes: Eyes) -> Corners | None:
    """Where neighbours hit different solids or faces: maps [B, H, W]. None: nowhere."""
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
    """Move pixels of `light` [B, 3, N] an eighth towards each of their corners' colours."""
    blended = light.clone()
    for index in corners.around:
        # Each pixel is at most once the upper left, upper right … of a corner: no sum collides.
        spread = index[:, None].expand(-1, 3, -1)
        step = (colour - light.gather(2, spread)) * (0.125 * corners.real[:, None])
        blended.scatter_add_(2, spread, step)
    return blended
