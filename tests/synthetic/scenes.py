"""Hand-made scenes whose every distance can be worked out on paper."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from glpn.synthetic.scenes.materials import Material
from glpn.synthetic.scenes.scene import Light, Sensor, View, assemble, looking, looking_at
from glpn.synthetic.scenes.solids import Piece

GREY = Material(dark=(0.4, 0.4, 0.4), light=(0.4, 0.4, 0.4))
LAMP = Light((0.0, 0.0, 2.0), looking_at((0, 0, 2), (0.01, 0, 0)), (5.0, 5.0, 5.0))


def scene(*pieces: Any, view: Any, material: Any = GREY, sensor: Any = None) -> Any:
    """A scene of some pieces, all in one material, under one lamp."""
    return assemble(
        pieces,
        [material],
        lights=[LAMP],
        ambient=((0.5, 0.5, 0.5), (0.3, 0.3, 0.3)),
        camera=(view, sensor or Sensor()),
    )


def view(
    position: tuple[float, float, float],
    yaw: float = 0.0,
    pitch: float = 0.0,
    roll: float = 0.0,
    *,
    fov: float = 60.0,
    distortion: tuple[float, float] = (0.0, 0.0),
) -> View:
    """A camera; angles in radians."""
    return View(position, looking(yaw, pitch, roll), fov, distortion)


def rays(camera: Any, looking_from: Any, size: tuple[int, int]) -> np.ndarray:
    """World directions (x, y, 1) of all pixels, from the pinhole formula, float64 [H, W, 3]."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    x, y = (columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy
    return np.stack([x, y, np.ones_like(x)], -1) @ looking_from.axes


def focal(fov: float, width: int) -> float:
    """Focal length in pixels of a horizontal field of view in degrees."""
    return width / 2 / math.tan(math.radians(fov) / 2)


def block(x: Any, y: Any, z: Any) -> Any:
    """One box between two corners."""
    piece = Piece()
    piece.block(0, x, y, z)
    return piece


def solid(quadric: Any, x: Any, y: Any, z: Any) -> Any:
    """One primitive between two corners."""
    piece = Piece()
    piece.solid(0, quadric, x, y, z)
    return piece
