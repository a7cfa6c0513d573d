"""Near-duplicate frames within one set or between two sets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from glpn.data.frame_stats import FrameStats

_SAME_GREY = 2 / 255  # mean difference of thumbnails; consecutive video frames differ by 6 or more
_SAME_DEPTH = 0.02  # limit of the median relative difference
_BANDS = 4  # parts of a 64-bit hash: hashes that differ in at most 3 bits share one part


def twins(
    stats: Iterable[FrameStats], among: Sequence[FrameStats] | None = None
) -> list[tuple[FrameStats, FrameStats]]:
    """Pairs of a frame and an earlier one (or one of `among`) that is nearly the same.

    Candidates share a band of a perceptual hash, which compares the brightness of neighbouring
    cells on an 8 x 8 grid. Duplicates agree in grey, up to overall brightness, and in depth.
    """
    buckets: dict[tuple[int, int], list[FrameStats]] = defaultdict(list)
    for known in among or ():
        _enter(buckets, known)
    found = []
    for frame in stats:
        other = next((o for key in _keys(frame) for o in buckets[key] if _same(frame, o)), None)
        if other is not None:
            found.append((other, frame))
        elif among is None:
            _enter(buckets, frame)
    return found


def _enter(buckets: dict[tuple[int, int], list[FrameStats]], frame: FrameStats) -> None:
    for key in _keys(frame):
        buckets[key].append(frame)


def _keys(frame: FrameStats) -> list[tuple[int, int]]:
    height, width = frame.thumb.shape
    fields = frame.thumb.reshape(8, height // 8, 8, width // 8).mean((1, 3))  # [8, 8]
    brighter = fields > np.roll(fields, 1, axis=1)
    value = int.from_bytes(np.packbits(brighter).tobytes(), "big")
    return [(band, value >> (16 * band) & 0xFFFF) for band in range(_BANDS)]


def _same(first: FrameStats, second: FrameStats) -> bool:
    grey = first.thumb - first.thumb.mean() - (second.thumb - second.thumb.mean())
    if np.abs(grey).mean() > _SAME_GREY:
        return False
    both = (first.depth_thumb > 0) & (second.depth_thumb > 0)
    either = (first.depth_thumb > 0) | (second.depth_thumb > 0)
    if not either.any():  # without any known depth, the images decide
        return True
    if both.sum() < either.sum() / 2:
        return False
    ratio = first.depth_thumb[both] / second.depth_thumb[both]
    return float(np.median(np.abs(ratio - 1))) < _SAME_DEPTH
