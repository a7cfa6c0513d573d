"""Resize a map to a larger size with a small compiled kernel; see `enlarge.c`.

The result is bit-identical to that of `glpn.processing.resize`, which replaces the kernel in builds
without a compiler.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from glpn.native import library

Taps: TypeAlias = Sequence[
    tuple[NDArray[np.intp], NDArray[np.generic]]
]  # indices and weights, four
_TAPS = 4


class _Job(ctypes.Structure):
    """`struct glpn_enlarge_job` of enlarge.c."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("map", "column_at", "column_weight")),
        *((name, ctypes.c_void_p) for name in ("row_at", "row_weight", "out", "workspace")),
        ("width", ctypes.c_int64),
        ("new_height", ctypes.c_int64),
        ("new_width", ctypes.c_int64),
        ("low", ctypes.c_float),
        ("high", ctypes.c_float),
        ("clone", ctypes.c_int32),
    )


def available() -> bool:
    """Whether the compiled kernel is installed."""
    return _library() is not None


def clones() -> int:
    """The number of clones that this CPU can run; see `glpn.native.clones`."""
    return int(_library().glpn_enlarge_clones()) if available() else 0


def enlarged(
    values: NDArray[np.float32],
    rows: Taps,
    columns: Taps,
    limits: tuple[float, float],
    *,
    clone: int | None = None,
) -> NDArray[np.float32]:
    """Blend the four neighbours of every new pixel along columns, then along rows, and clamp.

    Args:
        values: float32 [h, w], finite.
        rows: four pairs of the old row of each new row [H], in ascending order, and its
            weight [H].
        columns: the same for columns, [W].
        limits: the smallest and the largest result.
        clone: index of the clone to run, below `clones()`; the fastest if None.

    Returns:
        float32 [H, W].
    """
    values = np.ascontiguousarray(values, np.float32)
    row_at, column_at = (
        np.stack([index for index, _ in t]).astype(np.int32) for t in (rows, columns)
    )
    row_weight, column_weight = (
        np.stack([weight for _, weight in t]).astype(np.float32) for t in (rows, columns)
    )
    size = row_at.shape[1], column_at.shape[1]
    out = np.empty(size, np.float32)
    workspace = np.empty((_TAPS, size[1]), np.float32)
    job = _Job(
        map=values.ctypes.data,
        column_at=column_at.ctypes.data,
        column_weight=column_weight.ctypes.data,
        row_at=row_at.ctypes.data,
        row_weight=row_weight.ctypes.data,
        out=out.ctypes.data,
        workspace=workspace.ctypes.data,
        width=values.shape[1],
        new_height=size[0],
        new_width=size[1],
        low=limits[0],
        high=limits[1],
        clone=clones() - 1 if clone is None else clone,
    )
    _library().glpn_enlarge(ctypes.byref(job))  # ctypes releases the interpreter lock
    return out


@functools.cache
def _library() -> Any:
    return library.load(library.path("enlarge"), "enlarge", _Job)
