"""Compares a model with the known values of the published checkpoints on one photo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from glpn.errors import MissingDependency, UsageError
from glpn.image.photo import read_photo
from glpn.processing.processor import GLPNImageProcessor

if TYPE_CHECKING:
    from glpn.network.model import GLPNForDepthEstimation

PHOTO_SIZE = (480, 640)  # COCO val2017, 000000039769
# predicted_depth[0, :3, :3] of this photo, from the integration tests of transformers. KITTI's
# checkpoint states max_depth 10; these values are before the correction to 80 m.
PUBLISHED: Mapping[str, tuple[tuple[float, ...], ...]] = {
    "vinvino02/glpn-nyu": (
        (4.4147, 4.0873, 4.0673),
        (3.7890, 3.2881, 3.1525),
        (3.7674, 3.5423, 3.4913),
    ),
    "vinvino02/glpn-kitti": (
        (3.4291, 2.7865, 2.5151),
        (3.2841, 2.7021, 2.3502),
        (3.1147, 2.4625, 2.2481),
    ),
}
TOLERANCE = 1e-4  # the values have four decimals
_MAX_DEPTH = 10.0  # metres at a sigmoid of 1, as both checkpoints state


@dataclass(frozen=True)
class Comparison:
    """The result of `compare`.

    Attributes:
        nearest: the published checkpoint with the nearest values.
        deviation: the largest difference from its nine values, in metres.
        tolerance: the largest difference that counts as equal.
        matches: whether the deviation is within the tolerance.
        parameters: the number of weights of the network.
        values: the nine values that the folder computes.
    """

    nearest: str
    deviation: float
    tolerance: float
    matches: bool
    parameters: int
    values: tuple[tuple[float, ...], ...]


def compare(model: str | Path, photo: str | Path) -> Comparison:
    """Predict the photo as transformers does, in float32, and compare with the published values.

    Args:
        model: a folder, a bundled name or a hub id.
        photo: COCO val2017's 000000039769.

    Raises:
        MissingDependency: torch is not installed.
        UsageError: the photo has another size.
        MissingInput, CheckpointError, ConfigError, InvalidImage: as for the model and the photo.
    """
    try:
        from glpn.network.model import GLPNForDepthEstimation
    except ImportError:
        raise MissingDependency("verify needs torch", extra="torch") from None
    network = GLPNForDepthEstimation.from_pretrained(model, max_depth=_MAX_DEPTH)
    corner = _corner(network, photo)
    deviations = {
        name: float(np.abs(corner - np.array(values)).max()) for name, values in PUBLISHED.items()
    }
    nearest = min(deviations, key=deviations.__getitem__)
    return Comparison(
        nearest=nearest,
        deviation=deviations[nearest],
        tolerance=TOLERANCE,
        matches=deviations[nearest] <= TOLERANCE,
        parameters=network.num_parameters(),
        values=tuple(tuple(round(float(v), 4) for v in row) for row in corner),
    )


def _corner(network: GLPNForDepthEstimation, photo: str | Path) -> NDArray[np.float32]:
    """Return the nine values in the upper left corner of the network's depth map."""
    import torch

    image = read_photo(photo)
    if image.size != PHOTO_SIZE:
        height, width = PHOTO_SIZE
        raise UsageError(
            f"{photo}: expected COCO's 000000039769.jpg, {width}x{height}; "
            f"got {image.size[1]}x{image.size[0]}"
        )
    pixels = GLPNImageProcessor()(image, return_tensors="pt").pixel_values
    with torch.inference_mode():
        depth = network(pixels, return_dict=True).predicted_depth
    corner: NDArray[np.float32] = depth[0, :3, :3].float().cpu().numpy()
    return corner
