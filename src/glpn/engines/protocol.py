"""The protocols that engines follow, how they are opened, and input that every engine rejects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from glpn.errors import CheckpointError, InvalidImage
from glpn.network.config import GLPNConfig

# Of 8-bit products: weight's name → smallest and largest value multiplied with it.
Ranges: TypeAlias = Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class EngineSettings:
    """What an engine needs to know to open a folder.

    Attributes:
        device: "auto", or a device of the engine.
        threads: CPU threads of one prediction; the engine's own default if None.
        max_depth: metres at the sigmoid's 1; the configuration's if None.
        precision: "float32", or a reduced precision of the engine.
        ranges: value ranges of 8-bit products; required for precisions that have them.
        concurrency: predictions that run at once, each on `threads` threads.
    """

    device: str = "auto"
    threads: int | None = None
    max_depth: float | None = None
    precision: str = "float32"
    ranges: Ranges | None = None
    concurrency: int = 1


class Engine(Protocol):
    """A loaded network, ready to run. Its class has `open(folder, settings)`.

    Attributes:
        name: its name in the table of engines.
        config: the configuration of the network.
        precision: "float32", or the reduced precision it computes in.
    """

    name: str
    config: GLPNConfig
    precision: str

    def __call__(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Predict depth for a batch.

        Args:
            pixels: float32 [B, 3, H, W], RGB in 0..1, any H and W of at least 1.

        Returns:
            Metres, float32 [B, H, W]; smaller where the config's `head_in_index` picks an inner
            map.

        Raises:
            InvalidImage: the array has another shape.
            CheckpointError: the network's output is not finite.
        """
        ...


@runtime_checkable
class StochasticEngine(Protocol):
    """An engine that can also drop parts of the network at random."""

    def stochastic(
        self, pixels: NDArray[np.float32], count: int, *, seed: int
    ) -> NDArray[np.float32]:
        """Predict `count` times with drop path and dropout active in the encoder.

        Args:
            pixels: the same pixels as in a call of the engine.
            count: number of passes.
            seed: the same seed gives the same passes on the same machine.

        Returns:
            Metres, float32 [count, B, H, W]; all equal where the configuration's rates are 0.

        Raises:
            InvalidImage, CheckpointError: as the engine's call.
        """
        ...


@runtime_checkable
class PreparingEngine(Protocol):
    """An engine that spends time preparing itself for each size of its input."""

    def prepare_sizes(self, sizes: Iterable[tuple[int, int]]) -> None:
        """Prepare only for these (height, width), when each first arrives.

        Other sizes are predicted too, more slowly. The last digits of the metres may differ.
        """
        ...


def require_pixels(pixels: NDArray[np.float32], config: GLPNConfig) -> None:
    """Refuse an array that is not a batch of images.

    Raises:
        InvalidImage: the shape is not [B, num_channels, H, W].
    """
    if pixels.ndim != 4 or pixels.shape[1] != config.num_channels or 0 in pixels.shape[2:]:
        raise InvalidImage(
            f"pixels: expected shape [batch, {config.num_channels}, height, width], "
            f"got {list(pixels.shape)}"
        )


def require_finite(depth: NDArray[np.float32], folder: Path) -> None:
    """Refuse NaN and infinity in a prediction.

    Raises:
        CheckpointError: it holds one, usually because the weights are too large.
    """
    if not np.isfinite(depth).all():
        raise CheckpointError(f"{folder}: the network's output contains NaN or infinity")
