"""Resize a photo to the network's input with a small compiled kernel; see `shrink.c`.

The result is bit-identical to Pillow's bilinear filter, which replaces the kernel in builds without
a compiler.
"""

from __future__ import annotations

import ctypes
import functools
import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from glpn.errors import UsageError
from glpn.native import library

_BITS = 22  # bits of a weight, as in Pillow
_MAX_SHRINK = 8000  # old pixels per new one; above it, rounded weights may add a whole level


class _Job(ctypes.Structure):
    """`struct glpn_shrink_job` of shrink.c."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("image", "column_first", "column_count")),
        *((name, ctypes.c_void_p) for name in ("column_weight", "row_first", "row_count")),
        *((name, ctypes.c_void_p) for name in ("row_weight", "values", "out", "workspace")),
        ("height", ctypes.c_int64),
        ("width", ctypes.c_int64),
        ("new_height", ctypes.c_int64),
        ("new_width", ctypes.c_int64),
        ("column_taps", ctypes.c_int64),
        ("row_taps", ctypes.c_int64),
        ("clone", ctypes.c_int32),
    )


class _Taps(NamedTuple):
    """For each of n new pixels: the first old pixel [n], their number [n], their weights [n, k]."""

    first: NDArray[np.int32]
    number: NDArray[np.int32]
    weight: NDArray[np.int32]


def available() -> bool:
    """Whether the compiled kernel is installed."""
    return _library() is not None


def clones() -> int:
    """The number of clones that this CPU can run; see `glpn.native.clones`."""
    return int(_library().glpn_shrink_clones()) if available() else 0


def supports(image: NDArray[np.uint8], size: tuple[int, int]) -> bool:
    """Whether the kernel is installed and equals every version of Pillow for these sizes.

    From version 13 on, Pillow resizes columns first if it removes more than twice as many rows as
    columns, and then rounds differently.
    """
    if max(image.shape[0] / size[0], image.shape[1] / size[1]) > _MAX_SHRINK:
        return False
    fewer_rows, fewer_columns = image.shape[0] - size[0], image.shape[1] - size[1]
    return available() and not fewer_rows > max(0, 2 * fewer_columns)


def network_input(
    image: NDArray[np.uint8],
    size: tuple[int, int],
    values: NDArray[np.float32],
    *,
    clone: int | None = None,
) -> NDArray[np.float32]:
    """Resize like Pillow's `Image.resize(..., BILINEAR)`, then map every level by a table.

    Args:
        image: RGB uint8 [H, W, 3].
        size: the new (height, width).
        values: float32 [3, 256], the number for each level of a channel.
        clone: index of the clone to run, below `clones()`; the fastest if None.

    Returns:
        float32 [3, height, width].

    Raises:
        UsageError: the image has another type or shape; the kernel would read its bytes as levels.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        got = f"{image.dtype} {list(image.shape)}"
        raise UsageError(f"image: expected uint8 [H, W, 3], got {got}")
    image = np.ascontiguousarray(image)
    values = np.ascontiguousarray(values, np.float32)
    rows = _taps(image.shape[0], size[0])
    columns = _taps(image.shape[1], size[1])
    out = np.empty((3, *size), np.float32)
    row_taps = rows.weight.shape[1]
    kernel = _library()
    workspace = np.empty(kernel.glpn_shrink_workspace(size[1], row_taps), np.uint8)
    job = _Job(
        image=image.ctypes.data,
        column_first=columns.first.ctypes.data,
        column_count=columns.number.ctypes.data,
        column_weight=columns.weight.ctypes.data,
        row_first=rows.first.ctypes.data,
        row_count=rows.number.ctypes.data,
        row_weight=rows.weight.ctypes.data,
        values=values.ctypes.data,
        out=out.ctypes.data,
        workspace=workspace.ctypes.data,
        height=image.shape[0],
        width=image.shape[1],
        new_height=size[0],
        new_width=size[1],
        column_taps=columns.weight.shape[1],
        row_taps=row_taps,
        clone=clones() - 1 if clone is None else clone,
    )
    kernel.glpn_shrink(ctypes.byref(job))  # ctypes releases the interpreter lock
    return out


@functools.lru_cache(maxsize=64)
def _taps(old: int, new: int) -> _Taps:
    """Pillow's `precompute_coeffs` and `normalize_coeffs_8bpc` for the triangle filter.

    Sums run in Pillow's order, so the weights are equal to the last bit.
    """
    scale = old / new
    support = max(scale, 1.0)
    centre = (np.arange(new) + 0.5) * scale
    first = np.maximum((centre - support + 0.5).astype(np.int64), 0)
    count = np.minimum((centre + support + 0.5).astype(np.int64), old) - first
    weight = np.zeros((new, 2 * math.ceil(support) + 1))
    total = np.zeros(new)
    for k in range(weight.shape[1]):
        distance = np.abs((first + k - centre + 0.5) * (1 / support))
        weight[:, k] = np.where((k < count) & (distance < 1), 1 - distance, 0)
        total += weight[:, k]
    weight /= total[:, None]
    whole = (weight * (1 << _BITS) + 0.5).astype(np.int32)
    return _Taps(first.astype(np.int32), count.astype(np.int32), whole)


@functools.cache
def _library() -> Any:
    loaded = library.load(library.path("shrink"), "shrink", _Job)
    if loaded is not None:
        loaded.glpn_shrink_workspace.argtypes = (ctypes.c_int64, ctypes.c_int64)
        loaded.glpn_shrink_workspace.restype = ctypes.c_int64
    return loaded
