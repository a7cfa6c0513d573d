"""Depth that does not flicker: smoothed over time where the photograph stands still.

Nothing here knows of files. `PhotoWatch` tells from the photographs alone where the picture changed
and where a cut is; `Smoother` and `FlickerMeter` take its word.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STRENGTH = 0.15  # share of the new frame in what stands still
_BLUR = 2  # pixels: 5×5 means, which bring the noise of single pixels down to a fifth
_REACH = 2  # pixels around a change that count as changed: depth edges are wider than the photo's
_NOISE = (0.5, 2.0)  # grey levels: what the noise of a blurred picture may plausibly be
_STILL, _MOVED = 3.0, 6.0  # in standard deviations of that noise
_CAMERA_MOVES = (0.15, 0.4)  # share of the picture: below, things move; above, the camera does
_CUT_HISTOGRAM = 0.4  # share of the pixels that must change their grey for a cut
_CUT_MEAN = 40.0  # grey levels by which the average pixel must change for a cut
_BINS = 16
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_MAD_TO_SIGMA = 1.4826  # of a normal distribution


@dataclass(frozen=True, eq=False)
class Change:
    """What happened to the photograph since the frame before.

    Attributes:
        weight: float32 [H, W], from 0, nothing happened there, to 1, something else is there now.
        cut: a new scene begins (also with the first frame); the weights are then all 1.
    """

    weight: NDArray[np.float32]
    cut: bool


class PhotoWatch:
    """Compares each photograph of a film with what was there before.

    A pixel is compared with the average of the time that it stood still, not with the frame
    before, so that slow drift adds up until it is noticed. The noise of the film is estimated from
    the median change, for most of a picture stands still; where that is wrong, the bounds of
    _NOISE keep motion from passing for noise.
    """

    def __init__(self) -> None:
        self._usual: NDArray[np.float32] | None = None  # blurred grey [H, W] of what stands still
        self._last: NDArray[np.float32] | None = None  # blurred grey [H, W] of the frame before

    def __call__(self, photo: NDArray[np.uint8]) -> Change:
        """What changed; photo: RGB uint8 [H, W, 3], of one size throughout."""
        grey = _blurred(np.asarray(photo @ _LUMA, np.float32))
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
    """Exponential smoothing of log depth: strong where nothing changed, none where all did."""

    def __init__(self) -> None:
        self._log: NDArray[np.float32] | None = None

    def __call__(self, metres: NDArray[np.float32], change: Change) -> NDArray[np.float32]:
        """Smoothed metres [H, W]; after a cut, and where something moved, the very same ones."""
        log, before = np.log(metres), self._log
        if before is None or change.cut:
            self._log = log
            return metres
        share = np.float32(STRENGTH) + np.float32(1 - STRENGTH) * change.weight
        smooth = np.asarray(before + share * (log - before), np.float32)
        self._log = smooth
        return np.where(change.weight >= 1, metres, np.exp(smooth))


class FlickerMeter:
    """Mean absolute change of log depth from frame to frame where the photograph did not change."""

    def __init__(self) -> None:
        self._last: NDArray[np.float32] | None = None
        self._sum = 0.0
        self._count = 0

    def add(self, metres: NDArray[np.float32], change: Change) -> None:
        """Count one frame's metres [H, W]."""
        log = np.log(metres)
        if self._last is not None and not change.cut:
            still = change.weight == 0
            self._sum += float(np.abs(log - self._last)[still].sum(dtype=np.float64))
            self._count += int(still.sum())
        self._last = log

    @property
    def value(self) -> float | None:
        """The figure; 0.01 is 1 % of the distance. None where nothing ever stood still."""
        return self._sum / self._count if self._count else None


def is_cut(before: NDArray[np.float32], after: NDArray[np.float32]) -> bool:
    """Whether two grey pictures [H, W], levels 0 to 255, are of different scenes."""
    if float(np.abs(after - before).mean()) > _CUT_MEAN:
        return True
    one, other = (np.histogram(grey, _BINS, (0, 256))[0] for grey in (before, after))
    return float(np.abs(one - other).sum()) / (2 * before.size) > _CUT_HISTOGRAM


def _changed(difference: NDArray[np.float32]) -> NDArray[np.float32]:
    """0 where a difference [H, W] of grey levels is noise, 1 where it is none, a ramp between."""
    size = np.abs(difference)
    noise = float(np.clip(_MAD_TO_SIGMA * np.median(size), *_NOISE))
    ramp = (size / np.float32(noise) - _STILL) / (_MOVED - _STILL)
    return np.asarray(ramp.clip(0, 1), np.float32)


def _camera_moves(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Least weight [] of all pixels, plain ones too, when most of the picture has changed."""
    low, high = _CAMERA_MOVES
    return np.asarray(np.clip((weight.mean() - low) / (high - low), 0, 1), np.float32)


def _blurred(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means over (2 _BLUR + 1)² pixels."""
    total = _over_window(grey, _BLUR, np.add)
    return np.asarray(total / (2 * _BLUR + 1) ** 2, np.float32)


def _spread(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Largest value over (2 _REACH + 1)² pixels."""
    return _over_window(weight, _REACH, np.maximum)


def _over_window(
    values: NDArray[np.float32], radius: int, combine: np.ufunc
) -> NDArray[np.float32]:
    """Values [H, W] combined over a square window, first down, then across; edges repeat."""
    for axis in (0, 1):
        length = values.shape[axis]
        around = [(radius, radius) if axis == a else (0, 0) for a in (0, 1)]
        padded = np.moveaxis(np.pad(values, around, mode="edge"), axis, 0)
        total = padded[:length].copy()
        for shift in range(1, 2 * radius + 1):
            combine(total, padded[shift : shift + length], out=total)
        values = np.moveaxis(total, 0, axis)
    return np.ascontiguousarray(values)
