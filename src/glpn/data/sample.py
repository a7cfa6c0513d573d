"""Sample: one frame with its measured depth, the item type of every dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from glpn.camera.camera import Camera


@dataclass(frozen=True)
class Sample:
    """One image with its measured depth.

    `image` is RGB uint8 [H, W, 3]; `depth` is float32 metres [H, W], 0 where unknown; `camera`
    belongs to `image` after any resizing or cropping.
    """

    name: str
    image: NDArray[np.uint8]
    depth: NDArray[np.float32]
    scene: str | None = None
    camera: Camera | None = None


class Samples(Protocol):
    """Any indexable collection of samples, such as a `FrameSet` or rendered rooms."""

    @property
    def names(self) -> Sequence[str]:
        """One name per sample."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Sample: ...
