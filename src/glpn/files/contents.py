"""What every format carries: metres, the facts about them and, if wanted, the photograph."""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glpn.camera.camera import Camera
from glpn.errors import DataError, MissingDependency, UsageError

MAX_PIXELS = 64_000_000  # of a file to be read; above any photograph, below Pillow's bomb warning
METADATA_KEY = "glpn"  # of the PNG text chunk, the NPZ field, the EXR attribute, the glTF extra
SIGMA_QUANTITY = {"quantity": "sigma"}  # in the metadata of a file that holds that, not depth
LONGEST_METADATA = 100_000  # characters


@dataclass(frozen=True, eq=False)
class Contents:
    """One depth map as files see it.

    Attributes:
        metres: float32 [H, W], finite, at least 0; 0 is unknown.
        metadata: facts in JSON types; "camera" is a `Camera.record`.
        image: the photograph, uint8 [H, W, 3], where it is at hand.
        sigma: one standard deviation of `metres`, float32 [H, W], in metres, where it is known.
    """

    metres: NDArray[np.float32]
    metadata: Mapping[str, Any]
    image: NDArray[np.uint8] | None = None
    sigma: NDArray[np.float32] | None = None

    def described(self, facts: Mapping[str, Any] = MappingProxyType({})) -> str:
        """The metadata as one line of ASCII JSON, with what one format adds or has otherwise."""
        values = {"unit": "metre", "scale": 1, "invalid": 0}  # value = metres × scale
        return json.dumps({**self.metadata, **values, **facts}, allow_nan=False)

    def points(self) -> NDArray[np.float32]:
        """Points [H, W, 3] in metres: X right, Y down, Z forward; unknown pixels are (0, 0, 0)."""
        return Camera(**self.metadata["camera"]).points(self.metres)


def parse_metadata(text: Any) -> dict[str, Any]:
    """The JSON object that `Contents.described` wrote.

    Raises:
        DataError: it is something else.
    """
    if not isinstance(text, str) or len(text) > LONGEST_METADATA:
        raise DataError("metadata: expected a short JSON text")
    values = json.loads(text)
    if not isinstance(values, dict):
        raise DataError(f"metadata: expected a JSON object, got {type(values).__name__}")
    return values


def units_per_metre(metadata: Mapping[str, Any], scale: float | None) -> float:
    """The scale that the file states, or the caller.

    Raises:
        UsageError: neither does, or they differ, or the number is impossible.
    """
    stated = metadata.get("scale", scale)
    if stated is None:
        raise UsageError("does not say its unit; pass scale= (1000: millimetres, 256: KITTI)")
    if scale is not None and stated != scale:
        raise UsageError(f"states the scale {stated}, not {scale}")
    return require_scale(stated)


def require_scale(scale: Any) -> float:
    """`scale` as a number above 0.

    Raises:
        UsageError: it is none.
    """
    if not isinstance(scale, (int, float)) or isinstance(scale, bool) or not 0 < scale < math.inf:
        raise UsageError(f"scale: expected units per metre, a number above 0; got {scale!r}")
    return scale


def require_size(height: int, width: int) -> None:
    """Refuse a declared size before anything is allocated for it.

    Raises:
        DataError: no pixel, or more than MAX_PIXELS.
    """
    if not (height > 0 and width > 0 and height * width <= MAX_PIXELS):
        raise DataError(f"{height}x{width} pixels; expected 1 to {MAX_PIXELS}")


def known_or_zero(metres: NDArray[Any]) -> NDArray[np.float32]:
    """Float depth of any origin: NaN, infinite and negative pixels are unknown, hence 0."""
    with np.errstate(over="ignore"):  # beyond float32 is infinite
        metres = np.ascontiguousarray(metres, np.float32)
    return np.where(np.isfinite(metres) & (metres > 0), metres, np.float32(0))


def require_extra(package: str, purpose: str) -> Any:
    """Import a package of the extra "3d".

    Raises:
        MissingDependency: it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError as e:
        raise MissingDependency(f"{purpose} needs {package}: pip install 'glpn[3d]'") from e
