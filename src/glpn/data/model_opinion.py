"""A second opinion on labels: the bundled model's prediction compared with the measured depth.

The model is not exact, but with one camera it is wrong by the same factor in all frames. A wrong
unit, a rotated map or a single frame in another unit deviates clearly from that factor.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glpn.camera.camera import Camera
from glpn.data.frame_stats import shrink
from glpn.estimator import DepthEstimator, load

# Each function maps a label, stored as the text describes, back to the orientation of the photo.
SYMMETRIES = (
    "as the photo",
    "mirrored",
    "rotated by 90° clockwise",
    "transposed along the other diagonal",
    "rotated by 180°",
    "upside down",
    "rotated by 90° counterclockwise",
    "transposed",
)
MIN_KNOWN_FOR_SYMMETRY = 0.1  # fraction of known pixels that a map needs for a visible shape
MIN_FRAMES_FOR_SYMMETRY = 4
MIN_MARGIN = 0.1  # difference in mean correlation
MIN_MARGIN_IN_ERRORS = 2.5  # the same in standard errors of the mean difference

# The brackets have the values of real sets with correct labels (NYU, HoloLens, Replica, TUM; then
# LiDAR).
MAX_SPREAD_WITHIN = 0.45  # spread of log(label / prediction) in a frame [0.28; 0.60 outdoors]
MAX_SPREAD_BETWEEN = 0.40  # spread of the frames' median log ratios [0.21; 0.52 outdoors]
MIN_AGREEMENT = 0.3  # correlation of the logarithms in a frame [0.72]
_GRID = 48  # rows and columns on which symmetries are compared
_MIN_PIXELS = 200


@dataclass(frozen=True)
class Opinion:
    """One frame's label against the prediction.

    Attributes:
        log_ratio: median of log(label / prediction) over the known pixels.
        spread: standard deviation of it.
        agreement: correlation of both logarithms, as the label is stored.
        symmetries: that correlation for the label under each of `SYMMETRIES`, [8]; None where the
            label is too sparse.
    """

    log_ratio: float
    spread: float
    agreement: float
    symmetries: NDArray[np.float64] | None


@dataclass(frozen=True)
class ScaleOpinion:
    """The model's estimate of a set's unit: log(label / prediction) of a typical frame."""

    log_ratio: float
    between: float

    @property
    def ratio(self) -> float:
        """Label / prediction; about 1 if the unit is right."""
        return math.exp(self.log_ratio)


@functools.cache
def bundled_estimator() -> DepthEstimator:
    """The bundled rooms model: its input is small, and it never saw a frame of NYU."""
    return load("glpn-b0-rooms")


def opinion(
    image: NDArray[np.uint8], depth: NDArray[np.floating], camera: Camera | None = None
) -> Opinion | None:
    """Compare one label with the bundled model's prediction.

    Args:
        image: RGB uint8 [H, W, 3].
        depth: [h, w] in any unit, 0 where unknown; its size may differ from that of the image.
        camera: the camera of the image; the prediction is scaled to its focal length.

    Returns:
        None if too little depth is known, or if the image or the depth is constant.
    """
    known = np.isfinite(depth) & (depth > 0)
    if np.count_nonzero(known) < _MIN_PIXELS:
        return None
    estimator = bundled_estimator()
    prediction = estimator.metres(image)
    if camera is not None and estimator.processor.focal_ratio is not None:
        own = estimator.processor.focal_ratio * min(image.shape[:2])
        prediction = prediction * np.float32(math.sqrt(camera.fx * camera.fy) / own)
    label = np.log(np.where(known, depth, 1).astype(np.float64))
    expected = np.log(shrink(prediction, (depth.shape[0], depth.shape[1])).astype(np.float64))
    difference = (label - expected)[known]
    agreement = _correlation(label[known], expected[known])
    if math.isnan(agreement):
        return None
    symmetries = None
    if known.mean() >= MIN_KNOWN_FOR_SYMMETRY:
        small = shrink(np.where(known, depth, 0).astype(np.float32), (_GRID, _GRID))
        flat = np.log(shrink(prediction, (_GRID, _GRID)).astype(np.float64))
        symmetries = np.array([_masked_correlation(turned, flat) for turned in _turned(small)])
    spread = float(difference.std())
    return Opinion(float(np.median(difference)), spread, agreement, symmetries)


def scale_opinion(opinions: Sequence[Opinion]) -> ScaleOpinion | None:
    """The set's typical ratio, or None if the model does not fit these scenes.

    Outdoors the bundled indoor model reaches the end of its range, which increases the spread.
    """
    if not opinions:
        return None
    ratios = np.array([each.log_ratio for each in opinions])
    typical = float(np.median(ratios))
    between = 1.4826 * float(np.median(np.abs(ratios - typical)))
    if (
        np.median([each.spread for each in opinions]) > MAX_SPREAD_WITHIN
        or np.median([each.agreement for each in opinions]) < MIN_AGREEMENT
        or between > MAX_SPREAD_BETWEEN
    ):
        return None
    return ScaleOpinion(typical, between)


def likely_symmetry(opinions: Sequence[Opinion]) -> int | None:
    """Index into `SYMMETRIES` of the best match for these labels; None if it is not clear.

    0 (as the photo) must beat every other symmetry; any other one must beat 0.
    """
    tables = [each.symmetries for each in opinions if each.symmetries is not None]
    tables = [table for table in tables if np.isfinite(table).all()]
    if len(tables) < MIN_FRAMES_FOR_SYMMETRY:
        return None
    table = np.stack(tables)  # [frames, 8]
    best = int(table.mean(axis=0).argmax())
    rivals = [0] if best else range(1, len(SYMMETRIES))
    clear = all(_beats(table[:, best], table[:, rival]) for rival in rivals)
    return best if clear else None


def _beats(first: NDArray[np.float64], second: NDArray[np.float64]) -> bool:
    """Whether the first correlations exceed the second, by a margin and in standard errors."""
    margins = first - second
    error = float(margins.std(ddof=1)) / math.sqrt(len(margins))
    return bool(margins.mean() > max(MIN_MARGIN, MIN_MARGIN_IN_ERRORS * error))


def _turned(label: NDArray[np.floating]) -> Iterator[NDArray[np.floating]]:
    """The label under the eight symmetries of the square, in the order of `SYMMETRIES`."""
    for quarter in range(4):
        turned = np.rot90(label, quarter)
        yield turned
        yield turned[:, ::-1]


def _masked_correlation(label: NDArray[np.floating], expected: NDArray[np.floating]) -> float:
    known = label > 0
    if np.count_nonzero(known) < _GRID:
        return math.nan
    return _correlation(np.log(label[known]), expected[known])


def _correlation(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    if first.std() < 1e-6 or second.std() < 1e-6:
        return math.nan
    return float(np.corrcoef(first, second)[0, 1])
