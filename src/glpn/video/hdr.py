"""Tone-maps HDR frames (PQ and HLG, BT.2020 colours) to the SDR picture of a display."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

PQ, HLG = 16, 18  # transfer characteristics in ITU-T H.273
_REFERENCE_WHITE_NITS = 203.0  # ITU-R BT.2408, section 2.2: the white of an SDR picture
_REFERENCE_WHITE_HLG = 0.265  # the same as scene light: HLG signal 0.75
_SDR_GAMMA = 2.4  # ITU-R BT.1886
_KNEE = 0.8  # fraction of reference white; brighter light is compressed
_LEVELS = 1 << 16
# ITU-R BT.2087, section 3: linear BT.2020 RGB → linear BT.709 RGB.
_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]],
    np.float32,
)


def tone_map(pixels: NDArray[np.uint16], transfer: int) -> NDArray[np.uint8]:
    """Map RGB uint16 [H, W, 3] with transfer PQ or HLG to RGB uint8 [H, W, 3].

    Light up to 0.8 of the reference white keeps its brightness; highlights are compressed.
    """
    light = _linear(transfer).take(pixels) @ _TO_BT709.T  # [H, W, 3], 1 = reference white
    bright = light > _KNEE
    room = 1 - _KNEE
    light[bright] = 1 - room * np.exp((_KNEE - light[bright]) / room)
    levels = 255 * np.maximum(light, 0) ** (1 / _SDR_GAMMA)
    return np.asarray(np.rint(levels), np.uint8)


@cache
def _linear(transfer: int) -> NDArray[np.float32]:
    """Light of each 16-bit level, relative to the reference white."""
    signal = np.arange(_LEVELS) / (_LEVELS - 1)
    light = _pq_light(signal) if transfer == PQ else _hlg_light(signal)
    return light.astype(np.float32)


def _pq_light(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """SMPTE ST 2084, equation 4.1, over the reference white."""
    m1, m2 = 2610 / 16384, 2523 / 32
    c1, c2, c3 = 3424 / 4096, 2413 / 128, 2392 / 128
    power = signal ** (1 / m2)
    nits = 10_000 * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
    return nits / _REFERENCE_WHITE_NITS


def _hlg_light(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """ITU-R BT.2100, table 5: inverse of the HLG OETF, over the reference white."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    bright = (np.exp((signal - c) / a) + b) / 12
    return np.where(signal <= 0.5, signal**2 / 3, bright) / _REFERENCE_WHITE_HLG
