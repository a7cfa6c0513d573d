"""Corrects an estimate with sparse depth: scale and shift, then a smooth local factor.

The points may come from LiDAR, from SLAM, from a phone's time-of-flight sensor or from a tape
measure, and some of them may be wrong. Errors count relative to the distance throughout, because
networks and sensors both err by a share of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from glpn.camera.calibration import SHIFT_COST
from glpn.errors import DataError, UsageError

MIN_POINTS = 3
MIN_POINTS_FOR_LOCAL = 20  # below this, the leave-one-out error does not judge a local correction
MAX_POINTS = 800  # used; more are averaged in cells of the image
_HUBER = 1.345  # standard deviations; 95 % efficient for normal errors (Huber 1981)
_MAD = 1.4826  # times the median absolute error is the standard deviation of a normal one
_STEPS = 10  # steps of reweighting
# Candidates of the local correction: how far it reaches along the image, in diagonals, and across
# depth, in natural logarithms. A point thus corrects its own surface, and less what lies behind.
_REACHES = ((0.08, 0.3), (0.15, 0.3), (0.15, 1.0), (0.3, 1.0))
_NOISE = 0.15  # variance of a point's own error, in variances of the local correction
MIN_DEPTH = 1e-3  # metres; 0 means unknown
_BAND = 64  # rows corrected at a time, to bound the memory


class SparseFit(NamedTuple):
    """A correction of one estimate.

    Attributes:
        metres: corrected, float32 [H, W]; 0 stays unknown.
        scale, shift: the global part: corrected = scale · metres + shift.
        local: whether the smooth local factor is applied.
        points: how many points were used.
        outliers: how many of these deviate by more than three standard deviations.
        error: mean relative error of each point, predicted from the others.
        global_error: the same of scale and shift only.
    """

    metres: NDArray[np.float32]
    scale: float
    shift: float
    local: bool
    points: int
    outliers: int
    error: float
    global_error: float

    def gain(self, estimate: NDArray[np.float32]) -> NDArray[np.float64]:
        """The slope of the correction [H, W]: by how much it scales small differences."""
        shifted = self.scale * estimate.astype(np.float64) + self.shift
        known = (estimate > 0) & (shifted > 0)
        local = np.divide(self.metres, shifted, out=np.ones_like(shifted), where=known)
        return self.scale * local

    def __str__(self) -> str:
        """What it adds to scale and shift, from how many points, and how well it fits."""
        local = "a smooth local factor, " if self.local else ""
        return (
            f"{local}for {self.points} points of sparse depth ({self.outliers} outliers; "
            f"leave-one-out error {self.error:.1%}, "
            f"{self.global_error:.1%} with scale and shift only)"
        )


class _Local(NamedTuple):
    """A Gaussian process of log ratios over (row, column, log depth)."""

    reach: tuple[float, float, float]
    places: NDArray[np.float64]  # [N, 3]
    weights: NDArray[np.float64]  # [N]
    left_out: NDArray[np.float64]  # [N]: log error of each point, predicted from the others


def fit_sparse(metres: NDArray[np.float32], points: NDArray[np.float64]) -> SparseFit:
    """Fit an estimate to sparse depth.

    The global part is a robust scale and shift (Huber's loss of relative errors). The local part is
    kriging: the remaining log ratios are a Gaussian process over the image and log depth, with
    outliers down-weighted and its reach chosen by the leave-one-out error. It is applied only where
    that error is below the one of the global part, and fades away from the points.

    Args:
        metres: the estimate [H, W], 0 unknown.
        points: [N, 3]: x, y in pixels and metres along the optical axis.

    Raises:
        UsageError: a point is outside the image or not finite, or its depth is not above 0.
        DataError: fewer than MIN_POINTS lie where the estimate is known.
    """
    x, y, measured = _inside(metres, points)
    estimated = metres[y, x].astype(np.float64)
    scale, shift, left_out = _global_fit(estimated, measured, nearest=_nearest(metres))
    corrected = scale * estimated + shift
    diagonal = math.hypot(*metres.shape)
    places = np.stack([y / diagonal, x / diagonal, np.log(estimated)], axis=1)
    ratios = np.log(measured / corrected)
    local = _best_local(places, ratios) if len(x) >= MIN_POINTS_FOR_LOCAL else None
    global_error = float(np.abs(left_out).mean())
    error = global_error if local is None else float(np.abs(np.expm1(local.left_out)).mean())
    if local is None or error >= global_error:
        local, error, residuals = None, global_error, left_out
    else:
        residuals = local.left_out
    usual = _spread(residuals)
    return SparseFit(
        metres=_corrected(metres, scale, shift, local),
        scale=scale,
        shift=shift,
        local=local is not None,
        points=len(x),
        outliers=int((np.abs(residuals) > 3 * usual).sum()),
        error=error,
        global_error=global_error,
    )


def _inside(
    metres: NDArray[np.float32], points: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Whole x and y and the metres of at most MAX_POINTS points on known pixels."""
    height, width = metres.shape
    if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
        raise UsageError("sparse depth: expected points (x, y, metres) of finite numbers")
    x, y, measured = points.T
    outside = ~((x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5))
    if outside.any() or not (measured > 0).all():
        wrong = points[outside | ~(measured > 0)][0]
        raise UsageError(
            f"sparse depth: expected x below {width}, y below {height} and metres above 0; "
            f"got {tuple(wrong.tolist())}"
        )
    column = np.clip(np.rint(x).astype(np.int64), 0, width - 1)
    row = np.clip(np.rint(y).astype(np.int64), 0, height - 1)
    known = metres[row, column] > 0
    if known.sum() < MIN_POINTS:
        raise DataError(
            f"sparse depth: expected at least {MIN_POINTS} points where the estimate is known, "
            f"got {int(known.sum())}"
        )
    column, row, measured = column[known], row[known], measured[known]
    kept = _representatives(metres, column, row, measured)
    return column[kept], row[kept], measured[kept]


def _representatives(
    metres: NDArray[np.float32],
    x: NDArray[np.int64],
    y: NDArray[np.int64],
    measured: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Indices of all points, or of the one with the median ratio in each cell if there are many."""
    if len(x) <= MAX_POINTS:
        return np.arange(len(x))
    height, width = metres.shape
    side = math.sqrt(height * width / MAX_POINTS)
    columns = math.ceil(width / side)
    cell = (y // side).astype(np.int64) * columns + (x // side).astype(np.int64)
    ratio = measured / metres[y, x]
    order = np.lexsort((ratio, cell))
    _, start, count = np.unique(cell[order], return_index=True, return_counts=True)
    chosen: NDArray[np.int64] = order[start + count // 2]
    return chosen


def _nearest(metres: NDArray[np.float32]) -> float:
    return float(metres[metres > 0].min())


def _spread(errors: NDArray[np.float64]) -> float:
    """The standard deviation, as if the errors were normal apart from outliers."""
    return max(_MAD * float(np.median(np.abs(errors))), 1e-6)


def _huber(errors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights that limit the pull of outliers."""
    return 1 / np.maximum(np.abs(errors) / (_HUBER * _spread(errors)), 1)


def _global_fit(
    estimated: NDArray[np.float64], measured: NDArray[np.float64], *, nearest: float
) -> tuple[float, float, NDArray[np.float64]]:
    """Scale, shift and the relative error of each point, predicted from the others."""
    rows = np.stack([estimated / measured, 1 / measured], axis=1)  # rows @ (scale, shift) = 1
    cost = SHIFT_COST / math.exp(2 * float(np.log(measured).mean()))
    weights = _huber(float(np.median(measured / estimated)) * rows[:, 0] - 1)
    for _ in range(_STEPS):
        normal = (rows * weights[:, None]).T @ rows + np.diag([0, cost])
        scale, shift = np.linalg.solve(normal, rows.T @ weights)
        errors = rows @ (scale, shift) - 1
        weights = _huber(errors)
    leverage = weights * np.einsum("ni,ij,nj->n", rows, np.linalg.inv(normal), rows)
    if scale <= 0 or scale * nearest + shift <= 0:  # would reverse depth: fit the scale only
        scale, shift = float(np.median(measured / estimated)), 0.0
        errors, leverage = scale * rows[:, 0] - 1, np.full(len(rows), 1 / len(rows))
    return float(scale), float(shift), errors / np.maximum(1 - leverage, 0.1)


def _best_local(places: NDArray[np.float64], ratios: NDArray[np.float64]) -> _Local:
    """The local correction whose reach has the smallest leave-one-out error."""
    fits = [_krige(places, ratios, (along, along, depth)) for along, depth in _REACHES]
    return min(fits, key=lambda fit: float(np.abs(fit.left_out).mean()))


def _krige(
    places: NDArray[np.float64], ratios: NDArray[np.float64], reach: tuple[float, float, float]
) -> _Local:
    """A Gaussian process with a Gaussian kernel; leave-one-out by Dubrule 1983."""
    steps = (places[:, None] - places) / reach  # [N, N, 3]
    covariance = np.exp(-0.5 * np.einsum("nmi,nmi->nm", steps, steps))
    trust = np.ones(len(ratios))
    for _ in range(3):
        inverse = np.linalg.inv(covariance + np.diag(_NOISE / trust))
        weights = inverse @ ratios
        left_out = weights / np.diag(inverse)
        trust = _huber(left_out)
    return _Local(reach, places, weights, left_out)


def _corrected(
    metres: NDArray[np.float32], scale: float, shift: float, local: _Local | None
) -> NDArray[np.float32]:
    """The estimate with both parts applied, at least MIN_DEPTH where it is known."""
    result = np.zeros_like(metres)
    table = None if local is None else _Table.of(local, metres)
    for top in range(0, len(metres), _BAND):
        band = metres[top : top + _BAND]
        values = scale * band.astype(np.float64) + shift
        if table is not None:
            values *= np.exp(table.at(top, band))
        result[top : top + _BAND] = np.where(band > 0, np.maximum(values, MIN_DEPTH), 0)
    return result


@dataclass(frozen=True)
class _Table:
    """The local log factor at the nodes of a grid over rows, columns and log depth."""

    values: NDArray[np.float64]  # [rows, columns, depths]
    axes: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
    diagonal: float

    @classmethod
    def of(cls, local: _Local, metres: NDArray[np.float32]) -> _Table:
        """Two nodes for each reach, so that linear interpolation suffices."""
        diagonal = math.hypot(*metres.shape)
        height, width = metres.shape
        farthest, nearest = math.log(float(metres.max())), math.log(_nearest(metres))
        ends = ((0, height / diagonal), (0, width / diagonal), (nearest, farthest))
        axes, kernels = [], []
        for (low, high), reach, place in zip(ends, local.reach, local.places.T, strict=True):
            axis = np.linspace(low, high, math.ceil((high - low) / reach * 2) + 2)
            axes.append(axis)
            kernels.append(np.exp(-0.5 * ((axis[:, None] - place) / reach) ** 2))  # [nodes, N]
        down, across, deep = kernels
        values = np.einsum("yn,xn,dn->yxd", down * local.weights, across, deep, optimize=True)
        return cls(values, (axes[0], axes[1], axes[2]), diagonal)

    def at(self, top: int, band: NDArray[np.float32]) -> NDArray[np.float64]:
        """Trilinear interpolation for the pixels of a band of rows [h, W]."""
        rows, columns, depths = self.axes
        y = (top + np.arange(len(band))) / self.diagonal
        x = np.arange(band.shape[1]) / self.diagonal
        z = np.log(np.where(band > 0, band, 1))
        (j, v), (i, u), (k, w) = _cells(rows, y), _cells(columns, x), _cells(depths, z)
        plane = _mix(self.values[j], self.values[j + 1], v[:, None, None])  # [h, columns, depths]
        fine = _mix(plane[:, i], plane[:, i + 1], u[None, :, None])  # [h, W, depths]
        near = np.take_along_axis(fine, k[..., None], axis=2)[..., 0]
        far = np.take_along_axis(fine, k[..., None] + 1, axis=2)[..., 0]
        return _mix(near, far, w)


def _cells(
    axis: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The index of the node below each value, and the share of the way to the next one."""
    position = np.clip((values - axis[0]) / max(axis[1] - axis[0], 1e-12), 0, len(axis) - 1)
    index = np.minimum(position.astype(np.int64), len(axis) - 2)
    return index, position - index


def _mix(
    low: NDArray[np.float64], high: NDArray[np.float64], share: NDArray[np.float64]
) -> NDArray[np.float64]:
    return low + share * (high - low)
