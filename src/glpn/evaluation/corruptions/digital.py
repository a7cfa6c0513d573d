"""Digital damage: contrast, elastic transform, pixelation, JPEG."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glpn.evaluation.corruptions.noise import from_image, to_uint8

Pixels = NDArray[np.float32]

CONTRAST = (0.4, 0.3, 0.2, 0.1, 0.05)  # fraction of the contrast that remains
# Each row is the reach and the smoothness of the local warp and the reach of the affine warp, in
# ImageNet pixels.
ELASTIC = (
    (5.0, 2.44, 1.2),
    (8.5, 2.44, 2.5),
    (12.2, 2.44, 4.88),
    (17.1, 2.44, 4.88),
    (29.3, 2.44, 4.88),
)
PIXELATE = (0.6, 0.5, 0.4, 0.3, 0.25)  # remaining pixels per ImageNet pixel along each axis
JPEG = (25, 18, 15, 10, 7)  # libjpeg's quality


def contrast(pixels: Pixels, kept: float, rng: np.random.Generator, unit: float) -> Pixels:
    """Pull every channel towards its mean."""
    mean = pixels.mean(axis=(0, 1), keepdims=True)
    spoiled: Pixels = (pixels - mean) * np.float32(kept) + mean
    return spoiled


def elastic(
    pixels: Pixels, constants: tuple[float, float, float], rng: np.random.Generator, unit: float
) -> Pixels:
    """Apply a random affine map of three points near the centre, then a smooth local warp."""
    reach, sigma, affine_reach = (length * unit for length in constants)
    height, width = pixels.shape[:2]
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    centre, third = np.array([height / 2, width / 2]), max(min(height, width) / 3, 1)
    corners = centre + third * np.array([[1, 1], [-1, 1], [-1, -1]])
    moved = corners + rng.uniform(-affine_reach, affine_reach, corners.shape)
    affine = np.linalg.solve(np.c_[corners, np.ones(3)], moved)  # [3, 2]
    warps = rng.uniform(-1, 1, (2, height, width))
    down, right = (reach * _smooth(warp, sigma) for warp in warps)
    from_rows = rows * affine[0, 0] + columns * affine[1, 0] + affine[2, 0] + down
    from_columns = rows * affine[0, 1] + columns * affine[1, 1] + affine[2, 1] + right
    return _sample(pixels, from_rows, from_columns)


def pixelate(pixels: Pixels, kept: float, rng: np.random.Generator, unit: float) -> Pixels:
    """Replace each block of pixels by its mean colour."""
    height, width = pixels.shape[:2]
    share = min(1, kept / unit)
    small = (max(1, int(width * share)), max(1, int(height * share)))
    image = Image.fromarray(to_uint8(pixels)).resize(small, Image.Resampling.BOX)
    image = image.resize((width, height), Image.Resampling.NEAREST)
    return from_image(image)


def jpeg(pixels: Pixels, quality: int, rng: np.random.Generator, unit: float) -> Pixels:
    """Compress and decompress as JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(to_uint8(pixels)).save(buffer, "JPEG", quality=quality)
    with Image.open(buffer, formats=("JPEG",)) as image:
        return from_image(image)


def _smooth(field: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Smooth [H, W] with a Gaussian that wraps around, which is safe because the field is noise."""
    down = np.fft.fftfreq(field.shape[0])[:, None]
    right = np.fft.rfftfreq(field.shape[1])[None]
    transfer = np.exp(-2 * (np.pi * sigma) ** 2 * (down**2 + right**2))
    return np.fft.irfft2(np.fft.rfft2(field) * transfer, s=field.shape)


def _sample(pixels: Pixels, rows: NDArray[np.float64], columns: NDArray[np.float64]) -> Pixels:
    """Sample bilinearly at fractional positions [H, W]; borders are mirrored."""
    height, width = pixels.shape[:2]
    rows, columns = _mirror(rows, height), _mirror(columns, width)
    top, left = rows.astype(np.intp), columns.astype(np.intp)
    bottom, right = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    below = (rows - top).astype(np.float32)[..., None]
    beside = (columns - left).astype(np.float32)[..., None]
    upper = pixels[top, left] * (1 - beside) + pixels[top, right] * beside
    lower = pixels[bottom, left] * (1 - beside) + pixels[bottom, right] * beside
    sampled: Pixels = upper * (1 - below) + lower * below
    return sampled


def _mirror(places: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Reflect positions into [0, length - 1] at both ends."""
    if length == 1:
        return np.zeros_like(places)
    last = length - 1
    return last - np.abs(places % (2 * last) - last)
