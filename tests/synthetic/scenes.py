"""Hand-made scenes whose every distance can be worked out on paper."""

import math

import numpy as np

from glpn.synthetic.scenes.materials import Material
from glpn.synthetic.scenes.scene import Light, Sensor, View, assemble, looking, looking_at
from glpn.synthetic.scenes.solids import Piece

GREY = Material(dark=(0.4, 0.4, 0.4), light=(0.4, 0.4, 0.4))
LAMP = Light((0.0, 0.0, 2.0), looking_at((0, 0, 2), (0.01, 0, 0)), (5.0, 5.0, 5.0))


def scene(*pieces, view, material=GREY, sensor=None):
    """A scene of some pieces, all in one material, under one lamp."""
    return assemble(
        pieces,
        [material],
        lights=[LAMP],
        ambient=((0.5, 0.5, 0.5), (0.3, 0.3, 0.3)),
        camera=(view, sensor or Sensor()),
    )


def view(position, yaw=0.0, pitch=0.0, roll=0.0, *, fov=60.0, distortion=(0.0, 0.0)):
    """A camera; angles in radians."""
    return View(position, looking(yaw, pitch, roll), fov, distortion)


def rays(camera, looking_from, size):
    """World directions (x, y, 1) of all pixels, from the pinhole formula, float64 [H, W, 3]."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    x, y = (columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy
    return np.stack([x, y, np.ones_like(x)], -1) @ looking_from.axes


def focal(fov, width):
    """Focal length in pixels of a horizontal field of view in degrees."""
    return width / 2 / math.tan(math.radians(fov) / 2)


def block(x, y, z):
    """One box between two corners."""
    piece = Piece()
    piece.block(0, x, y, z)
    return piece


def solid(quadric, x, y, z):
    """One primitive between two corners."""
    piece = Piece()
    piece.solid(0, quadric, x, y, z)
    return piece
