"""Calibration: fits scale, shift and focal length to known depths and lengths in one photo."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from glpn.camera.camera import Camera
from glpn.errors import UsageError

# The penalty of the shift: a shift by the mean reference costs as much as missing SHIFT_COST
# references by their whole depth. Of 0 to 1, this is best for 2 to 20 references
# (benchmarks/references.py); at 0, two references fit a shift to their own noise.
SHIFT_COST = 0.3
# How much the lengths must differ in the share of their square that runs along the optical axis.
# Errors of the lengths reach the square of the focal length magnified by the inverse of this.
_MIN_SPREAD = 0.1
# Focal lengths that a solution may have, in diagonals of the image: 9 to 130 mm in 35 mm terms. A
# solution outside this range was fitted to noise.
_SOLVED_FOCAL_RANGE = (0.2, 3.0)
_MAX_LENGTH = 1e6  # metres
_ROUNDING = 1e-6  # metres


class ScaleShift(NamedTuple):
    """Calibrated metres are `scale` · metres + `shift`."""

    scale: float
    shift: float = 0.0


class ScaleZoom(NamedTuple):
    """Factors of the metres (`scale`) and of the focal length (`zoom`)."""

    scale: float
    zoom: float


def require_lengths(name: str, values: Sequence[Sequence[float]], *, numbers: int) -> None:
    """Refuse anything but tuples of finite numbers, the last above 0.

    Raises:
        UsageError: there are none, or one is something else; the message begins with the name.
    """
    if not len(values):
        raise UsageError(f"{name}: expected at least one, got none")
    for value in values:
        array = np.asarray(value, np.float64)
        finite = array.shape == (numbers,) and np.isfinite(array).all()
        if not (finite and 0 < array[-1] < _MAX_LENGTH):
            raise UsageError(
                f"{name}: expected {numbers} numbers, the last a length above 0 in metres; "
                f"got {tuple(value)!r:.100}"
            )


def require_open_focal(name: str, lengths: Sequence[object], *, options: str) -> None:
    """Refuse two or more known lengths beside a given camera, whose focal length they solve.

    Args:
        name: begins the message.
        lengths: the known lengths.
        options: the names under which a camera can be given.

    Raises:
        UsageError: there are two or more.
    """
    if len(lengths) > 1:
        raise UsageError(
            f"{name}: two solve the focal length, which is given; leave {options} out, or give "
            "one length, which sets the scale"
        )


def fit_references(
    estimated: Sequence[float], measured: Sequence[float], *, nearest: float
) -> ScaleShift:
    """Fit estimated depths to measured ones by scale and shift.

    Minimises the squares of (scale · estimated + shift) / measured - 1, because the errors of a
    network grow with the distance, plus the penalty of the shift (SHIFT_COST). One reference, or
    several at one depth, give only a scale. So does a best fit that would reverse the depth or put
    the nearest pixel behind the camera.

    Args:
        estimated, measured: metres above 0, pairwise.
        nearest: the smallest estimated depth of the image.
    """
    e, m = np.asarray(estimated, np.float64), np.asarray(measured, np.float64)
    cost = math.sqrt(SHIFT_COST) / np.exp(np.log(m).mean())
    rows = np.vstack([np.stack([e / m, 1 / m], axis=1), [0, cost]])
    wanted = np.append(np.ones(len(m)), 0)
    scale, shift = np.linalg.lstsq(rows, wanted, rcond=None)[0].tolist()
    if scale <= 0 or scale * nearest + shift <= 0:
        ratio = e / m
        return ScaleShift(float(ratio.sum() / (ratio @ ratio)))
    return ScaleShift(scale, shift if abs(shift) > _ROUNDING else 0.0)


def solve_lengths(spans: NDArray[np.float64], lengths: Sequence[float]) -> ScaleZoom:
    """Scale and focal length from two or more known lengths.

    A span (dX, dY, dZ) between two places becomes scale · (dX / zoom, dY / zoom, dZ). With
    A = (scale / zoom)² and B = scale² the square of its length, A (dX² + dY²) + B dZ², is linear:
    two lengths solve it, more do so in the least-squares sense of the relative errors.

    Args:
        spans: [N, 3], between the points of each pair, with the current camera.
        lengths: metres above 0.

    Raises:
        UsageError: all lengths lie at a similar angle to the optical axis, or contradict each
            other.
    """
    squares = spans**2 / np.asarray(lengths, np.float64)[:, None] ** 2
    rows = np.stack([squares[:, 0] + squares[:, 1], squares[:, 2]], axis=1)  # [N, 2]
    a, b = np.linalg.lstsq(rows, np.ones(len(rows)), rcond=None)[0]
    if np.ptp(rows[:, 1] * b) < _MIN_SPREAD:
        raise UsageError(
            "known lengths: they do not determine the focal length, because all lie at a similar "
            "angle to the camera; give one across the image and one that leads away"
        )
    if not (a > 0 and b > 0):
        raise UsageError("known lengths: they contradict each other: no focal length fits them all")
    return ScaleZoom(scale=math.sqrt(b), zoom=math.sqrt(b / a))


def solve_camera(
    camera: Camera, size: tuple[int, int], spans: NDArray[np.float64], lengths: Sequence[float]
) -> tuple[Camera, float]:
    """The camera with its focal length solved from known lengths, and the scale of the metres.

    Args:
        camera: the current one.
        size: (height, width) of the image.
        spans, lengths: as in `solve_lengths`.

    Raises:
        UsageError: as `solve_lengths`; or the lens distorts, or no usual lens has the solution.
    """
    if camera.distortion or camera.fisheye:
        raise UsageError(
            "known lengths: this camera's lens is known, and so its focal length; give one "
            "length, which sets the scale"
        )
    scale, zoom = solve_lengths(spans, lengths)
    low, high = (n * math.hypot(*size) for n in _SOLVED_FOCAL_RANGE)
    if not low <= camera.fx * zoom <= high:
        raise UsageError(
            f"known lengths: they need a focal length of {camera.fx * zoom:.0f} px, which no "
            f"usual lens has: expected {low:.0f} to {high:.0f}"
        )
    source = f"solved from {len(lengths)} known lengths"
    fx, fy = camera.fx * zoom, camera.fy * zoom
    return dataclasses.replace(camera, fx=fx, fy=fy, source=source), scale
