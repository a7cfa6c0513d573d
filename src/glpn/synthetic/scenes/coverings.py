"""Coverings: photographed textures of a library on the floor and the walls of a room."""

from __future__ import annotations

import numpy as np

from glpn.errors import DataError
from glpn.synthetic.furniture_models import texture
from glpn.synthetic.furniture_models.obj import Mesh, Paint
from glpn.synthetic.furniture_models.texture import Texture
from glpn.synthetic.scenes.kit import Kit
from glpn.synthetic.scenes.shell import Wall
from glpn.synthetic.scenes.solids import Piece, Span, Thing, Vector

_PROUD = 0.001  # metres in front of the covered surface
_TRIES = 4  # models looked at for a texture
_EVEN = 20  # the greatest difference, of 255, between a quarter's mean and the whole's
_QUARTERS = texture.LEVELS - 2  # the level with two texels a side
_PERIODS = (0.4, 2.5)  # metres that one texture covers
_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, 1, 0]])  # maps (along, up, 0) to a wall's frame

Rectangle = tuple[Span, Span]  # along the first axis, along the second


def carpet(kit: Kit, size: tuple[float, float]) -> Piece | None:
    """A covering of the floor from (0, 0) to `size`; None if no even texture was found."""
    found = _texture(kit)
    if found is None:
        return None
    mesh = _sheet([((0.0, size[0]), (0.0, size[1]))], found, kit.uniform(*_PERIODS))
    piece = Piece()
    piece.things.append(Thing(mesh, np.eye(3), np.array([0.0, 0.0, _PROUD]), _shade(kit)))
    return piece


def wallpaper(kit: Kit, walls: list[Wall], height: float) -> list[Piece]:
    """One wallpaper for all walls, each in its wall's frame; empty if no texture was found."""
    found = _texture(kit)
    if found is None:
        return []
    period, shade, pieces = kit.uniform(*_PERIODS), _shade(kit), []
    for wall in walls:
        piece = Piece()
        mesh = _sheet(_around_openings(wall, height), found, period)
        piece.things.append(Thing(mesh, _UP, np.array([0.0, _PROUD, 0.0]), shade))
        pieces.append(piece)
    return pieces


def _texture(kit: Kit) -> Texture | None:
    """An opaque texture of a random model that is about equally bright everywhere."""
    if kit.library is None or not kit.library.models:
        return None
    for _ in range(_TRIES):
        model = kit.library.models[int(kit.rng.integers(len(kit.library.models)))]
        try:
            paints = kit.library.load(model).paints
        except DataError:
            continue
        for paint in paints:
            if paint.texture is None:
                continue
            start = texture.OFFSETS[_QUARTERS]
            quarters = paint.texture[start : start + 4].astype(float)
            if quarters[:, 3].min() == 255 and np.ptp(quarters, axis=0).max() < _EVEN:
                return paint.texture
    return None


def _shade(kit: Kit) -> Vector:
    r, g, b = np.exp(0.15 * kit.rng.standard_normal() + 0.08 * kit.rng.standard_normal(3)).tolist()
    return r, g, b


def _sheet(rectangles: list[Rectangle], picture: Texture, period: float) -> Mesh:
    """Rectangles in the plane z = 0 with a texture that repeats."""
    corners = np.array(
        [
            [[(x[0], y[0], 0), (x[1], y[0], 0), (x[1], y[1], 0)],
             [(x[0], y[0], 0), (x[1], y[1], 0), (x[0], y[1], 0)]]
            for x, y in rectangles
        ],
        np.float32,
    ).reshape(-1, 3, 3)  # fmt: skip
    normals = np.zeros_like(corners)
    normals[..., 2] = 1
    uv, paint = corners[..., :2] / np.float32(period), np.zeros(len(corners), np.int32)
    return Mesh(corners, normals, uv, paint, (Paint(texture=picture),))


def _around_openings(wall: Wall, height: float) -> list[Rectangle]:
    """The wall without its doors and windows: along it and up it."""
    rectangles: list[Rectangle] = []
    start = -wall.length / 2
    for opening in sorted(wall.openings, key=lambda opening: opening.x):
        rectangles += [
            ((start, opening.x[0]), (0.0, height)),
            (opening.x, (0.0, opening.z[0])),
            (opening.x, (opening.z[1], height)),
        ]
        start = opening.x[1]
    rectangles.append(((start, wall.length / 2), (0.0, height)))
    return [(x, y) for x, y in rectangles if x[1] > x[0] and y[1] > y[0]]
