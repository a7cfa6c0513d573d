"""Does an uncertainty map tell where and how far the depth is wrong?

An uncertainty is one standard deviation in metres, at least 0: larger means less sure. Everything
here takes the valid pixels as vectors [N], of one image or of many joined.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from glpn.errors import DataError, UsageError

FloatArray = NDArray[np.float64]

STEPS = 50  # removals of 2 % each; Poggi et al. 2020
LEVELS = tuple(i / 20 for i in range(1, 20))  # confidence levels of the calibration curve
ONE_SIGMA = 2 * NormalDist().cdf(1) - 1  # 68.27 %


@dataclass(frozen=True)
class Sparsification:
    """What is left of the error as the least sure pixels are removed (Ilg et al. 2018).

    Attributes:
        removed: shares removed, 0 to 0.98, [50].
        error: of the remaining pixels when the most uncertain go first, in the metric's unit.
        oracle: the same when the truly worst go first; no curve can lie below it.
        ause: area between the two over the share removed; 0 is perfect.
        ause_relative: the same with both curves divided by the error of all pixels.
    """

    removed: FloatArray
    error: FloatArray
    oracle: FloatArray
    ause: float
    ause_relative: float


@dataclass(frozen=True)
class Calibration:
    """How often the truth lies within the interval that a one-sigma map promises.

    Attributes:
        levels: promised shares, [19].
        observed: share of pixels within the central Gaussian interval of that level, [19].
        within_one_sigma: share with |error| <= sigma; 0.6827 if the map is right.
        error: mean |observed - promised|; 0 is perfect.
        scale: the factor on sigma that best explains the errors, sqrt(mean (error / sigma)²);
            above 1 the map is too sure. A few pixels with a tiny sigma can dominate it.
        median: median of |error| / sigma; 0.6745 if the map is right.
    """

    levels: FloatArray
    observed: FloatArray
    within_one_sigma: float
    error: float
    scale: float
    median: float


def sparsification(
    prediction: NDArray[Any],
    target: NDArray[Any],
    sigma: NDArray[Any],
    *,
    metric: Literal["rmse", "abs_rel"] = "rmse",
) -> Sparsification:
    """Sparsification curve and AUSE.

    Args:
        prediction, target: metres [N], valid pixels alone.
        sigma: uncertainty in metres [N]; only its order counts here.
        metric: what is measured on the remaining pixels.

    Raises:
        DataError: the vectors do not fit each other, are empty, or hold impossible values.
        UsageError: an unknown metric.
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


def calibration(prediction: NDArray[Any], target: NDArray[Any], sigma: NDArray[Any]) -> Calibration:
    """Calibration of a one-sigma map, errors taken as Gaussian; arguments as above.

    A sigma of 0 promises an exact depth: such a pixel counts as covered only if its error is 0.
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


def _vectors(*arrays: NDArray[Any]) -> tuple[FloatArray, FloatArray, FloatArray]:
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
    """The metric over the pixels that remain after removing the largest of `order`."""
    ascending = np.argsort(order, kind="stable")
    running = np.cumsum(loss[ascending])
    kept = loss.size - np.arange(STEPS) * loss.size // STEPS  # at least one
    mean: FloatArray = running[kept - 1] / kept
    return np.sqrt(mean) if metric == "rmse" else mean
