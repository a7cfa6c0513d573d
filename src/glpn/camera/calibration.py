"""Calibration: what a tape measure tells of one picture → scale, shift and focal length."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from glpn.errors import UsageError

# How hard the shift is held back: a shift of one mean reference costs as much as missing so many
# references by their whole depth. Of 0 to 1, this is best for 2 to 20 references
# (benchmarks/references.py); for 0, two references make a shift of their own noise.
SHIFT_COST = 0.3
# By how much the lengths must differ in the share of their square that leads away from the camera:
# what they are wrong by comes back in the focal length's square magnified by the inverse of this.
_LEAST_SPREAD = 0.1
# Focal lengths that a solution may have, in diagonals of the picture: 9 to 130 mm in 35 mm terms.
# What needs another one was fitted to noise.
FOCAL_RANGE = (0.2, 3.0)
_LONGEST = 1e6  # metres
_ROUNDING = 1e-6  # metres


@dataclass(frozen=True)
class Tape:
    """What was measured in one picture; places are (x, y) in pixels.

    Attributes:
        references: (x, y, metres) along the optical axis, for `Depth.calibrated`.
        lengths: (x0, y0, x1, y1, metres) in straight lines, for `Depth.with_lengths`.
    """

    references: Sequence[tuple[float, ...]] = ()
    lengths: Sequence[tuple[float, ...]] = ()


class Fit(NamedTuple):
    """Calibrated metres are `scale` · metres + `shift`."""

    scale: float
    shift: float = 0.0


class Solution(NamedTuple):
    """Metres must be multiplied by `scale`, the focal length by `zoom`."""

    scale: float
    zoom: float


def require_lengths(name: str, values: Sequence[Any], *, numbers: int) -> None:
    """Refuse anything but tuples of so many finite numbers, the last above 0.

    Raises:
        UsageError: there are none, or one is no such tuple; the message begins with the name.
    """
    if not len(values):
        raise UsageError(f"{name}: expected at least one, got none")
    for value in values:
        array = np.asarray(value, np.float64)
        finite = array.shape == (numbers,) and np.isfinite(array).all()
        if not (finite and 0 < array[-1] < _LONGEST):
            raise UsageError(
                f"{name}: expected {numbers} numbers, the last a length above 0 in metres; "
                f"got {tuple(value)!r:.100}"
            )


def fit_references(estimated: Sequence[float], measured: Sequence[float], *, nearest: float) -> Fit:
    """Scale and shift that bring estimated depths to measured ones.

    Least squares of the relative errors (scale · estimated + shift) / measured - 1, because both a
    network and a tape err by a share of the distance, with the shift held back by SHIFT_COST. One
    reference, or several at one depth, thus give a scale alone. So do references whose best fit
    would turn the depth around or put what is `nearest` behind the camera.

    Args:
        estimated, measured: metres above 0, pairwise.
        nearest: the least estimated depth anywhere.
    """
    e, m = np.asarray(estimated, np.float64), np.asarray(measured, np.float64)
    cost = math.sqrt(SHIFT_COST) / np.exp(np.log(m).mean())
    rows = np.vstack([np.stack([e / m, 1 / m], axis=1), [0, cost]])
    wanted = np.append(np.ones(len(m)), 0)
    scale, shift = np.linalg.lstsq(rows, wanted, rcond=None)[0].tolist()
    if scale <= 0 or scale * nearest + shift <= 0:
        ratio = e / m
        return Fit(float(ratio.sum() / (ratio @ ratio)))
    return Fit(scale, shift if abs(shift) > _ROUNDING else 0.0)


def solve_lengths(spans: NDArray[np.float64], lengths: Sequence[float]) -> Solution:
    """Scale and focal length from two or more known lengths.

    A span (dX, dY, dZ) between two places becomes scale · (dX / zoom, dY / zoom, dZ). With
    A = (scale / zoom)² and B = scale² the square of its length, A (dX² + dY²) + B dZ², is linear:
    two lengths solve it, more do so in the least-squares sense of the relative errors.

    Args:
        spans: [N, 3], between the places' points with the camera assumed so far.
        lengths: metres above 0.

    Raises:
        UsageError: the lengths lie alike to the camera, or contradict each other.
    """
    squares = spans**2 / np.asarray(lengths, np.float64)[:, None] ** 2
    rows = np.stack([squares[:, 0] + squares[:, 1], squares[:, 2]], axis=1)  # [N, 2]
    a, b = np.linalg.lstsq(rows, np.ones(len(rows)), rcond=None)[0]
    if np.ptp(rows[:, 1] * b) < _LEAST_SPREAD:
        raise UsageError(
            "known lengths: all lie alike to the camera and leave the focal length open; give "
            "one across the picture and one that leads away from the camera"
        )
    if not (a > 0 and b > 0):
        raise UsageError("known lengths: they contradict each other: no focal length fits them all")
    return Solution(scale=math.sqrt(b), zoom=math.sqrt(b / a))
