"""What every format carries: metres, their metadata and, if wanted, the photo."""

from __future__ import annotations

import importlib
import json
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType, ModuleType
from typing import cast

import numpy as np
from numpy.typing import NDArray

from glpn.camera.camera import Camera
from glpn.errors import DataError, MissingDependency, UsageError

MAX_PIXELS = 64_000_000  # limit for a depth file; below Pillow's bomb warning
MIN_SCALE, MAX_SCALE = 1e-6, 1e9  # units per metre; beyond, float32 metres would overflow
METADATA_KEY = "glpn"  # of the PNG text chunk, the NPZ field, the EXR attribute, the glTF extra
MAX_METADATA_CHARACTERS = 100_000


@dataclass(frozen=True, eq=False)
class Contents:
    """One depth map as files see it.

    Attributes:
        metres: float32 [H, W], finite, at least 0; 0 is unknown.
        metadata: a JSON object; "camera" is a `Camera.record`.
        image: the photo, uint8 [H, W, 3], where available.
        sigma: one standard deviation of `metres`, float32 [H, W], in metres, where known.
    """

    metres: NDArray[np.float32]
    metadata: Mapping[str, object]
    image: NDArray[np.uint8] | None = None
    sigma: NDArray[np.float32] | None = None

    @property
    def camera(self) -> Camera:
        """The camera of the metadata."""
        return Camera.from_record(self.metadata["camera"])

    def described(self, values: Mapping[str, object] = MappingProxyType({})) -> str:
        """The metadata as one line of ASCII JSON, with the values that one format adds."""
        units = {"unit": "metre", "scale": 1, "invalid": 0}  # value = metres × scale
        return json.dumps({**self.metadata, **units, **values}, allow_nan=False)

    def points(self, step: int = 1) -> NDArray[np.float32]:
        """Points [H, W, 3] in metres: X right, Y down, Z forward; unknown pixels are (0, 0, 0).

        With `step`, only every `step`-th pixel in both directions.
        """
        camera = self.camera
        if step == 1:
            return camera.points(self.metres)
        height, width = self.metres.shape
        x, y = np.arange(0, width, step)[None, :], np.arange(0, height, step)[:, None]
        return camera.unproject(x, y, self.metres[::step, ::step])


def parse_metadata(text: str | None) -> dict[str, object]:
    """The JSON object that `Contents.described` wrote.

    Raises:
        DataError: it is something else.
    """
    if not isinstance(text, str) or len(text) > MAX_METADATA_CHARACTERS:
        raise DataError("metadata: expected a short JSON text")
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as e:
        raise DataError(f"metadata: not valid JSON: {e}") from None
    if not isinstance(values, dict):
        raise DataError(f"metadata: expected a JSON object, got {type(values).__name__}")
    return values


def contents_of_floats(
    units: NDArray[np.floating], metadata: Mapping[str, object], scale: float | None
) -> Contents:
    """Contents of float pixels from any program; NaN, infinite and negative pixels are unknown."""
    scale = units_per_metre(metadata, scale)
    with np.errstate(over="ignore"):  # values beyond float32 become infinite
        metres: NDArray[np.float32] = np.ascontiguousarray(
            units if scale == 1 else units / np.float64(scale), np.float32
        )
    known = np.isfinite(metres) & (metres > 0)
    return Contents(np.where(known, metres, np.float32(0)), metadata)


def units_per_metre(metadata: Mapping[str, object], scale: float | None) -> float:
    """The scale that the file states, or else the caller's.

    Raises:
        UsageError: neither is there, or they differ, or the number is impossible.
    """
    stated = metadata.get("scale", scale)
    if stated is None:
        raise UsageError(
            "the file does not state its unit; give the scale (1000: millimetres, 256: KITTI)"
        )
    if scale is not None and stated != scale:
        raise UsageError(f"the file states the scale {stated}, not {scale}")
    return require_scale(stated)


def require_scale(scale: object) -> float:
    """`scale` as a number of units per metre.

    Raises:
        UsageError: it is not a number from MIN_SCALE to MAX_SCALE.
    """
    scale = scale.item() if isinstance(scale, np.generic) else scale
    number = isinstance(scale, (int, float)) and not isinstance(scale, bool)
    if not number or not MIN_SCALE <= cast(float, scale) <= MAX_SCALE:
        raise UsageError(
            f"scale: expected units per metre, a number above 0 (from {MIN_SCALE:g} to "
            f"{MAX_SCALE:g}); got {reprlib.repr(scale)}"
        )
    return cast(float, scale)


def require_size(height: int, width: int) -> None:
    """Refuse a declared size before anything is allocated for it.

    Raises:
        DataError: no pixel, or more than MAX_PIXELS.
    """
    if not (height > 0 and width > 0 and height * width <= MAX_PIXELS):
        raise DataError(f"{width}x{height} pixels; expected 1 to {MAX_PIXELS} pixels")


def require_package(package: str, format: str) -> ModuleType:
    """Import a package of the extra "3d".

    Raises:
        MissingDependency: it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError as e:
        raise MissingDependency(f"{format} needs {package}", extra="3d") from e
