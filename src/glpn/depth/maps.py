"""The arrays of a `Depth`: checked, read-only, and sigma computed when it is first read."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from glpn.errors import DataError

if TYPE_CHECKING:
    from glpn.depth.depth import Depth

_T = TypeVar("_T", bound=np.generic)


class SigmaField:
    """The field `Depth.sigma`: the given map, or one from the measured errors when first read.

    Most depths are never asked for their sigma, and a 12-megapixel map of it takes 0.1 s.
    """

    def __get__(self, depth: Depth | None, owner: object = None) -> NDArray[np.float32] | None:
        if depth is None:
            return None  # the field's default
        if depth.given_sigma is not None or depth.errors is None:
            return depth.given_sigma
        values = vars(depth)
        if "_measured_sigma" not in values:
            values["_measured_sigma"] = read_only(depth.errors.sigma(depth.metres))
        sigma: NDArray[np.float32] = values["_measured_sigma"]
        return sigma

    def __set__(self, depth: Depth, value: NDArray[np.float32] | None) -> None:
        vars(depth)["_given_sigma"] = value


def metres_map(name: str, values: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return a read-only map [H, W] of finite metres of at least 0."""
    mask = getattr(values, "mask", None)  # without loading numpy.ma
    if isinstance(mask, np.ndarray) and mask.any():
        raise DataError(f"{name}: a masked array; fill its masked pixels with 0, which is unknown")
    metres = np.ascontiguousarray(values, np.float32)
    if metres.ndim != 2 or metres.size == 0:
        raise DataError(f"{name}: expected shape [height, width], got {list(metres.shape)}")
    low, high = float(metres.min()), float(metres.max())
    if not 0 <= low <= high < math.inf:
        raise DataError(f"{name}: expected finite metres of at least 0, got {low} to {high}")
    return read_only(metres)


def read_only(array: NDArray[_T]) -> NDArray[_T]:
    """A view of an array that cannot be written."""
    view: NDArray[_T] = array.view()
    view.flags.writeable = False
    return view
