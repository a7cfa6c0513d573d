"""Probing: what candidate cameras see, roughly, before a frame is rendered."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from glpn.synthetic.furniture_models.tracer import Tracer
from glpn.synthetic.scenes.scene import View
from glpn.synthetic.scenes.solids import Piece, bounds_of

_FARTHEST = 30.0  # metres
# Directions to the faces, edges and corners of a cube.
_AROUND = np.array([d for d in itertools.product((-1, 0, 1), repeat=3) if any(d)], np.float32)
_AROUND /= np.linalg.norm(_AROUND, axis=1, keepdims=True)
_SMALLEST, _LARGEST = 0.06, 3.0  # metres: the diagonals of objects worth a close-up


class Surroundings:
    """A room's solids as boxes and its meshes.

    `boxes` holds their lowest and highest corners [2, P, 3]; `objects` [K, 2, 3] the bounds of the
    furniture.
    """

    def __init__(self, pieces: Sequence[Piece], tracer: Tracer | None) -> None:
        low, high = bounds_of([solid for piece in pieces for solid in piece.solids])
        self.boxes = np.stack([low, high]).astype(np.float32)
        self.tracer = tracer
        bounds = [thing.bounds() for piece in pieces for thing in piece.things]
        bounds += [np.stack([a, b]) for a, b in zip(low, high, strict=True)]
        table = np.array(bounds).reshape(-1, 2, 3)
        size = np.linalg.norm(table[:, 1] - table[:, 0], axis=1)
        self.objects = table[(size > _SMALLEST) & (size < _LARGEST)]

    def probe(self, views: list[View]) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
        """Rough depths [V, 42] of views, and a number for what each ray meets."""
        depth, seen = probe(views, self.boxes)
        if self.tracer is not None:
            for number, view in enumerate(views):
                directions = (_grid(view.fov) @ view.axes).astype(np.float32)
                found = self.tracer.cast(np.array(view.position, np.float32), directions)
                nearer = found.depth < depth[number]
                depth[number][nearer] = found.depth[nearer]
                part = self.tracer.part[found.triangle[nearer]]
                seen[number][nearer] = self.boxes.shape[1] + part
        return depth, seen

    def crowded(self, views: list[View], margin: float) -> NDArray[np.bool_]:
        """Whether a camera is within `margin` of a solid's box, or about that near a mesh [V]."""
        points = np.array([view.position for view in views])
        crowded = inside_any(points, self.boxes, margin)
        return crowded | (self._to_meshes(points) < margin)

    def clearance(self, views: list[View]) -> NDArray[np.float32]:
        """Metres from each camera to the nearest surface, roughly [V]; 0 inside a solid."""
        points = np.array([view.position for view in views])
        outside = np.maximum(self.boxes[0] - points[:, None], points[:, None] - self.boxes[1])
        free = np.linalg.norm(np.maximum(outside, 0), axis=-1).min(1).astype(np.float32)
        return np.asarray(np.minimum(free, self._to_meshes(points)))

    def _to_meshes(self, points: NDArray[np.float64]) -> NDArray[np.float32]:
        """Metres from points to the nearest mesh in 26 directions [V]; inf for none."""
        if self.tracer is None:
            return np.full(len(points), np.inf, np.float32)
        places = points.astype(np.float32)
        found = [self.tracer.cast(place, _AROUND, near=0.0).depth.min() for place in places]
        return np.array(found, np.float32)


def _grid(fov: float) -> NDArray[np.float64]:
    """Directions of 42 rays in camera axes."""
    half = math.tan(math.radians(fov) / 2)
    across, down = np.meshgrid(half * np.linspace(-0.9, 0.9, 7), half * np.linspace(-0.7, 0.7, 6))
    return np.stack([across.ravel(), down.ravel(), np.ones(42)], -1)


def probe(
    views: list[View], boxes: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Rough depths [V, 42] of views, and the box that each ray meets; boxes are [2, P, 3]."""
    turned = _grid(views[0].fov) @ np.stack([view.axes for view in views]) + 1e-7  # [V, 42, 3]
    inverse = (1 / turned).astype(np.float32)
    near = np.full((len(views), 42, boxes.shape[1]), 0.03, np.float32)
    far = np.full_like(near, _FARTHEST)
    for axis in range(3):
        start = np.array([view.position[axis] for view in views], np.float32)[:, None, None]
        first = (boxes[0, :, axis] - start) * inverse[..., axis, None]
        last = (boxes[1, :, axis] - start) * inverse[..., axis, None]
        np.maximum(near, np.minimum(first, last), out=near)
        np.minimum(far, np.maximum(first, last), out=far)
    near[near >= far] = _FARTHEST
    seen = near.argmin(-1)
    return np.take_along_axis(near, seen[..., None], -1)[..., 0], seen


def inside_any(
    points: NDArray[np.float64], boxes: NDArray[np.float32], margin: float
) -> NDArray[np.bool_]:
    """Whether points [V, 3] lie within `margin` of one of the boxes [2, P, 3]."""
    at = points[:, None]
    inside = ((at > boxes[0] - margin) & (at < boxes[1] + margin)).all(-1)
    return np.asarray(inside.any(-1))
