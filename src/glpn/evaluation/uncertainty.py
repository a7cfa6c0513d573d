"""Measures whether an uncertainty map predicts the location and size of depth errors.

An uncertainty is one standard deviation in metres, at least 0; larger means less certain. All
functions take the valid pixels as vectors [N], from one image or from many joined.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from glpn.errors import DataError, UsageError

FloatArray = NDArray[np.float64]

STEPS = 50  # removals of 2 % each, as in Poggi et al. 2020
LEVELS = tuple(i / 20 for i in range(1, 20))  # confidence levels of the calibration curve
ONE_SIGMA = 2 * NormalDist().cdf(1) - 1  # 68.27 %


@dataclass(frozen=True)
class Sparsification:
    """The remaining error as the least certain pixels are removed (Ilg et al. 2018).

    Attributes:
        removed: the removed fractions, 0 to 0.98, [50].
        error: the error of the remaining pixels if the most uncertain are removed first, in the
            metric's unit.
        oracle: the same if the pixels with the largest errors are removed first; no curve can lie
            below it.
        ause: the area between the two curves over the removed fraction; 0 is perfect.
        ause_relative: the same with both curves divided by the error of all pixels.
    """

    removed: FloatArray
    error: FloatArray
    oracle: FloatArray
    ause: float
    ause_relative: float


@dataclass(frozen=True)
class Calibration:
    """How often the true depth is within the intervals that a one-sigma map predicts.

    Attributes:
        levels: the nominal fractions, [19].
        observed: the fractions of pixels within the central Gaussian interval of each level, [19].
        within_one_sigma: the fraction with |error| <= sigma; 0.6827 if the map is right.
        error: mean |observed - nominal|; 0 is perfect.
        scale: the factor on sigma that best explains the errors, sqrt(mean (error / sigma)²). A
            map with a factor above 1 is overconfident. A few pixels with a tiny sigma can dominate
            it.
        median: the median of |error| / sigma; 0.6745 if the map is right.
    """

    levels: FloatArray
    observed: FloatArray
    within_one_sigma: float
    error: float
    scale: float
    median: float


def sparsification(
    prediction: NDArray[np.floating],
    target: NDArray[np.floating],
    sigma: NDArray[np.floating],
    *,
    metric: Literal["rmse", "abs_rel"] = "rmse",
) -> Sparsification:
    """Compute the sparsification curve and its AUSE.

    Args:
        prediction, target: metres [N], only valid pixels.
        sigma: uncertainty in metres [N]; only its order counts here.
        metric: the error metric on the remaining pixels.

    Raises:
        DataError: the vectors differ in length, are empty or contain invalid values.
        UsageError: the metric is unknown.
    """
    p, t, s = _vectors(prediction, target, sigma)
    if metric not in ("rmse", "abs_rel"):
        raise UsageError(f"metric: expected rmse or abs_rel, got {metric!r}")
    loss = (p - t) ** 2 if metric == "rmse" else np.abs(p - t) / t
    removed = np.arange(STEPS) / STEPS
    error, oracle = (_remaining(loss, order, metric) for order in (s, loss))
    ause = float(np.sum((gap := error - oracle)[1:] + gap[:-1]) / 2 / STEPS)
    whole = float(error[0])
    return Sparsification(removed, error, oracle, ause, ause / whole if whole else 0.0)


def calibration(
    prediction: NDArray[np.floating], target: NDArray[np.floating], sigma: NDArray[np.floating]
) -> Calibration:
    """Compute the calibration of a one-sigma map for Gaussian errors.

    A sigma of 0 claims an exact depth: such a pixel counts as covered only if its error is 0.
    The arguments are those of `sparsification`.

    Raises:
        DataError: as `sparsification`.
    """
    p, t, s = _vectors(prediction, target, sigma)
    gap = np.abs(p - t)
    z = np.divide(gap, s, where=s > 0, out=np.where(gap > 0, np.inf, 0.0))
    widths = [NormalDist().inv_cdf((1 + level) / 2) for level in LEVELS]
    observed = np.searchsorted(np.sort(z), widths, side="right") / z.size
    levels = np.array(LEVELS)
    return Calibration(
        levels=levels,
        observed=observed,
        within_one_sigma=float(np.mean(z <= 1)),
        error=float(np.abs(observed - levels).mean()),
        scale=float(np.sqrt(np.mean(z**2))),
        median=float(np.median(z)),
    )


def _vectors(*arrays: NDArray[np.floating]) -> tuple[FloatArray, FloatArray, FloatArray]:
    prediction, target, sigma = (np.asarray(a, dtype=np.float64) for a in arrays)
    shapes = (prediction.shape, target.shape, sigma.shape)
    if prediction.ndim != 1 or prediction.size == 0 or len(set(shapes)) != 1:
        raise DataError(f"uncertainty: expected three vectors of one length above 0, got {shapes}")
    if not (np.isfinite(prediction).all() and np.isfinite(target).all() and (target > 0).all()):
        raise DataError("uncertainty: prediction and target must be finite, the target above 0")
    if not (np.isfinite(sigma).all() and (sigma >= 0).all()):
        raise DataError("uncertainty: sigma must be finite metres, at least 0")
    return prediction, target, sigma


def _remaining(loss: FloatArray, order: FloatArray, metric: str) -> FloatArray:
    """Return the metric over the pixels that remain after removing the largest of `order`."""
    ascending = np.argsort(order, kind="stable")
    running = np.cumsum(loss[ascending])
    kept = loss.size - np.arange(STEPS) * loss.size // STEPS  # at least one pixel remains
    mean: FloatArray = running[kept - 1] / kept
    return np.sqrt(mean) if metric == "rmse" else mean
