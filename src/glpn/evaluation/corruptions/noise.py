"""Sensor noise: Gaussian (low light), shot (few photons), impulse (dead and hot pixels)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.float32]

GAUSSIAN = (0.08, 0.12, 0.18, 0.26, 0.38)  # standard deviation, on values in 0..1
SHOT = (60.0, 25.0, 12.0, 5.0, 3.0)  # photons per white pixel
IMPULSE = (0.03, 0.06, 0.09, 0.17, 0.27)  # fraction of values replaced


def gaussian(pixels: Pixels, sigma: float, rng: np.random.Generator, unit: float) -> Pixels:
    """Add normal noise, independent per pixel and channel."""
    noise: Pixels = rng.standard_normal(pixels.shape, dtype=np.float32)
    noise *= np.float32(sigma)
    noise += pixels
    return noise


def shot(pixels: Pixels, photons: float, rng: np.random.Generator, unit: float) -> Pixels:
    """Apply Poisson noise: each value becomes a count of photons."""
    return (rng.poisson(pixels * photons) / photons).astype(np.float32)


def impulse(pixels: Pixels, amount: float, rng: np.random.Generator, unit: float) -> Pixels:
    """Add salt and pepper noise in equal parts, independent per channel."""
    lot = rng.random(pixels.shape, dtype=np.float32)
    spoiled = np.where(lot < amount / 2, np.float32(0), pixels)
    return np.where(lot > 1 - amount / 2, np.float32(1), spoiled)


def to_uint8(pixels: Pixels) -> NDArray[np.uint8]:
    """Convert pixels in 0..1 to bytes; values outside are clipped."""
    scaled: Pixels = np.clip(pixels, 0, 1)
    scaled *= 255
    scaled += 0.5
    return scaled.astype(np.uint8)


def from_image(image: Image.Image) -> Pixels:
    """Convert an RGB image to pixels in 0..1."""
    pixels = np.array(image, dtype=np.float32)
    pixels /= 255
    return pixels
