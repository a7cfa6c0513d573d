"""Sample: one frame with its measured depth, as every dataset hands it out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from glpn.depth import Camera


@dataclass(frozen=True)
class Sample:
    """One photograph and the distances measured in it.

    `image` is RGB uint8 [H, W, 3]; `depth` is float32 metres [H, W], 0 where unknown; `camera` is
    that of `image` as it is here, after any resizing or cropping.
    """

    name: str
    image: NDArray[np.uint8]
    depth: NDArray[np.float32]
    scene: str | None = None
    camera: Camera | None = None
