"""Evidence in the stored values: unknown depth, per-frame normalisation, value steps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# The largest values of common integer formats. Cameras store them for missing measurements.
FORMAT_LIMITS = frozenset({2047.0, 4095.0, 8191.0, 16383.0, 32767.0, 65534.0, 65535.0})
# Values to which exporters scale the largest depth of a frame.
FULL_SCALES = FORMAT_LIMITS | {1.0, 100.0, 255.0, 1000.0, 10000.0}

# Thresholds; in brackets the extremes of NYU Depth V2, HoloLens, Replica, TUM and LiDAR maps.
MIN_SPIKE_SHARE = 0.005  # fraction of pixels at a map's largest value [up to 0.0022]
MIN_LIMIT_SHARE = 0.0005  # the same for the limit of an integer format
MIN_FAR_GAP = 1.2  # largest value over the 99.9 % quantile of the rest
MIN_NEAR_GAP = 2.0  # 0.1 % quantile of the rest over the smallest value [up to 1.4]
MIN_SPIKE_FRAMES = 0.25  # fraction of the maps in which a value must stand out
MIN_LEVELS_FOR_STEP = 50  # distinct values needed for a meaningful common divisor
MIN_MAPS_FOR_NORMALISATION = 4
_SAME_MAXIMUM = 0.005  # relative; maxima that differ by less count as equal
_MAX_PEELS = 3  # maximum number of values removed from the far end of a map
_MIN_REST = 20  # pixels that must remain after removing a value
_MIN_VALUES = 10  # distinct values that must remain


@dataclass(frozen=True)
class Extreme:
    """One end of a map's values: the value, its fraction of known pixels, its gap to the rest."""

    value: float
    share: float
    gap: float
    far: bool

    @property
    def is_spike(self) -> bool:
        """Whether this value means "unknown" if it occurs in many maps."""
        if self.far and self.value in FORMAT_LIMITS:
            return self.share >= MIN_LIMIT_SHARE
        gap = MIN_FAR_GAP if self.far else MIN_NEAR_GAP
        return self.share >= MIN_SPIKE_SHARE and self.gap >= gap


@dataclass(frozen=True)
class Levels:
    """Summary of one map's known values: both ends and the 99 % quantile."""

    extremes: tuple[Extreme, ...]
    upper: float

    @property
    def largest(self) -> Extreme | None:
        """The map's largest value; None if the map is empty or constant."""
        return next((extreme for extreme in self.extremes if extreme.far), None)


def levels_of(values: np.ndarray) -> Levels:
    """The levels of one map's known values, in any shape; values of 0 or less are ignored."""
    with np.errstate(invalid="ignore"):
        known = values[np.isfinite(values) & (values > 0)]
    if known.size == 0:
        return Levels((), 0.0)
    upper = float(np.quantile(known, 0.99))
    extremes = []
    rest = known
    for _ in range(_MAX_PEELS):
        value = rest.max()
        below = rest[rest < value]
        if below.size < _MIN_REST or np.unique(below[:: below.size // 5000 + 1]).size < _MIN_VALUES:
            break
        share = 1 - below.size / rest.size
        gap = float(value) / float(np.quantile(below, 0.999))
        extremes.append(Extreme(float(value), share * rest.size / known.size, gap, far=True))
        if share < MIN_LIMIT_SHARE:
            break
        rest = below
    smallest = known.min()
    above = known[known > smallest]
    if above.size >= _MIN_REST and extremes:
        gap = float(np.quantile(above, 0.001)) / float(smallest)
        share = 1 - above.size / known.size
        extremes.append(Extreme(float(smallest), share, gap, far=False))
    return Levels(tuple(extremes), upper)


def unknown_values(maps: Sequence[Levels]) -> dict[float, float]:
    """Return the values that mean "unknown" with their mean share of pixels where they occur.

    A value counts if it stands out from the rest in enough maps. It also counts if it is the
    largest value of at least half of the maps and covers many pixels, because real scenes do not
    all end at the same distance.
    """
    found: dict[float, list[Extreme]] = defaultdict(list)
    for levels in maps:
        for extreme in levels.extremes:
            found[extreme.value].append(extreme)
    fewest = max(min(2, len(maps)), int(np.ceil(MIN_SPIKE_FRAMES * len(maps))))
    unknown = {}
    for value, extremes in found.items():
        spikes = [extreme.share for extreme in extremes if extreme.is_spike]
        ends = [extreme.share for extreme in extremes if extreme.far]
        saturated = len(ends) >= max(3, len(maps) / 2) and float(np.median(ends)) >= MIN_SPIKE_SHARE
        if len(spikes) >= fewest or saturated:
            unknown[value] = float(np.mean(spikes or ends))
    return unknown


def are_normalised(maps: Sequence[Levels]) -> bool:
    """Whether nearly all maps have the same maximum, as maps normalised per frame have.

    A maximum that many pixels share is not counted here: see `unknown_values`.
    """
    ends = [levels.largest for levels in maps if levels.largest is not None]
    if len(ends) < MIN_MAPS_FOR_NORMALISATION or len(ends) < 0.9 * len(maps):
        return False
    values = np.array([end.value for end in ends])
    typical = float(np.median(values))
    same = np.abs(values - typical) <= _SAME_MAXIMUM * typical
    reach = np.array([levels.upper for levels in maps if levels.largest is not None])
    return bool(
        same.mean() >= 0.9
        and np.median([end.share for end in ends]) < MIN_SPIKE_SHARE
        and (reach >= 0.5 * typical).mean() >= 0.8
    )


def common_step(maps: Sequence[np.ndarray]) -> int:
    """The greatest common divisor of the values; 1 if they are few or not integers."""
    distinct = [np.unique(values[values > 0]) for values in maps if values.dtype.kind in "ui"]
    levels = np.unique(np.concatenate(distinct)) if distinct else np.zeros(0, np.int64)
    if len(levels) < MIN_LEVELS_FOR_STEP or len(distinct) < len(maps):
        return 1
    return int(np.gcd.reduce(levels.astype(np.int64)))
