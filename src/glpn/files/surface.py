"""What PLY and GLB share: the grid of known points and the triangles between neighbours."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from glpn.depth.colormaps import colorize
from glpn.errors import DataError, UsageError
from glpn.files.contents import Contents

# Neighbours whose depths differ by more than this share are not joined. Rows of a floor n pixels
# below the horizon differ by 1/n: at 5 % it holds together up to 20 pixels below, which is 44 m
# away for a camera 1.6 m up with a focal length of 554 pixels (60° over 640).
DEPTH_JUMP = 0.05


class Grid(NamedTuple):
    """Every `step`-th pixel: known [h, w], points [h, w, 3] in the camera's axes, RGB [h, w, 3]."""

    known: NDArray[np.bool_]
    points: NDArray[np.float32]
    colors: NDArray[np.uint8]


def grid(contents: Contents, step: int) -> Grid:
    """The points of a depth map, thinned out.

    Raises:
        DataError: no pixel is known.
        UsageError: the step is impossible.
    """
    if not isinstance(step, (int, np.integer)) or isinstance(step, bool) or step < 1:
        raise UsageError(f"step: expected a whole number of at least 1, got {step!r}")
    points = contents.points(step)
    known = points[..., 2] > 0
    if not known.any():
        raise DataError("no pixel has a known depth: there are no points to write")
    return Grid(known, points, photo_colors(contents)[::step, ::step])


def photo_colors(contents: Contents) -> NDArray[np.uint8]:
    """The photo [H, W, 3], or a colour picture of the depth where there is none."""
    return colorize(contents.metres) if contents.image is None else contents.image


def require_jump(jump: float) -> None:
    """Reject an impossible `jump` with UsageError."""
    if not jump > 0:
        raise UsageError(f"jump: expected a share above 0, got {jump!r}")


def triangles(depth: NDArray[np.float32], jump: float) -> NDArray[np.int64]:
    """Two triangles [F, 3] per four neighbours, counter-clockwise as the camera sees them."""
    index = np.arange(depth.size).reshape(depth.shape)
    a, b = index[:-1, :-1], index[:-1, 1:]
    c, d = index[1:, :-1], index[1:, 1:]
    corners = [np.stack(three, axis=-1).reshape(-1, 3) for three in ((a, c, b), (b, c, d))]
    faces = np.concatenate(corners)
    depths = depth.reshape(-1)[faces]
    near, far = depths.min(axis=1), depths.max(axis=1)
    kept: NDArray[np.int64] = faces[(near > 0) & (far <= near * (1 + jump))]
    return kept


def used_points(
    faces: NDArray[np.int64], count: int
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which of `count` points the faces use, and the faces numbered among those alone."""
    used = np.zeros(count, bool)
    used[faces] = True
    return used, (np.cumsum(used) - 1)[faces]
