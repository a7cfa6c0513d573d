"""Synthetic frames and a stand-in model for the tests of the runners."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from glpn.data.sample import Sample


def make_frame(index: int, size: tuple[int, int] = (48, 64)) -> Sample:
    """2 to 8 m = red / 25, with a few unknown pixels; two frames share a scene."""
    rng = np.random.default_rng(index)
    red = rng.integers(50, 200, size, dtype=np.uint8)
    image = np.stack([red, 255 - red, rng.integers(0, 255, size, dtype=np.uint8)], axis=-1)
    depth = red.astype(np.float32) / 25
    depth[rng.random(size) < 0.1] = 0
    return Sample(f"house{index // 2}/frame{index:05}", image, depth, f"house{index // 2}")


def make_frames(count: int, size: tuple[int, int] = (48, 64)) -> Iterator[Sample]:
    """Frames made when they are asked for."""
    return (make_frame(index, size) for index in range(count))


def oracle(image: NDArray[np.uint8]) -> np.ndarray:
    """The exact depth of a synthetic frame."""
    return image[..., 0].astype(np.float32) / 25


def model(image: NDArray[np.uint8]) -> np.ndarray:
    """The depth with errors that depend on the image."""
    return oracle(image) * (0.8 + image[..., 2].astype(np.float32) / 600)
