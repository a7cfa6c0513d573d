"""Reads depth files as float32 metres: PNG, TIFF, PGM, PFM, NPY, NPZ and EXR."""

from __future__ import annotations

import tokenize
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from glpn.errors import DataError, MissingDependency, MissingInput, UsageError, reason
from glpn.files.exr_writer import require_decodable

SUFFIXES = (".png", ".tif", ".tiff", ".pgm", ".pfm", ".npy", ".npz", ".exr")
UNITS = {"m": 1.0, "dm": 10.0, "cm": 100.0, "mm": 1000.0}  # raw steps per metre
KITTI_SCALE = 256.0  # Uhrig et al. 2017: depth PNG = metres * 256
# CARLA's depth camera: 1000 m * (R + 256 G + 65536 B) / (256^3 - 1).
CARLA_SCALE = (256**3 - 1) / 1000
ENCODINGS = ("plain", "sunrgbd", "carla")
PLAUSIBLE_MEDIAN = (0.1, 200.0)  # metres; a median outside means that the unit is wrong
LARGEST_DEPTH_MAP = 100_000_000  # pixels; glpn rejects larger headers as an attack

_MODES_16 = ("I;16", "I;16B", "I;16L", "I;16N", "I")
# What NumPy, Pillow and zipfile raise for damaged files; NumPy tokenizes the header of an array.
UNREADABLE = (
    OSError,
    ValueError,
    EOFError,
    SyntaxError,
    tokenize.TokenError,
    zipfile.BadZipFile,
)
_NO_GUESS = ": its scale cannot be guessed; give scale and offset"
_EXR_CHANNELS = ("Z", "depth", "Depth", "Y", "V", "R")  # preferred first


@dataclass(frozen=True)
class DepthFormat:
    """The meaning of a depth file's raw values: metres = (raw + offset) / scale.

    Attributes:
        scale: raw steps per metre; None means unknown, and `scales.guess_scale` finds it.
        offset: added to raw values.
        invalid: raw values that mean "unknown". Values that are not finite and metres outside
            (0, max_depth] are unknown as well. All of them read as 0.
        max_depth: metres.
        encoding: "sunrgbd" rotates each 16-bit value right by three bits first (Song et al. 2015);
            "carla" joins the channels of an RGB file (see CARLA_SCALE).
        key: the array of an NPZ file or the channel of an EXR file, if there are several.
    """

    scale: float | None = None
    offset: float = 0.0
    invalid: tuple[float, ...] = (0.0,)
    max_depth: float | None = None
    encoding: str = "plain"
    key: str | None = None

    def __post_init__(self) -> None:
        if self.scale is not None and not (np.isfinite(self.scale) and self.scale > 0):
            raise UsageError(f"depth scale: expected a positive number, got {self.scale}")
        if not np.isfinite(self.offset):
            raise UsageError(f"depth offset: expected a finite number, got {self.offset}")
        if self.max_depth is not None and not self.max_depth > 0:
            raise UsageError(f"max_depth: expected a positive number, got {self.max_depth}")
        if self.encoding not in ENCODINGS:
            wanted = ", ".join(ENCODINGS)
            raise UsageError(f"encoding: expected one of {wanted}; got {self.encoding!r}")


def read_depth_map(path: str | Path, form: DepthFormat) -> NDArray[np.float32]:
    """Metres [H, W] of one depth file, 0 where unknown.

    Raises:
        MissingInput: there is no such file.
        DataError: it is damaged, has several channels, or is 8-bit; the message names its mode.
        MissingDependency: it is EXR and OpenEXR is not installed.
    """
    return to_metres(read_raw(path, form), form)


def to_metres(raw: np.ndarray, form: DepthFormat) -> NDArray[np.float32]:
    """Map raw values [H, W] to float32 metres, by `form`, which must have a scale."""
    if form.scale is None:
        raise UsageError("the depth scale is unknown; give one or guess it first")
    known = _known(raw, form)
    metres = (np.where(known, raw, 0).astype(np.float64) + form.offset) / form.scale
    known &= metres > 0
    if form.max_depth is not None:
        known &= metres <= form.max_depth
    return np.where(known, metres, 0).astype(np.float32)


def read_raw(path: str | Path, form: DepthFormat) -> np.ndarray:
    """The stored values of a depth file [H, W], decoded but not converted."""
    path = Path(path)
    depth_size(path, form)
    try:
        raw = _decode(path, form)
    except UNREADABLE as e:
        if isinstance(e, DataError | MissingInput | MissingDependency):
            raise
        raise DataError(f"{path}: damaged depth file: {reason(e)}") from None
    if raw.dtype == bool or raw.dtype.kind not in "uif":
        raise DataError(f"{path}: expected numbers, got {raw.dtype}")
    if raw.dtype.itemsize == 1 and form.scale is None:
        raise DataError(f"{path}: 8-bit depth ({raw.dtype}){_NO_GUESS}")
    if form.encoding == "sunrgbd":
        if raw.dtype.itemsize > 2 and raw.max(initial=0) <= 0xFFFF:
            raw = raw.astype(np.uint16)
        raw = ((raw >> 3) | (raw << 13)).astype(np.uint16)
    return raw


def depth_size(path: str | Path, form: DepthFormat) -> tuple[int, int]:
    """(height, width) from the file's header; the pixels are not decoded.

    Raises:
        MissingInput, DataError, MissingDependency: as `read_depth_map`.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingInput(f"{path}: no such depth file")
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(f"{path}: expected a depth file ({', '.join(SUFFIXES)}), got {suffix!r}")
    try:
        shape = _shape(path, form)
    except UNREADABLE as e:
        if isinstance(e, DataError | MissingDependency) and str(path) in str(e):
            raise
        raise DataError(f"{path}: not a readable depth file: {e}") from None
    return _checked(path, shape)


def implausible_unit(metres: Sequence[NDArray[np.float32]]) -> str | None:
    """A warning if the median of the valid depths is outside 0.1-200 m."""
    values = np.concatenate([m[m > 0] for m in metres]) if metres else np.zeros(0)
    if not values.size:
        return None
    median = float(np.median(values))
    low, high = PLAUSIBLE_MEDIAN
    if low <= median <= high:
        return None
    return f"median depth {median:.4g} m is outside {low:g}-{high:g} m: is the unit right?"


def known_values(raw: np.ndarray, form: DepthFormat) -> np.ndarray:
    """The known stored values above 0, as a flat array."""
    with np.errstate(invalid="ignore"):
        return raw[_known(raw, form) & (raw > 0)]


def _known(raw: np.ndarray, form: DepthFormat) -> NDArray[np.bool_]:
    known: NDArray[np.bool_] = np.isfinite(raw)
    for value in form.invalid:
        known &= raw != value
    return known


def _decode(path: Path, form: DepthFormat) -> np.ndarray:
    suffix = path.suffix.lower()
    if suffix == ".npy":
        array: np.ndarray = np.load(path, allow_pickle=False)
        return _two_axes(array)
    if suffix == ".npz":
        with zipfile.ZipFile(path) as archive, archive.open(_member(path, archive, form)) as file:
            return _two_axes(np.lib.format.read_array(file, allow_pickle=False))
    if suffix == ".exr":
        channels = _open_exr(path, header_only=False).channels()
        return np.asarray(channels[_exr_channel(path, list(channels), form)].pixels)
    with _open_picture(path) as picture:
        if form.encoding == "carla":
            red, green, blue = (
                np.asarray(picture.convert("RGB")).astype(np.int32).transpose(2, 0, 1)
            )
            joined: NDArray[np.int32] = red + 256 * green + 65536 * blue
            return joined
        greatest = _greatest_value(picture)
        values = np.asarray(picture)
        if greatest is None:
            return values
        full = 255 if picture.mode == "L" else 65535
        return np.rint(values * (greatest / full)).astype(values.dtype)


def _greatest_value(picture: ImageFile.ImageFile) -> int | None:
    """The maxval of a PGM that Pillow stretches to 8 or 16 bits; None if it keeps the values."""
    if picture.format != "PPM" or picture.mode not in ("L", "I"):
        return None
    decoder, _, _, options = picture.tile[0]
    return options[-1] if decoder != "raw" and isinstance(options, tuple) else None


def _shape(path: Path, form: DepthFormat) -> tuple[int, ...]:
    suffix = path.suffix.lower()
    if suffix == ".npy":
        with path.open("rb") as file:
            return _npy_shape(file)
    if suffix == ".npz":
        with zipfile.ZipFile(path) as archive, archive.open(_member(path, archive, form)) as file:
            return _npy_shape(file)
    if suffix == ".exr":
        exr = _open_exr(path, header_only=True)
        require_decodable(exr)
        (left, top), (right, bottom) = exr.header()["dataWindow"]
        return int(bottom - top + 1), int(right - left + 1)
    with _open_picture(path) as picture:
        _refuse_mode(path, picture.mode, form)
        return picture.height, picture.width


def _refuse_mode(path: Path, mode: str, form: DepthFormat) -> None:
    if form.encoding == "carla":
        if mode not in ("RGB", "RGBA"):
            raise DataError(f"{path}: encoding carla: expected an RGB file, got mode {mode}")
        return
    if mode in _MODES_16 or mode == "F":
        return
    if mode == "L":
        if form.scale is None:
            raise DataError(f"{path}: 8-bit depth (mode L){_NO_GUESS}")
        return
    hint = ""
    if mode in ("RGB", "RGBA"):
        hint = '; encoding = "carla" reads CARLA\'s depth; false colours cannot be read'
    raise DataError(f"{path}: expected one channel of 16 bits or float, got mode {mode}{hint}")


def _checked(path: Path, shape: tuple[int, ...]) -> tuple[int, int]:
    if len(shape) == 3 and 1 in (shape[0], shape[2]):
        shape = shape[1:] if shape[0] == 1 else shape[:2]
    if len(shape) != 2 or 0 in shape:
        raise DataError(f"{path}: expected a depth map [H, W], got shape {shape}")
    if shape[0] * shape[1] > LARGEST_DEPTH_MAP:
        raise DataError(f"{path}: {shape[1]}x{shape[0]} is above {LARGEST_DEPTH_MAP:,} pixels")
    return shape[0], shape[1]


def _two_axes(array: np.ndarray) -> np.ndarray:
    """Map [1, H, W] or [H, W, 1] to [H, W]."""
    if array.ndim == 3:
        return array[0] if array.shape[0] == 1 else array[..., 0]
    return array


def _open_picture(path: Path) -> ImageFile.ImageFile:
    return Image.open(path, formats=("PNG", "TIFF", "PPM"))


def _npy_shape(file: IO[bytes]) -> tuple[int, ...]:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    else:
        shape, _, dtype = np.lib.format.read_array_header_2_0(file)
    if dtype.hasobject:
        raise ValueError("an array of Python objects")
    return tuple(int(side) for side in shape)


def _member(path: Path, archive: zipfile.ZipFile, form: DepthFormat) -> str:
    names = [name.removesuffix(".npy") for name in archive.namelist()]
    return _choose(path, names, form, ("depth", "metres", "arr_0")) + ".npy"


def _exr_channel(path: Path, names: list[str], form: DepthFormat) -> str:
    return _choose(path, names, form, _EXR_CHANNELS)


def _choose(path: Path, names: list[str], form: DepthFormat, usual: tuple[str, ...]) -> str:
    wanted = (form.key,) if form.key is not None else usual
    for name in wanted:
        if name in names:
            return name
    if form.key is None and len(names) == 1:
        return names[0]
    raise DataError(f"{path}: expected one of {', '.join(wanted)}; it contains {', '.join(names)}")


def _open_exr(path: Path, *, header_only: bool) -> Any:
    try:
        import OpenEXR
    except ImportError:
        raise MissingDependency(f"{path}: reading EXR needs OpenEXR", extra="train") from None
    try:
        return OpenEXR.File(str(path), separate_channels=True, header_only=header_only)
    except (RuntimeError, TypeError) as e:
        raise DataError(f"{path}: not a readable EXR file: {e}") from None
