"""Facing: which side of a model is its back, where no catalogue says so."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glpn.synthetic.furniture_models.obj import Mesh

_SEATS = ("armchair", "chair", "office chair", "sofa", "bed")
_PLANE = 0.01  # metres within which a face lies in the plane of a side
_LONG = 1.1  # the ratio of the sides from which only the long ones can be the back


def quarter_turns(mesh: Mesh, kind: str) -> int:
    """The quarter turns about z that bring the model's back to its lowest y.

    Seats and beds are highest at their back. Others have a flat back: the side, of the two long
    ones, whose plane contains the most area.
    """
    edges = mesh.corners[:, 1:] - mesh.corners[:, :1]
    area = 0.5 * np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=-1)  # [T]
    score = _height if kind in _SEATS else _flatness
    # The sides in the order −y, −x, +y, +x are each a quarter turn from the next.
    sides = ((1, -1), (0, -1), (1, 1), (0, 1))
    return int(np.argmax([score(mesh, area, axis, side) for axis, side in sides]))


def _height(mesh: Mesh, area: NDArray[np.float32], axis: int, side: int) -> float:
    """How far towards a side the upper half of the model lies."""
    low, high = mesh.bounds
    above = np.maximum(mesh.corners[..., 2] - (low[2] + high[2]) / 2, 0) * area[:, None]
    offset = (mesh.corners[..., axis] - (low[axis] + high[axis]) / 2) / (high[axis] - low[axis])
    return float(side * (above * offset).sum())


def _flatness(mesh: Mesh, area: NDArray[np.float32], axis: int, side: int) -> float:
    """The area in the plane of a side; the long sides come first."""
    low, high = mesh.bounds
    plane, extent = (low if side < 0 else high)[axis], high - low
    flat = (np.abs(mesh.corners[..., axis] - plane) < _PLANE).all(1)
    is_long = extent[1 - axis] > _LONG * extent[axis]
    return float(area[flat].sum() + (1e3 if is_long else 0))
