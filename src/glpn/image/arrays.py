"""Converts arrays and tensors to RGB uint8 [H, W, 3]; `photo.py` states the rules."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from os import PathLike
from typing import TYPE_CHECKING, TypeGuard

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glpn.errors import InvalidImage
from glpn.image.limits import ImageLimits

if TYPE_CHECKING:
    from torch import Tensor

_FLOAT_TOLERANCE = 1e-6  # x / 255 in float32 may round to this much outside 0..1


def is_many(images: object) -> bool:
    """Whether the argument is a collection of photos rather than one."""
    if isinstance(images, (str, bytes, bytearray, memoryview, PathLike, np.ndarray, Image.Image)):
        return False
    if hasattr(images, "read") or hasattr(images, "__array__"):
        return False
    return isinstance(images, Iterable)


def is_tensor(source: object) -> TypeGuard[Tensor]:
    """Whether this is a torch tensor; does not import torch."""
    torch = sys.modules.get("torch")  # imported already if there is a tensor
    return torch is not None and isinstance(source, torch.Tensor)


def tensor_as_array(tensor: Tensor, name: str) -> NDArray[np.generic]:
    """A tensor of any device and type as an array; bfloat16 becomes float32."""
    tensor = tensor.detach()
    if tensor.is_floating_point():
        tensor = tensor.float()  # numpy has no bfloat16
    try:
        array: NDArray[np.generic] = tensor.cpu().numpy()
    except (TypeError, RuntimeError) as e:
        raise InvalidImage(f"{name}: a tensor that cannot become an array: {e}") from None
    return array


def unmasked(array: NDArray[np.generic], name: str) -> NDArray[np.generic]:
    """Return a plain array; one with masked pixels is rejected, because the mask would be lost."""
    if isinstance(array, np.ma.MaskedArray) and np.ma.is_masked(array):
        raise InvalidImage(f"{name}: a masked array; fill the masked pixels first")
    return np.asarray(array)


def from_array(
    array: NDArray[np.generic], name: str, limits: ImageLimits, *, channels_first: bool = False
) -> NDArray[np.uint8]:
    """Copy [H, W], [H, W, C] or [C, H, W] to [H, W, 3]; `channels_first` decides if both fit."""
    shape = array.shape
    ends = [axis for axis in (-1, 0) if array.ndim == 3 and shape[axis] in (1, 3, 4)]
    if array.ndim == 2:
        array = array[:, :, None]
    elif not ends:
        raise InvalidImage(
            f"{name}: expected shape [H, W], [H, W, C] or [C, H, W] with 1, 3 or 4 channels, "
            f"got {shape}"
        )
    elif ends == [0] or (channels_first and 0 in ends):
        array = np.moveaxis(array, 0, -1)
    height, width, _ = array.shape
    if 0 in array.shape:
        raise InvalidImage(f"{name}: the array has no pixels: shape {shape}")
    limits.require(width, height, name=name, jpeg=True)
    levels = _levels(array, name)[:, :, :3]  # without alpha
    return np.array(np.broadcast_to(levels, (height, width, 3)), order="C")


def _levels(array: NDArray[np.generic], name: str) -> NDArray[np.uint8]:
    """Map values of any accepted type to 0..255."""
    kind = array.dtype.kind
    if array.dtype == np.uint8:
        return array.view(np.uint8)
    if kind == "u" and array.dtype.itemsize == 2:
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)  # round(v / 257)
    if kind == "b":  # as Pillow reads pictures of one bit
        black_and_white: NDArray[np.uint8] = array.astype(np.uint8) * np.uint8(255)
        return black_and_white
    if kind not in "iuf":
        raise InvalidImage(f"{name}: expected integer or float values, got dtype {array.dtype}")
    low, high = float(array.min()), float(array.max())
    if kind in "iu":
        if not 0 <= low <= high <= 255:
            raise InvalidImage(
                f"{name}: {array.dtype} image must lie in [0, 255]; got [{low:.6g}, {high:.6g}]"
            )
        return array.astype(np.uint8)
    if not (low >= -_FLOAT_TOLERANCE and high <= 1 + _FLOAT_TOLERANCE):  # false for NaN too
        raise InvalidImage(f"{name}: float image must lie in [0, 1]; got [{low:.3g}, {high:.3g}]")
    levels: NDArray[np.generic] = array.astype(np.float32, copy=False).clip(0, 1) * 255
    return np.asarray(levels.round(), np.uint8)
