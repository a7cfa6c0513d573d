"""The protocols that engines follow, and what every engine refuses."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from glpn.errors import CheckpointError, InvalidImage
from glpn.network.config import GLPNConfig


class Engine(Protocol):
    """A loaded network, ready to run.

    Attributes:
        name: one of `ENGINES`.
        config: the network's.
        precision: "float32", or what a quick engine computes in.
    """

    name: str
    config: GLPNConfig
    precision: str

    def __call__(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Predict depth for a batch.

        Args:
            pixels: float32 [B, 3, H, W], RGB in 0..1, any H and W from 1 on.

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
    """An engine that can also leave out parts of the network at random."""

    def stochastic(
        self, pixels: NDArray[np.float32], count: int, *, seed: int
    ) -> NDArray[np.float32]:
        """Predict `count` times with drop path and dropout at work in the encoder.

        Args:
            pixels: as the engine's call.
            count: of the passes.
            seed: the same seed gives the same passes on the same machine.

        Returns:
            Metres, float32 [count, B, H, W]; all alike where the configuration's rates are 0.

        Raises:
            InvalidImage, CheckpointError: as the engine's call.
        """
        ...


@runtime_checkable
class PlanningEngine(Protocol):
    """An engine that prepares itself for every size of its input, which takes time."""

    def expect(self, sizes: Iterable[tuple[int, int]]) -> None:
        """Prepare for these (height, width) alone, when they first come.

        Others are predicted too, more slowly. The last digits of the metres may differ.
        """
        ...


def require_pixels(pixels: NDArray[Any], config: GLPNConfig) -> None:
    """Refuse an array that is no batch of images.

    Raises:
        InvalidImage: its shape is not [B, num_channels, H, W].
    """
    if pixels.ndim != 4 or pixels.shape[1] != config.num_channels or 0 in pixels.shape[2:]:
        raise InvalidImage(
            f"pixels: expected shape [batch, {config.num_channels}, height, width], "
            f"got {list(pixels.shape)}"
        )


def require_finite(depth: NDArray[np.float32], folder: Path) -> None:
    """Refuse NaN and infinity in a prediction.

    Raises:
        CheckpointError: there is one; weights too large for the activations are the usual reason.
    """
    if not np.isfinite(depth).all():
        raise CheckpointError(f"{folder}: the network's output holds NaN or infinity")
