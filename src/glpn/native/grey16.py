"""Metres as the filtered rows of a 16-bit PNG by a small compiled kernel; see `grey16.c`.

The bytes are those of `glpn.files.rasters`, which makes them where no compiler was at hand.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glpn.native import library


class _Job(ctypes.Structure):
    """`struct glpn_grey16_job` of grey16.c."""

    _fields_ = (
        ("metres", ctypes.c_void_p),
        ("out", ctypes.c_void_p),
        ("rows", ctypes.c_void_p),
        ("height", ctypes.c_int64),
        ("width", ctypes.c_int64),
        ("scale", ctypes.c_double),
        ("least", ctypes.c_int32),
        ("clone", ctypes.c_int32),
    )


def available() -> bool:
    """Whether the compiled kernel is here."""
    return _library() is not None


def clones() -> int:
    """How many of the kernel's clones can run here; see `glpn.native.clones`."""
    return int(_library().glpn_grey16_clones()) if available() else 0


def filtered_rows(
    metres: NDArray[np.float32], scale: float, *, least: int, clone: int | None = None
) -> NDArray[np.uint8]:
    """Rows of units, high byte first, each after its filter's number and less the row above.

    Args:
        metres: float32 [H, W], at least 0 and below 65535.5 / scale.
        scale: units per metre.
        least: units of what is more than 0 metres.
        clone: which of the `clones()` runs; the fastest if None.

    Returns:
        uint8 [H, 1 + 2 W].
    """
    metres = np.ascontiguousarray(metres, np.float32)
    height, width = metres.shape
    out = np.empty((height, 1 + 2 * width), np.uint8)
    rows = np.zeros((2, width), np.uint16)
    job = _Job(
        metres=metres.ctypes.data,
        out=out.ctypes.data,
        rows=rows.ctypes.data,
        height=height,
        width=width,
        scale=scale,
        least=least,
        clone=clones() - 1 if clone is None else clone,
    )
    _library().glpn_grey16(ctypes.byref(job))  # ctypes lets other Python threads run meanwhile
    return out


@functools.cache
def _library() -> Any:
    return library.load(library.path("grey16"), "grey16", _Job)
