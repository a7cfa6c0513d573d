"""Tiles: add detail to large photos by predicting their parts at a larger scale.

The prediction of the whole photo sets the metres. Tiles add only what is finer than its resolution:

    log depth = log whole + H(sum over tiles of window × (slope × log tile + shift - log whole))

Slope and shift fit each tile to the whole. The windows of all tiles sum to one at every pixel. H
subtracts the mean over every cell of the whole's resolution. So the geometric mean of the metres
over a cell does not change, and differences between neighbouring tiles leave no seam.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from glpn.errors import UsageError
from glpn.processing.resize import resize_depth

OVERLAP = 0.25  # shared part of neighbouring tiles, as a fraction of their side
MAX_AUTOMATIC = 4  # tiles a side; 6 gain little, `benchmarks/tiles.py`

# Side of a cell in pixels of the network's input: two pixels of the decoder's finest map, the
# smallest detail that it can resolve.
CELL = 8

# Rounds of reweighting, and of subtracting the cells' means (`tests/processing/test_tiling.py`).
_ROUNDS = 5
_UNSURE = 0.02**2  # variance of log depth below which a tile does not determine its slope
_MAD = 1.4826  # ratio of a normal distribution's standard deviation to its median absolute error


def require_tiles(tiles: object, uncertainty: str | None = None) -> None:
    """Refuse impossible numbers of tiles, and tiles together with an uncertainty.

    Raises:
        UsageError: the value is neither a positive integer nor True, False or None; or an
            uncertainty is requested too.
    """
    number = isinstance(tiles, (int, np.integer))
    if tiles is not None and not (number and (tiles is False or tiles >= 1)):  # type: ignore[operator]
        raise UsageError(f"tiles: expected True or a whole number of at least 1, got {tiles!r}")
    if tiles and uncertainty is not None:
        raise UsageError(f"tiles: there is no uncertainty of their detail; got {uncertainty!r}")


def tiles_a_side(tiles: int | bool | None, size: tuple[int, int], seen: tuple[int, int]) -> int:
    """Number of tiles along each side of a photo; 1 if more would add nothing.

    Args:
        tiles: the maximum; True means as many as are useful, None or False means one.
        size: (height, width) of the photo.
        seen: (height, width) of the network's input for it. No tile is enlarged.
    """
    shrunk = min(side / small for side, small in zip(size, seen, strict=True))
    useful = max(int((shrunk - OVERLAP) / (1 - OVERLAP)), 1)
    return min(useful, MAX_AUTOMATIC if tiles is True else tiles or 1)


def add_detail(
    metres: NDArray[np.float32],
    image: NDArray[np.uint8],
    *,
    predict: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
    count: int,
    seen: tuple[int, int],
) -> NDArray[np.float32]:
    """The prediction of a whole photo with the detail of its tiles: float32 [H, W].

    Tiles are predicted one at a time. At most five maps of the photo's size exist at once.

    Args:
        metres: depth of the whole photo, above 0, [H, W].
        image: RGB uint8 [H, W, 3].
        predict: gives the metres of a part of it, above 0, at its size.
        count: tiles a side; see `tiles_a_side`.
        seen: (height, width) of the network's input for the whole photo.
    """
    whole = np.log(metres)
    change = np.zeros_like(whole)
    cells = [math.ceil(side / CELL) for side in seen]
    cell = [side / number for side, number in zip(whole.shape, cells, strict=True)]
    rows, columns = (windows(side, count) for side in whole.shape)
    for down, tall in rows:
        for across, wide in columns:
            tile = np.log(predict(np.ascontiguousarray(image[down, across])))  # [h, w]
            here = whole[down, across]
            grid = [math.ceil(n / each) for n, each in zip(here.shape, cell, strict=True)]
            slope, shift = fit_line(cell_means(tile, grid), cell_means(here, grid))
            change[down, across] += (slope * tile + shift - here) * tall[:, None] * wide
    for _ in range(_ROUNDS):  # the enlarged means have slightly other means
        change -= resize_depth(cell_means(change, cells), whole.shape)
    detailed: NDArray[np.float32] = metres * np.exp(change)
    return detailed


def windows(length: int, count: int) -> list[tuple[slice, NDArray[np.float32]]]:
    """The positions of `count` tiles along a side of `length` pixels, with their weights.

    All tiles have the same length. The weights of a pixel sum to one. Towards another tile they
    fall off as a squared sine, so that the edge of a tile counts least.
    """
    each = min(math.ceil(length / (count - (count - 1) * OVERLAP)), length)
    starts = np.linspace(0, length - each, count).round().astype(int)
    ramp = max(int(each * OVERLAP), 1)
    rise = np.sin(np.linspace(0, np.pi / 2, ramp + 1)[:-1] + np.pi / 4 / ramp) ** 2
    weights = np.zeros((count, length))
    for index, start in enumerate(starts):
        window = np.ones(each)
        if index > 0:
            window[:ramp] *= rise
        if index < count - 1:
            window[-ramp:] *= rise[::-1]
        weights[index, start : start + each] = window
    weights /= weights.sum(axis=0)
    places = [slice(start, start + each) for start in starts]
    return [(p, w[p].astype(np.float32)) for p, w in zip(places, weights, strict=True)]


def cell_means(values: NDArray[np.float32], grid: list[int]) -> NDArray[np.float32]:
    """The mean over each of `grid` cells, which divide the map as evenly as pixels can."""
    means = values
    for axis, (side, number) in enumerate(zip(values.shape, grid, strict=True)):
        edges = np.linspace(0, side, number + 1).round().astype(int)
        sums = np.add.reduceat(means, edges[:-1], axis=axis)
        counts = np.diff(edges).astype(np.float32)
        means = sums / (counts[:, None] if axis == 0 else counts)
    return means


def fit_line(x: NDArray[np.float32], y: NDArray[np.float32]) -> tuple[float, float]:
    """Slope, at least 0, and shift that fit x to y in spite of a few outliers.

    Least squares, reweighted for errors with a Cauchy distribution. The slope tends to 1 where x
    hardly varies, and to 0 where the two contradict each other.
    """
    weight = np.ones(x.shape)
    slope, shift = 1.0, 0.0
    for _ in range(_ROUNDS):
        centre, level = (float(np.average(values, weights=weight)) for values in (x, y))
        around = (x - centre) * weight
        shared = float((around * (y - level)).sum() / weight.sum())
        spread = float((around * (x - centre)).sum() / weight.sum())
        slope = max((shared + _UNSURE) / (spread + _UNSURE), 0.0)
        shift = level - slope * centre
        error = np.abs(y - slope * x - shift)
        usual = max(_MAD * float(np.median(error)), 1e-6)
        weight = 1 / (1 + (error / usual) ** 2)
    return slope, shift
