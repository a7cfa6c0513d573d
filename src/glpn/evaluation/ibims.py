"""The geometric errors of iBims-1: planarity, depth boundaries, directed depth (Koch et al. 2018).

Definitions follow the paper and the evaluation code of its dataset. The Canny detector (Canny 1986)
gives the same edges as scikit-image's, which the dataset's Python evaluation uses. The MATLAB
detector behind the paper's own figures finds slightly different edges.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from glpn.camera.camera import Camera
from glpn.errors import DataError

FloatArray = NDArray[np.float64]
Mask = NDArray[np.bool_]

DIRECTED_DEPTH = 3.0  # metres: the plane that separates near from far
FARTHEST_EDGE = 10.0  # pixels: edges further apart than this do not match
SMALLEST_PLANE = 0.05  # fraction of the image; smaller planes are not scored
CANNY_SIGMA = math.sqrt(2)
CANNY_THRESHOLDS = (0.15, 0.3)


class Planarity(NamedTuple):
    """The errors of one plane: unevenness in centimetres, tilt in degrees."""

    flatness: float
    orientation: float


class BoundaryError(NamedTuple):
    """The distances of depth edges in pixels, at most 10; NaN if the ground truth has no edge."""

    accuracy: float
    completeness: float


class DirectedError(NamedTuple):
    """The fractions of pixels on the correct side of the plane, too near, and too far."""

    correct: float
    too_near: float
    too_far: float


def planarity(
    prediction: NDArray[np.floating],
    target: NDArray[np.floating],
    plane: Mask,
    *,
    normal: tuple[float, float, float],
    camera: Camera,
) -> Planarity | None:
    """Measure the planarity error (PE): how uneven and how tilted a predicted plane is.

    The prediction is first scaled to the target's median on the plane, so that only the shape
    counts.

    Args:
        prediction, target: metres [H, W], 0 = unknown.
        plane: the plane's pixels, bool [H, W].
        normal: the true normal; x to the right, y forward, z up, as in the dataset.
        camera: pixel centres are whole numbers from 0 (the dataset's own files count from 1).

    Returns:
        The errors, or None if the plane covers less than 5 % of the image or has fewer than 3
        known pixels.
    """
    _require_one_shape(prediction, target, plane)
    if plane.sum() < SMALLEST_PLANE * plane.size:
        return None
    plane = plane & (prediction > 0) & (target > 0)
    if plane.sum() < 3:
        return None
    y, x = np.nonzero(plane)
    depth = prediction[plane].astype(np.float64)
    depth *= np.median(target[plane]) / np.median(depth)
    across, up = (x - camera.cx) / camera.fx, -(y - camera.cy) / camera.fy
    points = np.stack([across * depth, depth, up * depth], axis=1)  # [N, 3]
    centred = points - points.mean(axis=0)
    fitted = np.linalg.eigh(centred.T @ centred)[1][:, 0]  # the direction of least spread
    true = np.asarray(normal, dtype=np.float64)
    sine, cosine = np.linalg.norm(np.cross(true, fitted)), abs(float(true @ fitted))
    flatness = 100 * float(np.std(centred @ fitted))
    return Planarity(flatness, math.degrees(math.atan2(sine, cosine)))


def boundary_error(prediction: NDArray[np.floating], edges: Mask) -> BoundaryError:
    """Measure the depth boundary error (DBE): distances between predicted and true depth edges.

    Args:
        prediction: metres [H, W].
        edges: the true depth edges, bool [H, W].

    Raises:
        DataError: the prediction is not finite or has another shape.
    """
    _require_one_shape(prediction, edges)
    if not np.isfinite(prediction).all():
        raise DataError("depth boundary error: the prediction must be finite")
    if not edges.any():
        return BoundaryError(math.nan, math.nan)
    depth = prediction.astype(np.float64)
    spread = float(np.ptp(depth))
    found = canny((depth - depth.min()) / spread) if spread else np.zeros_like(edges)
    to_true = nearest_edge(edges)
    close = found & (to_true < FARTHEST_EDGE)
    if not close.any():
        return BoundaryError(FARTHEST_EDGE, FARTHEST_EDGE)
    both = float(to_true[found].sum() + nearest_edge(found)[edges].sum())
    completeness = both / (np.count_nonzero(found) + np.count_nonzero(edges))
    return BoundaryError(float(to_true[close].mean()), completeness)


def directed_error(
    prediction: NDArray[np.floating],
    target: NDArray[np.floating],
    valid: Mask,
    *,
    plane: float = DIRECTED_DEPTH,
) -> DirectedError:
    """Measure the directed depth error (DDE): the side of a plane on which pixels are predicted.

    `plane` is the plane's distance in metres.

    Raises:
        DataError: no pixel is valid.
    """
    _require_one_shape(prediction, target, valid)
    if not valid.any():
        raise DataError("directed depth error: no valid pixel")
    near, truly_near = prediction[valid] <= plane, target[valid] <= plane
    too_near, too_far = float(np.mean(near & ~truly_near)), float(np.mean(~near & truly_near))
    return DirectedError(float(np.mean(near == truly_near)), too_near, too_far)


def nearest_edge(edges: Mask) -> FloatArray:
    """Return the distance in pixels to the nearest edge, at most `FARTHEST_EDGE`, [H, W].

    At least one pixel must be an edge.
    """
    from scipy import ndimage

    distance: FloatArray = ndimage.distance_transform_edt(~edges)
    return np.minimum(distance, FARTHEST_EDGE)


def canny(depth: FloatArray) -> Mask:
    """Find edges of a map [H, W] in 0..1: Gaussian, Sobel, thinning, two thresholds."""
    from scipy import ndimage

    total, weight = (  # the borders average only the pixels inside the map
        ndimage.gaussian_filter(values, CANNY_SIGMA, mode="constant")
        for values in (depth, np.ones_like(depth))
    )
    down, right = (ndimage.sobel(total / weight, axis) for axis in (0, 1))
    strength = np.hypot(down, right)
    low, high = CANNY_THRESHOLDS
    thin = _ridge(strength, down, right)
    thin[[0, -1]] = thin[:, [0, -1]] = False
    strong, weak = thin & (strength >= high), thin & (strength >= low)
    kept: Mask = ndimage.binary_propagation(strong, np.ones((3, 3)), mask=weak)
    return kept


def _ridge(strength: FloatArray, down: FloatArray, right: FloatArray) -> Mask:
    """Return where the strength is no less than one step along the gradient on either side."""
    padded = np.pad(strength, 1)
    rows, columns = np.indices(strength.shape)
    steep = np.abs(down) >= np.abs(right)
    longer = np.where(steep, np.abs(down), np.abs(right))
    share = np.divide(
        np.where(steep, np.abs(right), np.abs(down)),
        longer,
        where=longer > 0,
        out=np.zeros_like(longer),
    )
    ridge = strength > 0
    for sign in (1, -1):
        y, x = (sign * np.sign(part).astype(int) for part in (down, right))
        diagonal = padded[rows + y + 1, columns + x + 1]
        straight = padded[rows + np.where(steep, y, 0) + 1, columns + np.where(steep, 0, x) + 1]
        ridge &= strength >= share * diagonal + (1 - share) * straight
    return ridge


def _require_one_shape(*arrays: np.ndarray) -> None:
    shapes = [array.shape for array in arrays]
    if len(set(shapes)) != 1 or arrays[0].ndim != 2:
        raise DataError(f"iBims errors: expected maps [H, W] of the same shape, got {shapes}")
