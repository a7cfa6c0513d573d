"""The network's head as a small compiled kernel: the decoder's quarter-size map in, metres out.

Two bilinear doublings, conv 3×3, ReLU, conv 3×3 to one channel, the sigmoid and the scale in one
pass that stays in the cache; see `head.c`. It needs only arrays, so it can follow the trunk of any
engine. If glpn was built without a compiler, there is no library: `available()` is False, and
callers run `network/head.py`.
"""

from __future__ import annotations

import ctypes
import functools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glpn.errors import UsageError
from glpn.native import library

CHANNEL_MULTIPLE = 8  # the kernel runs where decoder_hidden_size is a multiple of this

LIBRARY = library.path("head")

_LANES = (4, 8, 16)  # floats in a vector of each clone in head.c
_DOT_STRIDE = 16  # defined in head.c


@dataclass(frozen=True, eq=False)
class HeadWeights:
    """The head's weights in the kernel's layout; `of` builds them from the two convolutions.

    Attributes:
        taps: [C, 9·C], the first convolution's taps as one matrix: in, then tap and out.
        bias1: [C] of the first convolution.
        dots: [C, 16], the second convolution's taps, nine used.
        bias2: of the second convolution.
        max_depth: metres at the sigmoid's 1.
    """

    taps: NDArray[np.float32]
    bias1: NDArray[np.float32]
    dots: NDArray[np.float32]
    bias2: float
    max_depth: float

    def __post_init__(self) -> None:
        channels = self.bias1.size
        if channels == 0 or channels % CHANNEL_MULTIPLE:
            raise UsageError(
                f"native head: expected a multiple of {CHANNEL_MULTIPLE} channels, got {channels}"
            )
        _require("taps", self.taps, (channels, 9 * channels))
        _require("bias1", self.bias1, (channels,))
        _require("dots", self.dots, (channels, _DOT_STRIDE))

    @classmethod
    def of(
        cls,
        weight1: NDArray[np.float32],
        bias1: NDArray[np.float32],
        weight2: NDArray[np.float32],
        bias2: NDArray[np.float32],
        *,
        max_depth: float,
    ) -> HeadWeights:
        """Build the weights from the two convolutions of a checkpoint.

        Args:
            weight1: [C, C, 3, 3], out then in, C a multiple of `CHANNEL_MULTIPLE`.
            bias1: [C].
            weight2: [1, C, 3, 3].
            bias2: [1].
            max_depth: metres at the sigmoid's 1.

        Raises:
            UsageError: a shape or a type does not fit.
        """
        channels = bias1.size
        _require("weight1", weight1, (channels, channels, 3, 3), contiguous=False)
        _require("weight2", weight2, (1, channels, 3, 3), contiguous=False)
        _require("bias2", bias2, (1,))
        dots = np.zeros((channels, _DOT_STRIDE), np.float32)
        dots[:, :9] = weight2.reshape(channels, 9)
        taps = weight1.transpose(1, 2, 3, 0).reshape(channels, 9 * channels)
        return cls(
            taps=np.ascontiguousarray(taps),
            bias1=np.array(bias1),
            dots=dots,
            bias2=float(bias2[0]),
            max_depth=float(max_depth),
        )


class _Job(ctypes.Structure):
    """`struct glpn_head_job` of head.c."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("features", "taps", "bias1")),
        *((name, ctypes.c_void_p) for name in ("dots", "out", "workspace")),
        ("height", ctypes.c_int64),
        ("width", ctypes.c_int64),
        ("channels", ctypes.c_int64),
        ("strides", ctypes.c_int64 * 3),
        ("first", ctypes.c_int64),
        ("last", ctypes.c_int64),
        ("bias2", ctypes.c_float),
        ("max_depth", ctypes.c_float),
        ("bfloat16", ctypes.c_int32),
        ("clone", ctypes.c_int32),
    )


def available() -> bool:
    """Whether the compiled kernel is installed."""
    return _library() is not None


def clones() -> int:
    """The number of clones that this CPU can run; they are ordered by instruction set."""
    return int(_library().glpn_head_clones()) if available() else 0


def depth_head(
    features: NDArray[np.generic], weights: HeadWeights, *, threads: int, clone: int | None = None
) -> NDArray[np.float32]:
    """The whole head: the decoder's quarter-size map, after fusion and before doubling, → metres.

    Args:
        features: [B, h, w, C] with any strides (a transposed [B, C, h, w] works), float32, or
            bfloat16 viewed as uint16.
        weights: weights of the two convolutions.
        threads: number of threads; the result is bit-identical for any number.
        clone: index of the clone to run, below `clones()`; the fastest if None.

    Returns:
        Metres, float32 [B, 4h, 4w]. NaN in the features stays NaN.

    Raises:
        UsageError: there is no library, or a shape, a type or a number does not fit.
    """
    channels = weights.bias1.size
    _require_features(features, channels)
    if threads < 1:
        raise UsageError(f"threads: expected at least 1, got {threads}")
    clone = _clone(channels, clone)
    batch, height, width, _ = features.shape
    depth = np.empty((batch, 4 * height, 4 * width), np.float32)
    rows = [height * i // threads for i in range(threads + 1)]
    bands = [
        _Job(
            features=features[image].ctypes.data,
            taps=weights.taps.ctypes.data,
            bias1=weights.bias1.ctypes.data,
            dots=weights.dots.ctypes.data,
            out=depth[image].ctypes.data,
            height=height,
            width=width,
            channels=channels,
            strides=tuple(stride // features.itemsize for stride in features.strides[1:]),
            first=first,
            last=last,
            bias2=weights.bias2,
            max_depth=weights.max_depth,
            bfloat16=features.dtype == np.uint16,
            clone=clone,
        )
        for image in range(batch)
        for first, last in pairwise(rows)
        if first < last
    ]
    if threads == 1:
        for band in bands:
            _run(band)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(_run, bands))
    return depth


def _run(band: _Job) -> None:
    """Compute one band of rows in its own memory."""
    kernel = _library()
    floats = kernel.glpn_head_workspace(band.width, band.channels)
    workspace = np.empty(floats, np.float32)
    band.workspace = workspace.ctypes.data
    kernel.glpn_head(ctypes.byref(band))  # ctypes releases the interpreter lock


def _clone(channels: int, wanted: int | None) -> int:
    """The clone to run: its vectors must divide the channels."""
    fitting = [i for i in range(clones()) if channels % _LANES[i] == 0]
    if not fitting:
        raise UsageError("native head: glpn was built without a compiler: see native.available()")
    if wanted is not None and wanted not in fitting:
        raise UsageError(f"clone: expected one of {fitting} for {channels} channels, got {wanted}")
    return fitting[-1] if wanted is None else wanted


def _require_features(features: NDArray[np.generic], channels: int) -> None:
    if not isinstance(features, np.ndarray) or features.dtype not in (np.float32, np.uint16):
        got = getattr(features, "dtype", type(features).__name__)
        raise UsageError(f"features: expected float32, or bfloat16 as uint16; got {got}")
    shape = features.shape
    if len(shape) != 4 or shape[3] != channels or 0 in shape[1:]:
        raise UsageError(
            f"features: expected shape [batch, height, width, {channels}], got {list(shape)}"
        )
    if not features.flags.aligned:
        raise UsageError("features: expected an array that is aligned in memory")


def _require(
    name: str, array: NDArray[np.generic], shape: tuple[int, ...], *, contiguous: bool = True
) -> None:
    """Refuse an array that is not float32 of this shape."""
    if not isinstance(array, np.ndarray) or array.dtype != np.float32 or array.shape != shape:
        got = f"{getattr(array, 'dtype', type(array).__name__)} {list(np.shape(array))}"
        raise UsageError(f"{name}: expected float32 {list(shape)}, got {got}")
    if contiguous and not array.flags.c_contiguous:
        raise UsageError(f"{name}: expected a contiguous array")


@functools.cache
def _library() -> Any:
    """The compiled kernel, or None."""
    loaded = library.load(LIBRARY, "head", _Job)
    if loaded is not None:
        loaded.glpn_head_workspace.argtypes = (ctypes.c_int64, ctypes.c_int64)
        loaded.glpn_head_workspace.restype = ctypes.c_int64
    return loaded
