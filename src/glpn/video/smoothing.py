"""Less flicker: depth is smoothed over time where the picture stands still.

`ChangeDetector` finds, from the pictures alone, where they changed and where a cut is. `Smoother`
and `FlickerMeter` use its result. Nothing here depends on files.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STRENGTH = 0.15  # weight of the new frame where nothing moves
_BLUR = 2  # pixels: means of 5×5 reduce the noise of single pixels to a fifth
_REACH = 2  # pixels around a change that count as changed: depth edges are wider than image edges
_NOISE = (0.5, 2.0)  # grey levels: plausible noise of a blurred picture
_STILL, _MOVED = 3.0, 6.0  # thresholds in standard deviations of that noise
_CAMERA_MOVES = (0.15, 0.4)  # changed fraction: below, objects move; above, the camera moves
_CUT_HISTOGRAM = 0.4  # fraction of pixels whose grey level changes at a cut
_CUT_MEAN = 40.0  # mean change in grey levels at a cut
_BINS = 16
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_MAD_TO_SIGMA = 1.4826  # ratio in a normal distribution


@dataclass(frozen=True, eq=False)
class Change:
    """How the picture changed since the previous frame.

    Attributes:
        weight: float32 [H, W], from 0 (unchanged) to 1 (something else is visible).
        cut: a new scene begins, as it does with the first frame; all weights are then 1.
    """

    weight: NDArray[np.float32]
    cut: bool


class ChangeDetector:
    """Compares each picture of a video with the ones before.

    A pixel is compared with its average since it last changed rather than with the previous frame,
    so slow drift adds up until it is detected. The median change estimates the noise, because most
    of a picture usually stands still; where it does not, _NOISE bounds the estimate, so that motion
    is not mistaken for noise.
    """

    def __init__(self) -> None:
        self._usual: NDArray[np.float32] | None = None  # blurred grey [H, W], averaged
        self._last: NDArray[np.float32] | None = None  # blurred grey [H, W] of the last frame

    def __call__(self, image: NDArray[np.uint8]) -> Change:
        """The change; image: RGB uint8 [H, W, 3], of one size throughout."""
        grey = _blurred(np.asarray(image @ _LUMA, np.float32))
        usual, last = self._usual, self._last
        self._last = grey
        if usual is None or last is None or is_cut(last, grey):
            self._usual = grey
            return Change(np.ones_like(grey), cut=True)
        weight = _changed(grey - usual)
        share = np.maximum(weight, np.float32(STRENGTH))
        self._usual = np.asarray(usual + share * (grey - usual), np.float32)
        return Change(np.maximum(_spread(weight), _camera_moves(weight)), cut=False)


class Smoother:
    """Exponential smoothing of log depth: strong where nothing changed, none where all changed."""

    def __init__(self) -> None:
        self._log: NDArray[np.float32] | None = None

    def __call__(self, metres: NDArray[np.float32], change: Change) -> NDArray[np.float32]:
        """Smoothed metres [H, W]; unchanged after a cut and where something moved."""
        log, before = np.log(metres), self._log
        if before is None or change.cut:
            self._log = log
            return metres
        share = np.float32(STRENGTH) + np.float32(1 - STRENGTH) * change.weight
        smooth = np.asarray(before + share * (log - before), np.float32)
        self._log = smooth
        return np.where(change.weight >= 1, metres, np.exp(smooth))


class FlickerMeter:
    """Mean absolute change of log depth between frames where the picture did not change."""

    def __init__(self) -> None:
        self._last: NDArray[np.float32] | None = None
        self._sum = 0.0
        self._count = 0

    def add(self, metres: NDArray[np.float32], change: Change) -> None:
        """Include the metres [H, W] of one frame."""
        log = np.log(metres)
        if self._last is not None and not change.cut:
            still = change.weight == 0
            self._sum += float(np.abs(log - self._last)[still].sum(dtype=np.float64))
            self._count += int(still.sum())
        self._last = log

    @property
    def value(self) -> float | None:
        """The mean; 0.01 is 1 % of the distance. None if nothing ever stood still."""
        return self._sum / self._count if self._count else None


def is_cut(before: NDArray[np.float32], after: NDArray[np.float32]) -> bool:
    """Whether two grey pictures [H, W], levels 0 to 255, show different scenes."""
    if float(np.abs(after - before).mean()) > _CUT_MEAN:
        return True
    one, other = (np.histogram(grey, _BINS, (0, 256))[0] for grey in (before, after))
    return float(np.abs(one - other).sum()) / (2 * before.size) > _CUT_HISTOGRAM


def _changed(difference: NDArray[np.float32]) -> NDArray[np.float32]:
    """0 where a difference [H, W] of grey levels is noise, 1 where it is change, a ramp between."""
    size = np.abs(difference)
    noise = float(np.clip(_MAD_TO_SIGMA * np.median(size), *_NOISE))
    ramp = (size / np.float32(noise) - _STILL) / (_MOVED - _STILL)
    return np.asarray(ramp.clip(0, 1), np.float32)


def _camera_moves(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Minimum weight [] of all pixels, uniform areas included, when most of the picture changed."""
    low, high = _CAMERA_MOVES
    return np.asarray(np.clip((weight.mean() - low) / (high - low), 0, 1), np.float32)


def _blurred(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means over (2 _BLUR + 1)² pixels."""
    total = _over_window(grey, _BLUR, np.add)
    return np.asarray(total / (2 * _BLUR + 1) ** 2, np.float32)


def _spread(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Maximum over (2 _REACH + 1)² pixels."""
    return _over_window(weight, _REACH, np.maximum)


def _over_window(
    values: NDArray[np.float32], radius: int, combine: np.ufunc
) -> NDArray[np.float32]:
    """Combine values [H, W] over a square window, columns first, then rows; edges repeat."""
    for axis in (0, 1):
        length = values.shape[axis]
        around = [(radius, radius) if axis == a else (0, 0) for a in (0, 1)]
        padded = np.moveaxis(np.pad(values, around, mode="edge"), axis, 0)
        total = padded[:length].copy()
        for shift in range(1, 2 * radius + 1):
            combine(total, padded[shift : shift + length], out=total)
        values = np.moveaxis(total, 0, axis)
    return np.ascontiguousarray(values)
