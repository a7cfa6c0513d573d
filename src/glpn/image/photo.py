"""Reads any supported source of one photo into a `Photo`: upright RGB uint8 [H, W, 3].

This module contains the rules about photos: which sources are accepted, how each becomes 8-bit RGB,
and which are rejected. `containers.py` takes files apart, `exif.py` reads their EXIF, and
`orientation.py` turns their pixels upright.

- Alpha is dropped, never blended; grey becomes three equal channels; colour profiles are ignored.
- 16-bit values v become round(v / 257), the exact map of 0..65535 onto 0..255. (Pillow keeps only
  the high byte of a 16-bit *colour* file; the result then differs from v / 257 by less than 1, and
  is exact for 0 and 65535.)
- Float values lie in 0..1, integers in 0..255; booleans are black and white. An array is [H, W],
  [H, W, C] or [C, H, W] with 1, 3 or 4 channels. If either the first or the last axis could be
  channels, numpy arrays are read as channels-last and torch tensors as channels-first.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import IO, BinaryIO, Protocol, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glpn.concurrency import StopRequested
from glpn.errors import ImageTooLarge, InvalidImage, MissingInput, UsageError
from glpn.image.arrays import from_array, is_tensor, tensor_as_array, unmasked
from glpn.image.containers import (
    DECODER_ERRORS,
    Decoded,
    MinDecodeSize,
    decode,
    load,
    require_one_frame,
)
from glpn.image.exif import read_exif
from glpn.image.limits import DEFAULT_LIMITS, ImageLimits
from glpn.image.orientation import exif_of_image, turn_upright, upright_size

MAX_FILE_BYTES = DEFAULT_LIMITS.max_bytes

_UNNAMED = "image"


@dataclass(frozen=True, eq=False)
class Photo:
    """One decoded photo.

    Attributes:
        pixels: RGB uint8 [H, W, 3], upright, contiguous, in memory of its own. May be smaller
            than the photo; see `min_decode_size` in `read_photo`.
        name: the photo's name in messages and outputs; for a file, its path.
        focal: focal length in pixels of this photo, from EXIF.
        focal_source: the EXIF tags that `focal` comes from.
        hash: SHA-256 of the file; empty for arrays and Pillow images.
        whole: (height, width) of the full photo, or None if `pixels` is full size.
        exif_size: (height, width), upright, of the picture that the camera stored. It differs
            from `size` after a crop or a resize that kept the EXIF. None if EXIF does not say.
        projection: the panorama's projection (for example "equirectangular"); empty for an
            ordinary photo.
    """

    pixels: NDArray[np.uint8]
    name: str = _UNNAMED
    focal: float | None = None
    focal_source: str | None = None
    hash: str = ""
    whole: tuple[int, int] | None = None
    exif_size: tuple[int, int] | None = None
    projection: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the whole photo."""
        return self.whole or (self.pixels.shape[0], self.pixels.shape[1])


class ArrayLike(Protocol):
    """An array or a tensor: anything that NumPy can read."""

    def __array__(self) -> np.ndarray:
        """The values as a NumPy array."""
        ...


# One photo: a path, encoded bytes, a file object, a PIL image, an array or a tensor.
PhotoSource: TypeAlias = (
    str
    | PathLike[str]
    | bytes
    | bytearray
    | memoryview
    | BinaryIO
    | Image.Image
    | ArrayLike
    | Photo
)


def read_photo(
    source: object,
    *,
    name: str | None = None,
    limits: ImageLimits = DEFAULT_LIMITS,
    min_decode_size: MinDecodeSize | None = None,
) -> Photo:
    """Read one photo.

    Args:
        source: path; bytes, bytearray or memoryview of an image file; binary file object, read to
            its end from its position; PIL image; numpy array or torch tensor, in the layouts
            described in the module docstring; or a Photo, returned unchanged. No source is
            modified.
        name: the photo's name in messages; None means the path or "image".
        limits: see `ImageLimits`; checked before decoding.
        min_decode_size: maps (height, width) to the smallest size needed. A JPEG may then be
            decoded smaller and faster; see `containers.decode`.

    Raises:
        MissingInput: there is no such file, or it cannot be read.
        UnsupportedImage: the format is not supported; the message names it.
        ImageTooLarge: the source exceeds one of the limits.
        InvalidImage: the source is not exactly one valid photo; the message says why.
        UsageError: the source is of a type that never contains a photo.
    """
    if isinstance(source, Photo):
        return source
    called = name if name is not None else _name_of(source)
    shown = display_name(called)
    if isinstance(source, np.ndarray):
        return Photo(from_array(unmasked(source, shown), shown, limits), called)
    if is_tensor(source):
        array = tensor_as_array(source, shown)
        return Photo(from_array(array, shown, limits, channels_first=True), called)
    if isinstance(source, Image.Image):
        image, block = _opened_by_caller(source, shown, limits)
        exif = exif_of_image(read_exif(block), image)
        return _photo(Decoded(image, image.size, exif, ""), called, limits)
    data = read_bytes(source, shown, max_bytes=limits.max_bytes)
    decoded = decode(data, name=shown, limits=limits, min_decode_size=min_decode_size)
    return _photo(decoded, called, limits, hash=hashlib.sha256(data).hexdigest())


def _photo(decoded: Decoded, name: str, limits: ImageLimits, *, hash: str = "") -> Photo:
    """Turn a decoded picture upright and return it as a Photo."""
    image, size, exif, projection = decoded
    focal, focal_source = exif.focal(*size) or (None, None)
    if projection:
        focal = focal_source = None
    pixels = turn_upright(_rgb(image, display_name(name), limits), exif.orientation)
    return Photo(
        pixels=np.array(pixels, order="C"),
        name=name,
        focal=focal,
        focal_source=focal_source,
        hash=hash,
        whole=upright_size(size, exif.orientation) if size != image.size else None,
        exif_size=upright_size(exif.pixel_size, exif.orientation) if exif.pixel_size else None,
        projection=projection,
    )


def display_name(name: str) -> str:
    """Return `name` with non-printable characters escaped, for safe output to a terminal or log."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in name
    )


def _name_of(source: object) -> str:
    if isinstance(source, (str, os.PathLike)):
        return os.fsdecode(source)
    name = getattr(source, "filename" if isinstance(source, Image.Image) else "name", None)
    return os.fsdecode(name) if isinstance(name, (str, os.PathLike)) and name else _UNNAMED


# --- files ---------------------------------------------------------------------------------------


def read_bytes(source: object, name: str, *, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """Read the bytes of a path, a binary file object or a bytes object.

    Raises the same errors as `read_photo`.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        data = bytes(source)
    elif isinstance(source, (str, os.PathLike)):
        path = os.fsdecode(source)
        if not path:  # for `Path` it is the current folder
            raise MissingInput("'': no path")
        data = _read_file(Path(path), name, max_bytes)
    elif hasattr(source, "read"):
        data = _read_stream(cast(IO[bytes], source), name, max_bytes)
    else:
        raise UsageError(
            f"{name}: expected a path, bytes, a binary file, a PIL image, an array or a tensor; "
            f"got {type(source).__name__}"
        )
    if len(data) > max_bytes:
        raise ImageTooLarge(f"{name}: the file is larger than {max_bytes / 2**20:g} MiB")
    return data


def _read_file(path: Path, name: str, max_bytes: int) -> bytes:
    """Read a regular file; anything else is rejected without opening it."""
    try:
        _require_regular(os.stat(path), name)
        # If the file is replaced by a FIFO meanwhile, opening it must not block.
        descriptor = os.open(path, os.O_RDONLY | _NON_BLOCKING)
        with open(descriptor, "rb") as file:
            _require_regular(os.fstat(descriptor), name)
            return file.read(max_bytes + 1)
    except InvalidImage:  # InvalidImage is a ValueError: do not catch it below
        raise
    except (FileNotFoundError, NotADirectoryError):
        raise MissingInput(f"{name}: no such file") from None
    except PermissionError:
        raise MissingInput(f"{name}: no permission to read it") from None
    except OSError as e:
        if e.errno == errno.ELOOP:
            raise InvalidImage(f"{name}: a symbolic link that points at itself") from None
        raise MissingInput(f"{name}: cannot be read: {e.strerror}") from None
    except ValueError as e:  # a NUL character in the path
        raise MissingInput(f"{name}: not a path: {e}") from None


_NON_BLOCKING = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def _require_regular(status: os.stat_result, name: str) -> None:
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a named pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    if not stat.S_ISREG(status.st_mode):
        kind = kinds.get(stat.S_IFMT(status.st_mode), "not a regular file")
        raise InvalidImage(f"{name}: is {kind}; expected a regular file")


def _read_stream(stream: IO[bytes], name: str, max_bytes: int) -> bytes:
    """Read all of a binary stream, up to one byte more than the limit."""
    parts = []
    left = max_bytes + 1
    while left > 0:
        try:
            part = stream.read(left)
        except StopRequested:
            raise
        except Exception as e:  # the caller's code may raise anything
            raise MissingInput(f"{name}: cannot be read: {e}") from e
        if not isinstance(part, bytes):
            raise InvalidImage(
                f"{name}: expected a binary stream, but read() returned {type(part).__name__}"
            )
        if not part:
            break
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


# --- Pillow images -------------------------------------------------------------------------------


def _opened_by_caller(
    image: Image.Image, name: str, limits: ImageLimits
) -> tuple[Image.Image, bytes]:
    """Decode a PIL image of any format if necessary; return it and its EXIF block."""
    if 0 in image.size:
        raise InvalidImage(f"{name}: the picture has no pixels: {image.width}x{image.height}")
    limits.require(*image.size, name=name, jpeg=image.format in (None, "JPEG", "MPO"))
    if image.format != "MPO":  # a JPEG with additional pictures; the first is the photo
        try:
            frames = getattr(image, "n_frames", 1)
        except DECODER_ERRORS as e:
            raise InvalidImage(f"{name}: cannot be read as an image: {e}") from None
        require_one_frame(frames, name)
    load(image, name)
    block = image.info.get("exif", b"")
    return image, block if isinstance(block, bytes) else b""


def _rgb(image: Image.Image, name: str, limits: ImageLimits) -> NDArray[np.uint8]:
    """Convert a loaded picture to [H, W, 3]; the result may be a view of it."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        values = np.asarray(image)
        if image.format == "PPM" and image.mode == "I":  # how Pillow stores 16-bit grey PPM
            values = values.astype(np.uint16)
        return from_array(values, name, limits)
    if "transparency" in image.info:
        image = image.copy()
        del image.info["transparency"]  # otherwise Pillow builds an alpha channel
    try:
        return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    except ValueError as e:
        raise InvalidImage(
            f"{name}: cannot convert a picture in mode {image.mode} to RGB: {e}"
        ) from None
