"""Lens distortion in OpenCV's two models: from a ray to its distorted position, and back.

Positions are (x, y) in focal lengths from the principal point; a ray is (x, y, 1).

- Radial and tangential: k1, k2, p1, p2[, k3[, k4, k5, k6]] (Brown 1966; OpenCV's calib3d). ROS
  calls it plumb_bob, and rational_polynomial with eight coefficients.
- Fisheye: k1, k2, k3, k4 (Kannala and Brandt 2006; OpenCV's fisheye). ROS calls it equidistant.

A polynomial that was fitted to an image folds back somewhere outside it. Beyond the fold a position
has no ray. Both directions return NaN there instead of the position of another ray.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import NDArray

from glpn.errors import UsageError

_LENGTHS = (4, 5, 8)  # possible numbers of radial and tangential coefficients
_FISHEYE_LENGTH = 4
# Calibrations of real lenses stay far below this; a larger number is a damaged file.
MAX_COEFFICIENT = 1e4
_MAX_NEWTON_STEPS = 30  # an ordinary lens needs five
_NEGLIGIBLE = 1e-12  # a coefficient this small moves no pixel of any image
_TOLERANCE = 1e-10  # focal lengths: less than a millionth of a pixel

Plane = NDArray[np.float64]


def coefficients(values: Sequence[object], *, fisheye: bool) -> tuple[float, ...]:
    """Checked coefficients in the shortest valid length; () for a lens without distortion.

    Raises:
        UsageError: a number is not finite or above MAX_COEFFICIENT, or no model has this many.
    """
    try:
        numbers = [float(value) for value in values]  # type: ignore[arg-type]
    except (TypeError, ValueError):
        numbers = [math.nan]
    wanted = "4 (fisheye)" if fisheye else "4, 5 or 8"
    if not all(map(math.isfinite, numbers)):
        raise UsageError(f"distortion: expected {wanted} finite numbers")
    if any(abs(number) > MAX_COEFFICIENT for number in numbers):
        raise UsageError(
            f"distortion: expected coefficients of at most {MAX_COEFFICIENT:g}, "
            f"got {max(numbers, key=abs):g}"
        )
    while numbers and numbers[-1] == 0:  # OpenCV pads with zeros to 12 or 14 numbers
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
    """Distorted positions of rays, for checked `coefficients`; NaN beyond the fold."""
    square = x * x + y * y
    with np.errstate(all="ignore"):
        if fisheye:
            radius = np.sqrt(square)
            angle = np.arctan(radius)
            scale = np.where(radius > 0, _fisheye(angle, k)[0] / np.where(radius > 0, radius, 1), 1)
            seen = angle * angle < _fold(_fisheye_slope(k))
            new_x, new_y = x * scale, y * scale
        else:
            new_x, new_y, *_ = _distort_radial(x, y, k)
            seen = square < _fold(_radial_slope(k))
    return np.where(seen, new_x, np.nan), np.where(seen, new_y, np.nan)


def undistort(x: Plane, y: Plane, k: Sequence[float], *, fisheye: bool) -> tuple[Plane, Plane]:
    """The rays of distorted positions; NaN where there is none."""
    with np.errstate(all="ignore"):
        return _undistort_fisheye(x, y, k) if fisheye else _undistort_radial(x, y, k)


class _Distorted(NamedTuple):
    """A distorted position and its derivatives; the Jacobian is symmetric: dx/dy = dy/dx."""

    x: Plane
    y: Plane
    dx_dx: Plane
    dx_dy: Plane
    dy_dy: Plane


def _distort_radial(x: Plane, y: Plane, k: Sequence[float]) -> _Distorted:
    k1, k2, p1, p2, k3, k4, k5, k6 = _eight(k)
    s = x * x + y * y
    over, under = 1 + s * (k1 + s * (k2 + s * k3)), 1 + s * (k4 + s * (k5 + s * k6))
    radial = over / under
    over_slope, under_slope = k1 + s * (2 * k2 + 3 * s * k3), k4 + s * (2 * k5 + 3 * s * k6)
    slope = 2 * (over_slope - radial * under_slope) / under  # twice the derivative by s
    return _Distorted(
        x=x * radial + 2 * p1 * x * y + p2 * (s + 2 * x * x),
        y=y * radial + p1 * (s + 2 * y * y) + 2 * p2 * x * y,
        dx_dx=radial + x * x * slope + 2 * p1 * y + 6 * p2 * x,
        dx_dy=x * y * slope + 2 * p1 * x + 2 * p2 * y,
        dy_dy=radial + y * y * slope + 6 * p1 * y + 2 * p2 * x,
    )


def _undistort_radial(x: Plane, y: Plane, k: Sequence[float]) -> tuple[Plane, Plane]:
    """Newton's method in two dimensions, starting at the distorted position."""
    ray_x, ray_y = x, y
    for _ in range(_MAX_NEWTON_STEPS):
        now = _distort_radial(ray_x, ray_y, k)
        error_x, error_y = x - now.x, y - now.y
        if not (np.hypot(error_x, error_y) >= _TOLERANCE).any():
            break
        area = now.dx_dx * now.dy_dy - now.dx_dy**2
        ray_x = ray_x + (now.dy_dy * error_x - now.dx_dy * error_y) / area
        ray_y = ray_y + (now.dx_dx * error_y - now.dx_dy * error_x) / area
    now = _distort_radial(ray_x, ray_y, k)
    found = np.hypot(x - now.x, y - now.y) < _TOLERANCE
    found &= ray_x * ray_x + ray_y * ray_y < _fold(_radial_slope(k))
    return np.where(found, ray_x, np.nan), np.where(found, ray_y, np.nan)


def _fisheye(angle: Plane, k: Sequence[float]) -> tuple[Plane, Plane]:
    """The distance from the principal point at an angle off the axis, and its derivative."""
    k1, k2, k3, k4 = k
    s = angle * angle
    distance = angle * (1 + s * (k1 + s * (k2 + s * (k3 + s * k4))))
    return distance, 1 + s * (3 * k1 + s * (5 * k2 + s * (7 * k3 + s * 9 * k4)))


def _undistort_fisheye(x: Plane, y: Plane, k: Sequence[float]) -> tuple[Plane, Plane]:
    """Newton's method for the angle; rays behind the camera have no depth and become NaN."""
    distance = np.hypot(x, y)
    angle = distance
    for _ in range(_MAX_NEWTON_STEPS):
        reached, slope = _fisheye(angle, k)
        if not (np.abs(distance - reached) >= _TOLERANCE).any():
            break
        angle = angle + (distance - reached) / slope
    found = np.abs(distance - _fisheye(angle, k)[0]) < _TOLERANCE
    found &= (np.abs(angle) < np.pi / 2) & (angle * angle < _fold(_fisheye_slope(k)))
    scale = np.where(distance > 0, np.tan(angle) / np.where(distance > 0, distance, 1), 1)
    return np.where(found, x * scale, np.nan), np.where(found, y * scale, np.nan)


def _eight(k: Sequence[float]) -> tuple[float, ...]:
    return (*k, *[0.0] * (8 - len(k)))


def _radial_slope(k: Sequence[float]) -> Polynomial:
    """A polynomial in r² with the sign of d(r · radial)/dr; it is also 0 at a pole."""
    k1, k2, _, _, k3, k4, k5, k6 = _eight(k)
    over, under, s = Polynomial([1, k1, k2, k3]), Polynomial([1, k4, k5, k6]), Polynomial([0, 1])
    slope = over * under + 2 * s * (over.deriv() * under - over * under.deriv())
    product: Polynomial = slope * under
    return product


def _fisheye_slope(k: Sequence[float]) -> Polynomial:
    """d(distance)/d(angle) as a polynomial in angle²."""
    return Polynomial([1, *(factor * value for factor, value in zip((3, 5, 7, 9), k, strict=True))])


def _fold(slope: Polynomial) -> float:
    """The smallest positive argument at which the slope vanishes."""
    roots = slope.trim(_NEGLIGIBLE).roots()
    real = roots.real[np.abs(roots.imag) <= 1e-9 * np.abs(roots)]
    return float(real[real > 0].min(initial=math.inf))
