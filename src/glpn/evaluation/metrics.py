"""The depth metrics. Their formulas appear only in this module.

With p the prediction and t the target, both in metres, over the valid pixels, and d = ln t - ln p:

    delta_k      fraction with max(t/p, p/t) < 1.25^k        (Eigen et al. 2014)
    abs_rel      mean |p - t| / t
    sq_rel       mean (p - t)² / t                           metres
    rmse         sqrt(mean (p - t)²)                         metres
    rmse_log     sqrt(mean d²)
    log10        mean |log10 p - log10 t|
    silog_train  sqrt(mean d² - 0.5 (mean d)²)               GLPN's training loss
    silog_kitti  100 sqrt(mean d² - (mean d)²)               KITTI's depth benchmark
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from glpn.errors import DataError

DELTA_BASE = 1.25  # Eigen et al. 2014
SILOG_TRAIN_LAMBDA = 0.5  # Kim et al. 2022, section 3.5
# Pixels per block: small enough that temporaries stay in the cache and no new memory pages are
# needed.
_BLOCK = 8192


class Metrics(NamedTuple):
    """The metrics of one image, or their means; the module's docstring has the formulas."""

    delta1: float
    delta2: float
    delta3: float
    abs_rel: float
    sq_rel: float
    rmse: float
    rmse_log: float
    log10: float
    silog_train: float
    silog_kitti: float


METRIC_NAMES: tuple[str, ...] = Metrics._fields
HIGHER_IS_BETTER = frozenset({"delta1", "delta2", "delta3"})


@dataclass(frozen=True)
class PixelSums:
    """Sums over valid pixels that determine every metric.

    Adding two PixelSums pools their pixels. `log_spread` is the sum of squared deviations of d from
    its mean (Chan et al. 1983). This avoids cancellation when a prediction is wrong only by a
    constant factor.
    """

    pixels: int
    within1: int
    within2: int
    within3: int
    abs_rel: float
    sq_rel: float
    squared: float
    abs_log: float
    log_mean: float
    log_spread: float  # sum of (d - mean d)²

    def __add__(self, other: PixelSums) -> PixelSums:
        pixels = self.pixels + other.pixels
        gap = other.log_mean - self.log_mean
        totals = {f.name: getattr(self, f.name) + getattr(other, f.name) for f in _FIELDS}
        totals["log_mean"] = self.log_mean + gap * other.pixels / pixels
        totals["log_spread"] += gap * gap * self.pixels * other.pixels / pixels
        return PixelSums(**totals)

    def metrics(self) -> Metrics:
        """Return the metrics over these pixels."""
        n = self.pixels
        variance = self.log_spread / n
        mean_square = self.log_mean * self.log_mean
        return Metrics(
            delta1=self.within1 / n,
            delta2=self.within2 / n,
            delta3=self.within3 / n,
            abs_rel=self.abs_rel / n,
            sq_rel=self.sq_rel / n,
            rmse=math.sqrt(self.squared / n),
            rmse_log=math.sqrt(variance + mean_square),
            log10=self.abs_log / n / math.log(10),
            silog_train=math.sqrt(variance + (1 - SILOG_TRAIN_LAMBDA) * mean_square),
            silog_kitti=100 * math.sqrt(variance),
        )


_FIELDS = dataclasses.fields(PixelSums)


def pixel_sums(
    prediction: NDArray[np.floating],
    target: NDArray[np.floating],
    valid: NDArray[np.bool_],
    *,
    name: str = "frame",
) -> PixelSums:
    """Return, in float64, the sums over the valid pixels of one image.

    Args:
        prediction: metres [H, W], finite and above 0 where valid.
        target: metres [H, W], finite and above 0 where valid.
        valid: bool [H, W].
        name: the image's name in error messages.

    Raises:
        DataError: the shapes differ, no pixel is valid, or a valid value is not above 0 and finite.
    """
    if not prediction.shape == target.shape == valid.shape:
        raise DataError(
            f"{name}: prediction, target and valid must have the same shape; "
            f"got {prediction.shape}, {target.shape} and {valid.shape}"
        )
    p, t = prediction[valid], target[valid]  # [N]
    if t.size == 0:
        raise DataError(f"{name}: no valid pixel in the target depth")
    _refuse_impossible(p, f"{name}: prediction")
    _refuse_impossible(t, f"{name}: target")
    sums = _block_sums(p[:_BLOCK], t[:_BLOCK])
    for start in range(_BLOCK, t.size, _BLOCK):
        sums += _block_sums(p[start : start + _BLOCK], t[start : start + _BLOCK])
    return sums


def _block_sums(prediction: NDArray[np.floating], target: NDArray[np.floating]) -> PixelSums:
    """Return the sums over all values of two short vectors."""
    p, t = prediction.astype(np.float64), target.astype(np.float64)
    larger, smaller = np.maximum(p, t), np.minimum(p, t)
    ratio = larger / smaller  # = max(t/p, p/t), bit for bit
    log_ratio = np.log(ratio)  # = |d|
    gap = larger - smaller
    relative = gap / t
    d = np.copysign(log_ratio, t - p)
    log_mean = float(d.mean())
    return PixelSums(
        pixels=t.size,
        within1=int(np.count_nonzero(ratio < DELTA_BASE)),
        within2=int(np.count_nonzero(ratio < DELTA_BASE**2)),
        within3=int(np.count_nonzero(ratio < DELTA_BASE**3)),
        abs_rel=float(relative.sum()),
        sq_rel=float((relative * gap).sum()),
        squared=float((gap * gap).sum()),
        abs_log=float(log_ratio.sum()),
        log_mean=log_mean,
        log_spread=float(np.square(d - log_mean).sum()),
    )


def _refuse_impossible(depth: NDArray[np.floating], what: str) -> None:
    """Raise DataError unless every depth is finite and above 0 (NaN fails both comparisons)."""
    low, high = float(depth.min()), float(depth.max())
    if not (low > 0 and high < math.inf):
        raise DataError(f"{what} must be finite and above 0 metres; got {low:.4g} to {high:.4g}")
