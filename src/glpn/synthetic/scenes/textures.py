"""The texture bank: periodic textures of wood, cloth, brick, posters … for all scenes.

A scene varies them by scale, offset and two colours, so a few hundred small textures suffice. All
are made once per process, from a fixed seed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from glpn.synthetic.scenes import patterns
from glpn.synthetic.scenes.patterns import SIDE, spectrum_noise

LEVELS = 8  # sides 128, 64 … 1
BANK_SEED = 20220118

# The pattern of each kind and the number of its textures in the bank, in this order.
_PATTERNS: dict[Callable[[np.random.Generator, int], patterns.Texture], int] = {
    patterns.plain: 1,
    patterns.cloud: 6,
    patterns.speckle: 6,
    patterns.wood: 14,
    patterns.plank: 10,
    patterns.weave: 8,
    patterns.stripe: 8,
    patterns.floral: 10,
    patterns.carpet: 8,
    patterns.rug: 12,
    patterns.brick: 6,
    patterns.tile: 10,
    patterns.stone: 8,
    patterns.poster: 40,
    patterns.text: 10,
    patterns.screen: 6,
    patterns.outdoor: 10,
    patterns.leaf: 6,
    patterns.facade: 10,
    patterns.asphalt: 4,
}
KINDS = {pattern.__name__: count for pattern, count in _PATTERNS.items()}
_FIRST = dict(zip(KINDS, accumulate([0, *KINDS.values()]), strict=False))  # the last is the end


def texture_index(kind: str, number: int) -> int:
    """The index in the bank of texture `number` of a kind, modulo their count."""
    return _FIRST[kind] + number % KINDS[kind]


@lru_cache(maxsize=1)
def bank() -> NDArray[np.uint8]:
    """All textures with all mip levels, uint8 [3, textures × texels of a pyramid].

    The levels of a texture are consecutive, the largest first, at `level_offsets`.
    """
    pyramids: list[NDArray[np.uint8]] = []
    for pattern, count in _PATTERNS.items():
        for number in range(count):
            rng = np.random.default_rng((BANK_SEED, len(pyramids)))
            pyramids.append(_pyramid(pattern(rng, number)))
    return np.ascontiguousarray(np.concatenate(pyramids).T)


@lru_cache(maxsize=1)
def relief() -> NDArray[np.float32]:
    """Fractal noise with its slopes, float32 [3, texels of a pyramid]: value, d/du, d/dv."""
    height = spectrum_noise(np.random.default_rng((BANK_SEED, 9999)), 1.1)
    slopes = [np.roll(height, -1, axis) - np.roll(height, 1, axis) for axis in (1, 0)]
    slopes = [slope / slope.std() for slope in slopes]
    return np.ascontiguousarray(_levels(np.stack([height, *slopes], -1)).T.astype(np.float32))


@lru_cache(maxsize=1)
def level_offsets() -> NDArray[np.int64]:
    """First texel of each mip level within one texture, and the pyramid's length at the end."""
    sides = [SIDE >> level for level in range(LEVELS)]
    return np.concatenate([[0], np.cumsum([side * side for side in sides])]).astype(np.int64)


def _levels(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn [SIDE, SIDE, C] into the texels of all mip levels [N, C]."""
    channels = picture.shape[-1]
    levels = [picture.reshape(-1, channels)]
    while picture.shape[0] > 1:
        half = picture.shape[0] // 2
        picture = picture.reshape(half, 2, half, 2, channels).mean((1, 3))
        levels.append(picture.reshape(-1, channels))
    return np.concatenate(levels)


def _pyramid(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.asarray((_levels(picture.clip(0, 1)) * 255).round(), np.uint8)
