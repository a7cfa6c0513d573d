"""Measures the errors of a model's depth by predicted depth, for its `errors.json`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glpn.data.sample import Sample
from glpn.depth.errors import COVERAGE, ErrorBin, ErrorCurve, Widening
from glpn.errors import DataError
from glpn.estimator import DepthEstimator
from glpn.evaluation.pipeline import task
from glpn.evaluation.protocols import Protocol

_PIXELS = 5_000  # evenly spaced pixels per frame, so that every frame counts the same
ZOOMS = (1.4, 2.0)  # longer lenses than the frames' own
_BINS = 12
_MIN_PIXELS_PER_BIN = 50


def measure_errors(
    frames: Iterable[Sample],
    estimator: DepthEstimator,
    *,
    protocol: Protocol,
    data: str,
    advance: Callable[[], None] = lambda: None,
) -> ErrorCurve:
    """Predict held-out frames and measure the errors by predicted depth.

    The focal length of a frame's camera scales its metres where the processor knows the network's
    camera, as it does for photos. The curve is in the network's own metres. The middle of each
    frame is predicted again as a longer lens would see it.

    Args:
        frames: not trained on.
        estimator: predicts with the model.
        protocol: selects the pixels that count. Predictions are not aligned.
        data: name of the frames.
        advance: called after each frame.

    Raises:
        DataError: there is no frame, or a frame has no valid pixel.
    """
    predicted, true, count = [], [], 0
    zoomed: dict[float, list[NDArray[np.float64]]] = {zoom: [] for zoom in ZOOMS}
    for frame in frames:
        item = task(frame, protocol)
        factor = estimator.focal_factor(frame.camera, item.target.shape)  # after the crop
        # Metres for the network's own camera.
        target = np.where(item.valid, item.target, 0) / factor
        metres = estimator.metres(item.image)
        predicted.append(_some(metres[item.valid]))
        true.append(_some(target[item.valid]))
        for zoom in ZOOMS:
            zoomed[zoom].append(_zoomed_errors(item.image, metres, target, estimator, zoom))
        count += 1
        advance()
    if not count:
        raise DataError("errors: expected at least one frame")
    curve = error_curve(np.concatenate(predicted), np.concatenate(true), data=data, frames=count)
    return dataclasses.replace(curve, longer=tuple(_widenings(zoomed)))


def _some(values: NDArray[Any]) -> NDArray[Any]:
    """Some of one frame's values [N], evenly spaced."""
    return values[:: max(values.size // _PIXELS, 1)]


def _zoomed_errors(
    image: NDArray[np.uint8],
    metres: NDArray[np.float32],
    target: NDArray[np.floating],
    estimator: DepthEstimator,
    zoom: float,
) -> NDArray[np.float64]:
    """Errors [2, N] in the middle of a frame: as predicted there, and from that part of the photo.

    A longer lens takes the same picture as the middle of a frame, so this measures other cameras.
    """
    window = tuple(
        slice(round(side * (1 - 1 / zoom) / 2), round(side * (1 + 1 / zoom) / 2))
        for side in target.shape
    )
    known = target[window] > 0
    true = target[window][known]
    part = estimator.metres(np.ascontiguousarray(image[window])) * zoom
    errors = [np.abs(true / depth[known] - 1) for depth in (metres[window], part)]
    return np.stack([_some(each) for each in errors]).astype(np.float64)


def _widenings(zoomed: Mapping[float, list[NDArray[np.float64]]]) -> Iterator[Widening]:
    for zoom, errors in zoomed.items():
        whole, part = np.concatenate(errors, axis=1)
        if whole.size and np.median(whole) > 0:
            ratio = float(np.quantile(part, COVERAGE) / np.quantile(whole, COVERAGE))
            yield Widening(zoom, round(max(ratio, 1.0), 4))


def error_curve(
    predicted: NDArray[np.floating], true: NDArray[np.floating], *, data: str, frames: int
) -> ErrorCurve:
    """The curve of pixels [N]: bins of equal numbers of pixels, ordered by predicted depth."""
    order = np.argsort(predicted, kind="stable")
    depth = np.asarray(predicted, np.float64)[order]
    errors = np.abs(np.asarray(true, np.float64)[order] / depth - 1)
    bins: list[ErrorBin] = []
    number = min(_BINS, max(depth.size // _MIN_PIXELS_PER_BIN, 1))
    for part in np.array_split(np.arange(depth.size), number):
        middle = round(float(np.median(depth[part])), 4)
        if bins and middle <= bins[-1].depth:  # many equal depths, such as a clipped range
            continue
        bins.append(ErrorBin(middle, _quantile(errors[part]), part.size))
    return ErrorCurve(data, frames, _quantile(errors), tuple(bins))


def _quantile(errors: NDArray[np.float64]) -> float:
    return math.ceil(float(np.quantile(errors, COVERAGE)) * 1e4) / 1e4
