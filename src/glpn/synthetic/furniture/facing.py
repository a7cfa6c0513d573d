"""Facing: which side of a model is its back, where no catalogue says so."""

from __future__ import annotations

import numpy as np

from glpn.synthetic.furniture.obj import Mesh

_SEATS = ("armchair", "chair", "office chair", "sofa", "bed")
_BAND = 0.12  # the share of a model's depth next to a side
_PLANE = 0.01  # metres within which a face lies in the plane of a side


def quarter_turns(mesh: Mesh, kind: str) -> int:
    """The quarter turns about z that bring the model's back to its lowest y.

    Seats and beds are highest at their back. Others have a flat back: the side, of the two long
    ones, whose plane holds the most area.
    """
    low, high = mesh.bounds
    extent = high - low
    scores = []
    for axis, side in ((1, -1), (0, -1), (1, 1), (0, 1)):
        plane = low[axis] if side < 0 else high[axis]
        distance = np.abs(mesh.corners[..., axis] - plane)  # [T, 3]
        if kind in _SEATS:
            near = distance < _BAND * extent[axis]
            heights = mesh.corners[..., 2][near]
            scores.append(float(np.percentile(heights, 90)) if heights.size else 0.0)
        else:
            flat = (distance < _PLANE).all(1)
            edges = mesh.corners[flat, 1:] - mesh.corners[flat, :1]
            area = 0.5 * np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=-1).sum()
            across = extent[1 - axis] / max(extent[axis], 1e-6)
            scores.append(float(area) + 1e-3 + (100.0 if across > 1.1 else 0.0))
    # The sides in the order −y, −x, +y, +x are each a quarter turn from the next.
    return int(np.argmax(scores))
