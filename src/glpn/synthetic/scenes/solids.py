"""Solids: the only primitive of all scenes, and pieces of furniture built from it.

A solid is a box cut by a quadric in its own frame: |p_i| <= 1 and Σ q_i p_i² <= 1, p in half
extents. q = 0 is a box, (1, 1, 0) a cylinder, (1, 1, 1) an ellipsoid, (.6, .6, .6) a cushion.
World axes: x and y along the floor, z up, metres.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from glpn.synthetic.furniture_models.obj import Mesh

Vector = tuple[float, float, float]
Span = tuple[float, float]

BOX: Vector = (0.0, 0.0, 0.0)
CYLINDER: Vector = (1.0, 1.0, 0.0)
ELLIPSOID: Vector = (1.0, 1.0, 1.0)
CUSHION: Vector = (0.6, 0.6, 0.6)
BOLSTER: Vector = (0.0, 0.6, 0.6)  # rounded along its x axis

IDENTITY = np.eye(3)


class Solid(NamedTuple):
    """One primitive; the rows of `axes` are its unit axes."""

    centre: Vector
    half: Vector
    axes: NDArray[np.float64]
    quadric: Vector
    material: int
    casts: bool  # a shadow


class Thing(NamedTuple):
    """A mesh in a piece: corner → matrix @ corner + at; `tint` multiplies its colours."""

    mesh: Mesh
    matrix: NDArray[np.float64]
    at: NDArray[np.float64]
    tint: Vector = (1.0, 1.0, 1.0)

    def bounds(self) -> NDArray[np.float64]:
        """Lowest and highest corner [2, 3] of the turned box around the mesh."""
        low, high = self.mesh.bounds
        middle = self.matrix @ ((low + high) / 2) + self.at
        reach = np.abs(self.matrix) @ ((high - low) / 2)
        return np.stack([middle - reach, middle + reach])


@dataclass
class Piece:
    """Solids and meshes in a common frame: a chair, a shelf with its books.

    Furniture stands on z = 0 with its back on y = 0, its front towards +y and x = 0 in the middle.
    """

    solids: list[Solid] = field(default_factory=list)
    things: list[Thing] = field(default_factory=list)
    _bounds: tuple[int, NDArray[np.float64]] | None = (
        None  # bounds of the first solids and meshes, by their number
    )

    def block(self, material: int, x: Span, y: Span, z: Span) -> None:
        """A box between two corners along the axes."""
        self.solid(material, BOX, x, y, z)

    def solid(self, material: int, quadric: Vector, x: Span, y: Span, z: Span) -> None:
        """A primitive that fills the box between two corners along the axes."""
        centre = ((x[0] + x[1]) / 2, (y[0] + y[1]) / 2, (z[0] + z[1]) / 2)
        half = ((x[1] - x[0]) / 2, (y[1] - y[0]) / 2, (z[1] - z[0]) / 2)
        self.solids.append(Solid(centre, half, IDENTITY, quadric, material, True))

    def glow(self, material: int, quadric: Vector, x: Span, y: Span, z: Span) -> None:
        """The same for a solid that casts no shadow, such as a lampshade."""
        self.solid(material, quadric, x, y, z)
        self.solids[-1] = self.solids[-1]._replace(casts=False)

    def upright(self, material: int, centre: tuple[float, float], radius: float, z: Span) -> None:
        """A standing cylinder."""
        x, y = centre
        self.solid(material, CYLINDER, (x - radius, x + radius), (y - radius, y + radius), z)

    def turned(
        self,
        material: int,
        quadric: Vector,
        *,
        centre: Vector,
        half: Vector,
        axes: NDArray[np.float64],
    ) -> None:
        """A primitive in any orientation."""
        self.solids.append(Solid(centre, half, axes, quadric, material, True))

    def rod(self, material: int, start: Vector, end: Vector, radius: float) -> None:
        """A cylinder from one point to another."""
        (ax, ay, az), (bx, by, bz) = start, end
        x, y, z = bx - ax, by - ay, bz - az
        length = math.sqrt(x * x + y * y + z * z)
        centre = ((ax + bx) / 2, (ay + by) / 2, (az + bz) / 2)
        half = (radius, radius, length / 2)
        axes = frame_along((x / length, y / length, z / length))
        self.solids.append(Solid(centre, half, axes, CYLINDER, material, True))

    def add(self, other: Piece, at: Vector = (0.0, 0.0, 0.0), yaw: float = 0.0) -> None:
        """Another piece, turned about the vertical and then moved."""
        c, s = math.cos(yaw), math.sin(yaw)
        turn = IDENTITY if yaw == 0 else turn_about_z(yaw).T
        for (x, y, z), half, axes, quadric, material, casts in other.solids:
            centre = (c * x - s * y + at[0], s * x + c * y + at[1], z + at[2])
            if yaw != 0:
                axes = turn if axes is IDENTITY else axes @ turn
            self.solids.append(Solid(centre, half, axes, quadric, material, casts))
        if other.things:
            matrix = turn_about_z(yaw)
            for thing in other.things:
                moved = matrix @ thing.at + np.array(at)
                self.things.append(thing._replace(matrix=matrix @ thing.matrix, at=moved))

    def bounds(self) -> NDArray[np.float64]:
        """Lowest and highest corner [2, 3]."""
        count = len(self.solids) + len(self.things)
        if self._bounds is None or self._bounds[0] != count:
            low, high = bounds_of(self.solids)
            if self.things:
                boxes = np.stack([thing.bounds() for thing in self.things])
                low, high = np.concatenate([low, boxes[:, 0]]), np.concatenate([high, boxes[:, 1]])
            self._bounds = count, np.stack([low.min(0), high.max(0)])
        return self._bounds[1]

    def footprint(self, at: Vector, yaw: float) -> NDArray[np.float64]:
        """Lowest and highest x and y [2, 2] of its bounding box, turned and then moved."""
        (x0, y0, _), (x1, y1, _) = self.bounds().tolist()
        c, s = math.cos(yaw), math.sin(yaw)
        x, y, wide, deep = (x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0) / 2, (y1 - y0) / 2
        middle = np.array((c * x - s * y + at[0], s * x + c * y + at[1]))
        reach = np.array((abs(c) * wide + abs(s) * deep, abs(s) * wide + abs(c) * deep))
        return np.stack([middle - reach, middle + reach])


def bounds_of(solids: list[Solid]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lowest and highest corner of each solid's axis-aligned bounding box, each [N, 3]."""
    centre = np.array([solid.centre for solid in solids]).reshape(-1, 3)
    reach = np.array([solid.half for solid in solids]).reshape(-1, 3)
    turned = [number for number, solid in enumerate(solids) if solid.axes is not IDENTITY]
    if turned:
        axes = np.array([solids[number].axes for number in turned])
        reach[turned] = (np.abs(axes) * reach[turned][:, :, None]).sum(1)
    return centre - reach, centre + reach


def turn_about_z(yaw: float) -> NDArray[np.float64]:
    """Rotation matrix: x towards y by `yaw` radians."""
    c, s = math.cos(yaw), math.sin(yaw)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])


def frame_along(direction: Vector) -> NDArray[np.float64]:
    """Unit axes [3, 3] as rows, the third along a unit direction."""
    x, y, z = direction  # plain numbers, because NumPy's cross product takes fifty times as long
    a, b, c = (0.0, -z, y) if abs(x) < 0.9 else (z, 0.0, -x)  # across it and the x or y axis
    length = math.sqrt(a * a + b * b + c * c)
    a, b, c = a / length, b / length, c / length
    return np.array([[a, b, c], [y * c - z * b, z * a - x * c, x * b - y * a], [x, y, z]])
