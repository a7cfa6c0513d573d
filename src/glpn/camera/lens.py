"""Lens distortion in OpenCV's two models: from a ray to where the lens puts it, and back.

Positions are (x, y) in focal lengths from the principal point; a ray is (x, y, 1).

- Radial and tangential: k1, k2, p1, p2[, k3[, k4, k5, k6]] (Brown 1966; OpenCV's calib3d). ROS says
  plumb_bob, with eight coefficients rational_polynomial.
- Fisheye: k1, k2, k3, k4 (Kannala and Brandt 2006; OpenCV's fisheye). ROS says equidistant.

A polynomial that was fitted to a picture folds back somewhere outside it. Beyond the fold a
position belongs to no ray, and both directions say NaN there instead of another ray's figure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import NDArray

from glpn.errors import UsageError

_LENGTHS = (4, 5, 8)  # of radial and tangential coefficients
_FISHEYE_LENGTH = 4
_MOST_STEPS = 30  # of Newton's method; a usual lens needs five
_NOTHING = 1e-12  # a coefficient that moves nothing within any picture
_CLOSE = 1e-10  # focal lengths: less than a millionth of a pixel

Plane = NDArray[np.float64]


def coefficients(values: Sequence[Any], *, fisheye: bool) -> tuple[float, ...]:
    """Checked coefficients in the shortest of the usual lengths; () where nothing is distorted.

    Raises:
        UsageError: they are no finite numbers, or not as many as a model has.
    """
    try:
        numbers = [float(value) for value in values]
    except (TypeError, ValueError):
        numbers = [math.nan]
    wanted = "4 (fisheye)" if fisheye else "4, 5 or 8"
    if not all(map(math.isfinite, numbers)):
        raise UsageError(f"distortion: expected {wanted} finite numbers")
    while numbers and numbers[-1] == 0:  # OpenCV pads with zeros to 12 or 14
        numbers.pop()
    if fisheye:
        lengths: tuple[int, ...] = (_FISHEYE_LENGTH,)
    else:
        lengths = _LENGTHS if numbers else (0,)
    length = next((n for n in lengths if n >= len(numbers)), None)
    if length is None:
        raise UsageError(f"distortion: expected {wanted} numbers, got {len(numbers)}")
    return (*numbers, *[0.0] * (length - len(numbers)))


def distort(x: Plane, y: Plane, k: Sequence[float], *, fisheye: bool) -> tuple[Plane, Plane]:
    """Where a lens with these `coefficients` puts rays; NaN beyond its fold."""
    square = x * x + y * y
    with np.errstate(all="ignore"):
        if fisheye:
            radius = np.sqrt(square)
            angle = np.arctan(radius)
            scale = np.where(radius > 0, _fisheye(angle, k)[0] / np.where(radius > 0, radius, 1), 1)
            seen = angle * angle < _fold(_fisheye_slope(k))
            bent_x, bent_y = x * scale, y * scale
        else:
            bent_x, bent_y, *_ = _bend(x, y, k)
            seen = square < _fold(_radial_slope(k))
    return np.where(seen, bent_x, np.nan), np.where(seen, bent_y, np.nan)


def undistort(x: Plane, y: Plane, k: Sequence[float], *, fisheye: bool) -> tuple[Plane, Plane]:
    """The rays that such a lens puts at positions; NaN where there is none."""
    with np.errstate(all="ignore"):
        return _from_fisheye(x, y, k) if fisheye else _unbend(x, y, k)


class _Bent(NamedTuple):
    """A bent position and its derivatives; the Jacobian is symmetric: dx/dy = dy/dx."""

    x: Plane
    y: Plane
    dx_dx: Plane
    dx_dy: Plane
    dy_dy: Plane


def _bend(x: Plane, y: Plane, k: Sequence[float]) -> _Bent:
    k1, k2, p1, p2, k3, k4, k5, k6 = _eight(k)
    s = x * x + y * y
    over, under = 1 + s * (k1 + s * (k2 + s * k3)), 1 + s * (k4 + s * (k5 + s * k6))
    radial = over / under
    over_slope, under_slope = k1 + s * (2 * k2 + 3 * s * k3), k4 + s * (2 * k5 + 3 * s * k6)
    slope = 2 * (over_slope - radial * under_slope) / under  # twice the derivative by s
    return _Bent(
        x=x * radial + 2 * p1 * x * y + p2 * (s + 2 * x * x),
        y=y * radial + p1 * (s + 2 * y * y) + 2 * p2 * x * y,
        dx_dx=radial + x * x * slope + 2 * p1 * y + 6 * p2 * x,
        dx_dy=x * y * slope + 2 * p1 * x + 2 * p2 * y,
        dy_dy=radial + y * y * slope + 6 * p1 * y + 2 * p2 * x,
    )


def _unbend(x: Plane, y: Plane, k: Sequence[float]) -> tuple[Plane, Plane]:
    """Newton's method in two dimensions, from the bent position on."""
    ray_x, ray_y = x, y
    for _ in range(_MOST_STEPS):
        bent = _bend(ray_x, ray_y, k)
        error_x, error_y = x - bent.x, y - bent.y
        if not (np.hypot(error_x, error_y) >= _CLOSE).any():
            break
        area = bent.dx_dx * bent.dy_dy - bent.dx_dy**2
        ray_x = ray_x + (bent.dy_dy * error_x - bent.dx_dy * error_y) / area
        ray_y = ray_y + (bent.dx_dx * error_y - bent.dx_dy * error_x) / area
    bent = _bend(ray_x, ray_y, k)
    found = np.hypot(x - bent.x, y - bent.y) < _CLOSE
    found &= ray_x * ray_x + ray_y * ray_y < _fold(_radial_slope(k))
    return np.where(found, ray_x, np.nan), np.where(found, ray_y, np.nan)


def _fisheye(angle: Plane, k: Sequence[float]) -> tuple[Plane, Plane]:
    """The distance from the principal point at an angle off the axis, and its derivative."""
    k1, k2, k3, k4 = k
    s = angle * angle
    distance = angle * (1 + s * (k1 + s * (k2 + s * (k3 + s * k4))))
    return distance, 1 + s * (3 * k1 + s * (5 * k2 + s * (7 * k3 + s * 9 * k4)))


def _from_fisheye(x: Plane, y: Plane, k: Sequence[float]) -> tuple[Plane, Plane]:
    """Newton's method for the angle; only rays in front of the camera have a depth."""
    distance = np.hypot(x, y)
    angle = distance
    for _ in range(_MOST_STEPS):
        reached, slope = _fisheye(angle, k)
        if not (np.abs(distance - reached) >= _CLOSE).any():
            break
        angle = angle + (distance - reached) / slope
    found = np.abs(distance - _fisheye(angle, k)[0]) < _CLOSE
    found &= (np.abs(angle) < np.pi / 2) & (angle * angle < _fold(_fisheye_slope(k)))
    scale = np.where(distance > 0, np.tan(angle) / np.where(distance > 0, distance, 1), 1)
    return np.where(found, x * scale, np.nan), np.where(found, y * scale, np.nan)


def _eight(k: Sequence[float]) -> tuple[float, ...]:
    return (*k, *[0.0] * (8 - len(k)))


def _radial_slope(k: Sequence[float]) -> Polynomial:
    """What has the sign of d(r · radial)/dr, as a polynomial in r²; also 0 at a pole."""
    k1, k2, _, _, k3, k4, k5, k6 = _eight(k)
    over, under, s = Polynomial([1, k1, k2, k3]), Polynomial([1, k4, k5, k6]), Polynomial([0, 1])
    slope = over * under + 2 * s * (over.deriv() * under - over * under.deriv())
    product: Polynomial = slope * under
    return product


def _fisheye_slope(k: Sequence[float]) -> Polynomial:
    """d(distance)/d(angle) as a polynomial in angle²."""
    return Polynomial([1, *(factor * value for factor, value in zip((3, 5, 7, 9), k, strict=True))])


def _fold(slope: Polynomial) -> float:
    """The least argument above 0 at which the slope vanishes."""
    roots = slope.trim(_NOTHING).roots()
    real = roots.real[np.abs(roots.imag) <= 1e-9 * np.abs(roots)]
    return float(real[real > 0].min(initial=math.inf))
