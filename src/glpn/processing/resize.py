"""Depth maps at another size: bicubic for predictions, nearest for measurements.

Predictions are resized like torch's `F.interpolate(mode="bicubic", align_corners=False)`, with an
equivalent in numpy for machines without torch. Pillow's bicubic filter cannot replace it: it uses
another curve (a = -0.5) and blurs when it shrinks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from glpn.errors import UsageError
from glpn.image.arrays import is_tensor
from glpn.native import enlarge

if TYPE_CHECKING:
    import torch

_STRIP = 2**16  # values resized at a time, so that they stay in the CPU cache
_Taps: TypeAlias = list[tuple[NDArray[np.intp], NDArray[np.floating]]]  # indices and weights
_A = -0.75  # the free parameter of cubic convolution (Keys 1981), the value of torch


def resize_depth(depth: Any, size: tuple[int, int]) -> Any:
    """Bicubic resize of one depth map, clamped to its own minimum and maximum.

    Bicubic curves overshoot at edges and can become negative, hence the clamp.

    Args:
        depth: [H, W], tensor or array of floats.
        size: the new (height, width).

    Returns:
        A map of that size, of the same type and dtype.

    Raises:
        UsageError: the map is not two-dimensional, not of floats or empty, or the size is invalid.
    """
    if min(size) < 1:
        raise UsageError(f"size: expected a positive height and width, got {size}")
    if depth.ndim != 2 or 0 in depth.shape:
        raise UsageError(f"depth: expected shape [H, W], got {tuple(depth.shape)}")
    if is_tensor(depth):
        return _resize_tensor(depth, size)
    if depth.dtype.kind != "f":
        raise UsageError(f"depth: expected floats, got {depth.dtype}")
    return _resize_array(depth, size)


def _resize_tensor(depth: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    import torch
    import torch.nn.functional as F

    if not depth.is_floating_point():
        raise UsageError(f"depth: expected floats, got {depth.dtype}")
    wide = depth.to(torch.promote_types(depth.dtype, torch.float32))
    resized = F.interpolate(wide[None, None], size=size, mode="bicubic", align_corners=False)
    return resized[0, 0].clamp(wide.min(), wide.max()).to(depth.dtype)


def _resize_array(depth: NDArray[np.floating], size: tuple[int, int]) -> NDArray[np.floating]:
    wide = depth.astype(np.promote_types(depth.dtype, np.float32), copy=False)
    height, width = size
    rows = _taps(wide.shape[0], height, wide.dtype)
    columns = _taps(wide.shape[1], width, wide.dtype)
    low, high = wide.min(), wide.max()
    larger = height > wide.shape[0]
    finite = np.isfinite(low) and np.isfinite(high)
    if larger and finite and wide.dtype == np.float32 and enlarge.available():
        return enlarge.enlarged(wide, rows, columns, (low, high)).astype(depth.dtype, copy=False)
    resized = np.empty(size, wide.dtype)
    if larger:  # gathering along rows is slow, so do it on the few old rows
        wide, columns = _widened(wide, columns, np.empty((wide.shape[0], width), wide.dtype)), []
    step = max(_STRIP // max(width, wide.shape[1]), 1)
    for start in range(0, height, step):
        strip = slice(start, start + step)
        taps = [(index[strip], weight[strip, None]) for index, weight in rows]
        if columns:
            lines = np.empty((len(resized[strip]), wide.shape[1]), wide.dtype)
            _widened(_blended(wide, taps, lines, axis=0), columns, resized[strip])
        else:
            _blended(wide, taps, resized[strip], axis=0)
        np.clip(resized[strip], low, high, out=resized[strip])
    return resized.astype(depth.dtype, copy=False)


def _widened(
    lines: NDArray[np.floating], columns: _Taps, out: NDArray[np.floating]
) -> NDArray[np.floating]:
    """Resize rows from the old to the new width, into `out`: [s, w] → [s, W]."""
    step = max(_STRIP // out.shape[1], 1)
    for start in range(0, len(lines), step):
        strip = slice(start, start + step)
        _blended(lines[strip], columns, out[strip], axis=1)
    return out


def _blended(
    lines: NDArray[np.floating], taps: _Taps, out: NDArray[np.floating], *, axis: int
) -> NDArray[np.floating]:
    """The weighted sum of the four neighbours along an axis, in the order of `taps`."""
    term = np.empty_like(out)
    for k, (index, weight) in enumerate(taps):
        into = term if k else out
        lines.take(index, axis=axis, out=into, mode="clip")  # other modes gather into a copy
        into *= weight
        if k:
            out += term
    return out


def _taps(old: int, new: int, dtype: DTypeLike) -> _Taps:
    """The index in the old line and the weight of each of the four neighbours, per new pixel."""
    centres = (np.arange(new) + 0.5) * (old / new) - 0.5
    first = np.floor(centres).astype(np.intp)
    t = centres - first  # the distance to the inner neighbour on the left
    weights = (_outer(1 + t), _inner(t), _inner(1 - t), _outer(2 - t))
    return [
        ((first + offset).clip(0, old - 1), weight.astype(dtype))  # edges are repeated
        for offset, weight in zip((-1, 0, 1, 2), weights, strict=True)
    ]


def _inner(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys' kernel for distances 0 to 1 (1981, equation 4, in terms of a)."""
    return ((_A + 2) * x - (_A + 3)) * x * x + 1


def _outer(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys' kernel for distances 1 to 2."""
    return ((_A * x - 5 * _A) * x + 8 * _A) * x - 4 * _A


def nearest(values: NDArray[np.floating], size: tuple[int, int]) -> NDArray[np.floating]:
    """Each pixel of the result is the one under its centre: [H, W] → [h, w]."""
    rows, columns = (
        ((np.arange(new) + 0.5) * (old / new)).astype(np.intp)
        for new, old in zip(size, values.shape, strict=True)
    )
    sampled: NDArray[np.floating] = values[rows[:, None], columns]
    return sampled
