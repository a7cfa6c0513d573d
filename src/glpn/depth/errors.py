"""ErrorCurve: how wrong predicted depths were on held-out frames, by predicted depth."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glpn.depth.median import median
from glpn.errors import ConfigError

COVERAGE = math.erf(math.sqrt(0.5))  # fraction of the pixels within one sigma: 68.27 %
_SAMPLES = 2_000  # pixels of a photo that its typical error is computed from
_MAX_BINS = 1_000


@dataclass(frozen=True)
class ErrorBin:
    """The errors of pixels with similar predicted depths.

    Attributes:
        depth: the median of their predicted depths, in metres.
        error: 68.27 % of them have |true - predicted| / predicted of at most this.
        pixels: how many were measured.
    """

    depth: float
    error: float
    pixels: int


@dataclass(frozen=True)
class Widening:
    """How much larger errors are for a longer lens than the network's own camera.

    Attributes:
        focal: the photo's focal length in those of the network's camera, above 1.
        factor: the factor that multiplies the errors, at least 1.
    """

    focal: float
    factor: float


@dataclass(frozen=True)
class ErrorCurve:
    """The relative error of a model's depth as a function of that depth and of the camera.

    Attributes:
        data: name of the frames that it was measured on.
        frames: number of frames.
        error: the 68.27 % quantile of |true - predicted| / predicted over all pixels.
        bins: at least one bin, ordered by depth, for the network's own camera.
        longer: for cameras with longer lenses, in the order of their focal lengths. Shorter
            focal lengths were not measured; they get the errors of the network's own camera.

    Raises:
        ConfigError: there is no bin, or a value is impossible.
    """

    data: str
    frames: int
    error: float
    bins: tuple[ErrorBin, ...]
    longer: tuple[Widening, ...] = ()

    def __post_init__(self) -> None:
        depths = [bin_.depth for bin_ in self.bins]
        if not 0 < len(depths) <= _MAX_BINS or depths != sorted(set(depths)) or depths[0] <= 0:
            raise ConfigError("bins: expected 1 to 1000 with ascending depths above 0")
        for error in (self.error, *(bin_.error for bin_ in self.bins)):
            if not (math.isfinite(error) and error >= 0):
                raise ConfigError(f"error: expected a number of at least 0, got {error!r}")
        focals = [widening.focal for widening in self.longer]
        widest = [1.0, *(widening.factor for widening in self.longer)]
        if len(focals) > _MAX_BINS or [1.0, *focals] != sorted({1.0, *focals}) or min(widest) < 1:
            raise ConfigError(
                "longer: expected ascending focal lengths above 1, factors of at least 1"
            )

    def relative(self, metres: NDArray[np.float32]) -> NDArray[np.float32]:
        """The relative error at each depth, linear between bins and constant beyond them."""
        depths = [bin_.depth for bin_ in self.bins]
        errors = [bin_.error for bin_ in self.bins]
        return np.interp(metres, depths, errors).astype(np.float32)

    def sigma(self, metres: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return sigma in metres, with the shape of `metres`: 68 % of the errors are smaller."""
        return self.relative(metres) * metres

    def typical(self, metres: NDArray[np.float32]) -> float:
        """The median of the relative error over a photo's known pixels [H, W], from a sample."""
        known = metres.ravel()[:: max(metres.size // _SAMPLES, 1)]
        known = known[known > 0]
        return median(self.relative(known)) if known.size else self.error

    def scaled(self, factor: float) -> ErrorCurve:
        """The curve for a photo whose camera multiplies the network's metres by a factor.

        The factor is the ratio of the focal lengths. The errors grow with it: linear in its
        logarithm between the measured focal lengths, and constant beyond them.
        """
        if factor == 1:
            return self
        focals = np.log([1.0, *(widening.focal for widening in self.longer)])
        wider = np.interp(math.log(factor), focals, [1.0, *(w.factor for w in self.longer)])
        bins = tuple(
            ErrorBin(b.depth * factor, float(b.error * wider), b.pixels) for b in self.bins
        )
        return ErrorCurve(self.data, self.frames, float(self.error * wider), bins)

    def __str__(self) -> str:
        return f"{self.frames} frames of {self.data}"
