"""Blur: defocus, frosted glass, camera motion, zoom during the exposure."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from glpn.evaluation.corruptions.noise import from_image, to_uint8

Pixels = NDArray[np.float32]

DEFOCUS = (3.0, 4.0, 6.0, 8.0, 10.0)  # radius; all lengths here are ImageNet pixels
GLASS = ((0.7, 1, 2), (0.9, 2, 1), (1.0, 2, 3), (1.1, 3, 2), (1.5, 4, 2))  # sigma, reach, rounds
MOTION = ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))  # radius, sigma
ZOOM = ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03))  # end, step
_MOTION_ANGLE = 45.0  # degrees to either side of the horizontal
_FFT_MULTIPLE = 60  # 2²·3·5: the FFT is fast for lengths with small factors


def defocus(pixels: Pixels, radius: float, rng: np.random.Generator, unit: float) -> Pixels:
    """Spread every point over a disk."""
    radius = radius * unit
    reach = math.ceil(radius)
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disk = np.clip(radius + 0.5 - np.hypot(rows, columns), 0, 1)
    return convolve(pixels, disk / disk.sum())


def glass(
    pixels: Pixels, constants: tuple[float, int, int], rng: np.random.Generator, unit: float
) -> Pixels:
    """Blur, replace each pixel by a random neighbour in several rounds, and blur again."""
    sigma, reach, rounds = constants
    pixels = _gaussian(pixels, sigma * unit)
    height, width = pixels.shape[:2]
    reach = max(1, round(reach * unit))
    rows, columns = np.mgrid[:height, :width]
    for _ in range(rounds):
        moves = rng.integers(-reach, reach + 1, size=(2, height, width))
        from_rows = np.clip(rows + moves[0], 0, height - 1)
        pixels = pixels[from_rows, np.clip(columns + moves[1], 0, width - 1)]
    return _gaussian(pixels, sigma * unit)


def motion(
    pixels: Pixels, constants: tuple[float, float], rng: np.random.Generator, unit: float
) -> Pixels:
    """Smear along a trail that fades as a Gaussian, in a random direction near the horizontal."""
    angle = rng.uniform(-_MOTION_ANGLE, _MOTION_ANGLE)
    return convolve(pixels, trail(constants[0] * unit, constants[1] * unit, angle))


def zoom(
    pixels: Pixels, constants: tuple[float, float], rng: np.random.Generator, unit: float
) -> Pixels:
    """Average the image and its magnifications about the centre."""
    end, step = constants
    height, width = pixels.shape[:2]
    image = Image.fromarray(to_uint8(pixels))
    total = pixels.copy()
    factors = np.arange(1, end, step)
    for factor in factors:
        left, top = width * (1 - 1 / factor) / 2, height * (1 - 1 / factor) / 2
        box = (left, top, width - left, height - top)
        nearer = image.resize((width, height), Image.Resampling.BILINEAR, box=box)
        total += from_image(nearer)
    mean: Pixels = total / np.float32(len(factors) + 1)
    return mean


def trail(radius: float, sigma: float, angle: float) -> NDArray[np.float64]:
    """Return a kernel along one ray: weights exp(-s²/2σ²) at distance s, up to twice the radius.

    Args:
        radius, sigma: pixels.
        angle: degrees from the horizontal axis.
    """
    steps = np.arange(0, max(2 * radius, 0.5), 0.5)
    weights = np.exp(-0.5 * (steps / sigma) ** 2)
    down, right = (steps * f(math.radians(angle)) for f in (math.sin, math.cos))
    reach = math.ceil(2 * radius) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    rows, columns = np.floor(down).astype(int), np.floor(right).astype(int)
    for i, row_share in ((0, 1 - (down - rows)), (1, down - rows)):
        for j, column_share in ((0, 1 - (right - columns)), (1, right - columns)):
            where = (rows + i + reach, columns + j + reach)
            np.add.at(kernel, where, weights * row_share * column_share)
    kernel /= kernel.sum()
    return kernel


def convolve(pixels: Pixels, kernel: NDArray[np.float64]) -> Pixels:
    """Convolve [H, W, ...] with an odd square kernel; borders are mirrored."""
    height, width = pixels.shape[:2]
    reach = kernel.shape[0] // 2
    borders = [(reach, reach)] * 2 + [(0, 0)] * (pixels.ndim - 2)
    padded = np.pad(pixels, borders, mode="symmetric")
    shape = [-(-side // _FFT_MULTIPLE) * _FFT_MULTIPLE for side in padded.shape[:2]]
    transform = np.fft.rfft2(kernel.astype(np.float32), s=shape, axes=(0, 1))
    channels = []
    for channel in np.moveaxis(padded.reshape(*padded.shape[:2], -1), -1, 0):
        blurred = np.fft.irfft2(
            np.fft.rfft2(channel, s=shape, axes=(0, 1)) * transform, s=shape, axes=(0, 1)
        )
        channels.append(blurred[2 * reach : 2 * reach + height, 2 * reach : 2 * reach + width])
    return np.stack(channels, axis=-1).reshape(pixels.shape).astype(np.float32)


def _gaussian(pixels: Pixels, sigma: float) -> Pixels:
    image = Image.fromarray(to_uint8(pixels)).filter(ImageFilter.GaussianBlur(sigma))
    return from_image(image)
