"""Synthetic frames and a stand-in model for the tests of the runners."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class SyntheticFrame:
    """A frame whose image holds its depth: red = metres * 25."""

    name: str
    scene: str | None
    image: NDArray[np.uint8]
    depth: NDArray[np.float32]


def make_frame(index: int, size: tuple[int, int] = (48, 64)) -> SyntheticFrame:
    """Depth of 2 to 8 m with a few unknown pixels; two frames share a scene."""
    rng = np.random.default_rng(index)
    red = rng.integers(50, 200, size, dtype=np.uint8)
    image = np.stack([red, 255 - red, rng.integers(0, 255, size, dtype=np.uint8)], axis=-1)
    depth = red.astype(np.float32) / 25
    depth[rng.random(size) < 0.1] = 0
    return SyntheticFrame(f"house{index // 2}/frame{index:05}", f"house{index // 2}", image, depth)


def make_frames(count: int, size: tuple[int, int] = (48, 64)) -> Iterator[SyntheticFrame]:
    """Frames made when they are asked for."""
    return (make_frame(index, size) for index in range(count))


def oracle(image: NDArray[np.uint8]) -> np.ndarray:
    """The exact depth of a synthetic frame."""
    return image[..., 0].astype(np.float32) / 25


def model(image: NDArray[np.uint8]) -> np.ndarray:
    """The depth with errors that depend on the image."""
    return oracle(image) * (0.8 + image[..., 2].astype(np.float32) / 600)
