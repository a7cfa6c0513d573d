"""One image for the processor: any source → levels [H, W, C], in the layout that the caller names.

`read_photo` decides what is accepted as a photo. This file adds the layouts and number types that
code written for transformers passes as arrays.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from glpn.errors import InvalidImage, UsageError
from glpn.image.arrays import is_tensor, tensor_as_array
from glpn.image.photo import read_photo

CHANNELS_FIRST, CHANNELS_LAST = LAYOUTS = ("channels_first", "channels_last")
_CHANNELS = (1, 3, 4)
_NAME = "image"


class Levels(NamedTuple):
    """One image as 8-bit levels, uint8 [H, W, C].

    `unit` contains the values of a float image in 0..1, float32 [H, W, C]; otherwise None.
    """

    image: NDArray[np.uint8]
    unit: NDArray[np.float32] | None = None


def read_levels(source: object, *, layout: str | None = None, rgb: bool = True) -> Levels:
    """Read one image.

    Args:
        source: as for `read_photo`. Arrays and tensors may also have four channels, and integers
            of any size in 0..255, or booleans.
        layout: "channels_first" or "channels_last" for arrays; None infers it from the shape.
        rgb: convert to three channels: alpha is dropped, grey is repeated. False keeps the
            channels.

    Raises:
        InvalidImage and its kin, UsageError: as `read_photo`.
    """
    if isinstance(source, Image.Image) and not rgb:
        source, layout = np.asarray(ImageOps.exif_transpose(source)), CHANNELS_LAST
    if not (isinstance(source, np.ndarray) or is_tensor(source)):
        return Levels(read_photo(source).pixels)
    first = is_tensor(source)
    array = tensor_as_array(source, _NAME) if is_tensor(source) else np.asarray(source)
    array = _channels_last(array, layout, prefer_first=first)
    if array.shape[2] == 4 and rgb:
        array = array[:, :, :3]
    array = _eight_bit(array)
    planes = [array] if array.shape[2] in (1, 3) else [array[:, :, :3], array[:, :, 3:]]
    image = np.concatenate([_levels(plane, rgb=rgb) for plane in planes], axis=2)
    if array.dtype.kind != "f":
        return Levels(image)
    unit = np.broadcast_to(array.astype(np.float32).clip(0, 1), image.shape)
    return Levels(image, unit)


def _levels(plane: np.ndarray, *, rgb: bool) -> NDArray[np.uint8]:
    """Map [H, W, 1 or 3] of an accepted type to uint8, with three channels or as many as before."""
    levels = read_photo(plane).pixels  # [H, W, 3]
    return levels if rgb else levels[:, :, : plane.shape[2]]


def _channels_last(array: np.ndarray, layout: str | None, *, prefer_first: bool) -> np.ndarray:
    """Map [H, W], [H, W, C] or [C, H, W] to [H, W, C]."""
    if array.ndim == 2:
        return array[:, :, None]
    axes = {CHANNELS_FIRST: 0, CHANNELS_LAST: -1}
    order = (CHANNELS_FIRST, CHANNELS_LAST) if prefer_first else (CHANNELS_LAST, CHANNELS_FIRST)
    wanted = order if layout is None else (layout,)
    fitting = [w for w in wanted if array.ndim == 3 and array.shape[axes[w]] in _CHANNELS]
    if not fitting:
        raise InvalidImage(
            f"{_NAME}: expected shape [H, W], [H, W, C] or [C, H, W] with 1, 3 or 4 channels"
            f"{'' if layout is None else f', {layout}'}; got {array.shape}"
        )
    turned: np.ndarray = array.transpose(1, 2, 0) if fitting[0] == CHANNELS_FIRST else array
    return turned


def _eight_bit(array: np.ndarray) -> np.ndarray:
    """Booleans and wide integers as uint8; other types unchanged."""
    if array.dtype.kind == "b":
        levels: np.ndarray = np.where(array, np.uint8(255), np.uint8(0))
        return levels
    if array.dtype.kind == "f":
        _require_unit_range(array)
        return array
    if array.dtype.kind not in "iu" or array.dtype in (np.uint8, np.uint16) or not array.size:
        return array
    low, high = int(array.min()), int(array.max())
    if low < 0 or high > 255:
        raise InvalidImage(f"{_NAME}: {array.dtype} values must lie in 0..255; got [{low}, {high}]")
    return array.astype(np.uint8)


def _require_unit_range(array: np.ndarray) -> None:
    """Refuse 0..255 in floats with the remedy; `read_photo` checks the range itself."""
    if array.size and 1.5 < array.max() <= 255 and array.min() >= 0:
        raise InvalidImage(
            f"{_NAME}: float image must lie in [0, 1]; got [{array.min():.3g}, "
            f"{array.max():.3g}]: divide it by 255, or pass uint8"
        )


def require_layout(key: str, value: object) -> str | None:
    """A layout's name, given as a string or as an enumeration of such strings.

    Raises:
        UsageError: it is no layout.
    """
    name = getattr(value, "value", value)
    if name is not None and name not in LAYOUTS:
        raise UsageError(f"{key}: expected one of {', '.join(LAYOUTS)}; got {value!r}")
    return None if name is None else str(name)
