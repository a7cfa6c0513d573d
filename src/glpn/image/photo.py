"""Anything that holds one photograph → `Photo`: upright RGB uint8 [H, W, 3].

Every rule about pictures is here: what is accepted, how each kind becomes 8-bit RGB, what is
refused and why. The bytes of files are taken apart in `containers.py`, their EXIF in `exif.py`.

- Alpha is dropped, never blended; grey becomes three equal channels; colour profiles are ignored.
- 16-bit values v become round(v / 257), the exact map of 0..65535 onto 0..255. (Pillow keeps only
  the high byte of a 16-bit *colour* PNG: there the result is below v / 257 + 1 and above
  v / 257 - 1, and equals the exact one for 0 and 65535.)
- Float arrays lie in 0..1. An array is [H, W], [H, W, C] or [C, H, W] with 1 or 3 channels; where
  both its ends could be channels, a numpy array is read channels last, a torch tensor first.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glpn.errors import ImageTooLarge, InvalidImage, MissingInput, UsageError
from glpn.image.containers import (
    DECODER_ERRORS,
    Fit,
    decode,
    load,
    require_one_frame,
    require_pixels,
)
from glpn.image.exif import Exif, read_exif

MAX_PIXELS = 25_000_000  # a 24-megapixel camera; the decoded picture takes 0.1 GB
MAX_FILE_BYTES = 128 * 2**20

_UNNAMED = "image"
_NO_EXIF = Exif(orientation=1, tags={})
_ON_ITS_SIDE = (5, 6, 7, 8)  # EXIF orientations that swap width and height
_FLOAT_SLACK = 1e-6  # rounding of x / 255 in float32 may leave 0..1 by this much


@dataclass(frozen=True, eq=False)
class Photo:
    """One decoded photograph.

    Attributes:
        pixels: RGB uint8 [H, W, 3], upright, contiguous, sharing memory with nothing; the whole
            picture, or a smaller one, see `read_photo`.
        name: what the photograph is called in messages and outputs; for a file, its path.
        focal: focal length in pixels of this picture, where EXIF tells it.
        focal_source: which tag told it.
        hash: SHA-256 of the file; empty where there was none.
        whole: (height, width) of the whole picture, where `pixels` is a smaller one.
    """

    pixels: NDArray[np.uint8]
    name: str = _UNNAMED
    focal: float | None = None
    focal_source: str | None = None
    hash: str = ""
    whole: tuple[int, int] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the whole picture."""
        return self.whole or (self.pixels.shape[0], self.pixels.shape[1])


def read_photo(
    source: Any,
    *,
    name: str | None = None,
    max_pixels: int = MAX_PIXELS,
    fit: Fit | None = None,
) -> Photo:
    """Read one photograph.

    Args:
        source: path; bytes, bytearray or memoryview of a JPEG, PNG or WEBP file; binary file
            object, read to its end from where it stands; PIL image; numpy array or torch tensor,
            as the module says; or a Photo, returned as it is. No source is modified.
        name: what messages call it; the path or "image" if None.
        max_pixels: the most pixels accepted.
        fit: from (height, width), the least that is needed of a JPEG, which may then come smaller
            and faster; see `containers.decode`.

    Raises:
        MissingInput: there is no such file, or it may not be read.
        UnsupportedImage: the bytes are no JPEG, PNG or WEBP.
        ImageTooLarge: more than `max_pixels`, or a file of more than MAX_FILE_BYTES.
        InvalidImage: anything else that is not one photograph; the message says why.
        UsageError: the source is of a type that never holds a photograph.
    """
    if isinstance(source, Photo):
        return source
    called = name if name is not None else _name_of(source)
    shown = display_name(called)
    if isinstance(source, np.ndarray):
        return Photo(_from_array(source, shown, max_pixels=max_pixels), called)
    if is_tensor(source):
        array = _tensor_as_array(source, shown)
        return Photo(_from_array(array, shown, max_pixels=max_pixels, channels_first=True), called)
    digest = ""
    if isinstance(source, Image.Image):
        image, exif_block = _opened_by_caller(source, shown, max_pixels)
        size = image.size
    else:
        data = read_bytes(source, shown)
        digest = hashlib.sha256(data).hexdigest()
        image, size, exif_block = decode(data, name=shown, max_pixels=max_pixels, fit=fit)
    exif = read_exif(exif_block) if exif_block else _NO_EXIF
    focal, focal_source = exif.focal(*size) or (None, None)
    pixels = _upright(_rgb(image, shown, max_pixels), exif.orientation)
    whole = None
    if size != image.size:
        whole = size if exif.orientation in _ON_ITS_SIDE else (size[1], size[0])
    return Photo(np.array(pixels, order="C"), called, focal, focal_source, digest, whole)


def display_name(name: str) -> str:
    """`name` with whatever a terminal or a log could trip over written as escapes."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in name
    )


def _name_of(source: Any) -> str:
    if isinstance(source, (str, os.PathLike)):
        return os.fsdecode(source)
    told = getattr(source, "filename" if isinstance(source, Image.Image) else "name", None)
    return os.fsdecode(told) if isinstance(told, (str, os.PathLike)) and told else _UNNAMED


# --- files ---------------------------------------------------------------------------------------


def read_bytes(source: Any, name: str) -> bytes:
    """The bytes of a path, a binary file object or bytes; errors as `read_photo`."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        data = bytes(source)
    elif isinstance(source, (str, os.PathLike)):
        data = _read_file(Path(source), name)
    elif hasattr(source, "read"):
        data = _read_stream(source, name)
    else:
        raise UsageError(
            f"{name}: expected a path, bytes, a binary file, a PIL image, an array or a tensor; "
            f"got {type(source).__name__}"
        )
    if len(data) > MAX_FILE_BYTES:
        raise ImageTooLarge(f"{name}: the file is larger than {MAX_FILE_BYTES} bytes")
    return data


def _read_file(path: Path, name: str) -> bytes:
    """The bytes of a regular file; anything else is refused without being opened."""
    try:
        _require_regular(os.stat(path), name)
        # A file swapped for a FIFO meanwhile must not block the opening.
        descriptor = os.open(path, os.O_RDONLY | _NON_BLOCKING)
        with open(descriptor, "rb") as file:
            _require_regular(os.fstat(descriptor), name)
            return file.read(MAX_FILE_BYTES + 1)
    except InvalidImage:  # is a ValueError as well
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
        kind = kinds.get(stat.S_IFMT(status.st_mode), "no regular file")
        raise InvalidImage(f"{name}: is {kind}; a photograph is a regular file")


def _read_stream(stream: Any, name: str) -> bytes:
    """All of a binary stream, up to one byte over the limit; short reads are continued."""
    parts = []
    left = MAX_FILE_BYTES + 1
    while left > 0:
        try:
            part = stream.read(left)
        except OSError as e:
            raise MissingInput(f"{name}: cannot be read: {e}") from None
        if not isinstance(part, bytes):
            raise InvalidImage(
                f"{name}: expected a binary stream, its read() gave {type(part).__name__}"
            )
        if not part:
            break
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


# --- pictures ------------------------------------------------------------------------------------


def _opened_by_caller(image: Image.Image, name: str, max_pixels: int) -> tuple[Image.Image, bytes]:
    """A PIL image of any format, and its EXIF block; it is decoded if that has not happened."""
    require_pixels(*image.size, name=name, max_pixels=max_pixels)
    if image.format != "MPO":  # a JPEG with further pictures; the first is the photograph
        try:
            frames = getattr(image, "n_frames", 1)
        except DECODER_ERRORS as e:
            raise InvalidImage(f"{name}: cannot be read as an image: {e}") from None
        require_one_frame(frames, name)
    load(image, name)
    block = image.info.get("exif", b"")
    return image, block if isinstance(block, bytes) else b""


def _rgb(image: Image.Image, name: str, max_pixels: int) -> NDArray[np.uint8]:
    """Loaded picture → [H, W, 3]; the result may be a view of it."""
    if 0 in image.size:
        raise InvalidImage(f"{name}: the picture has no pixels: {image.width}x{image.height}")
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _from_array(np.asarray(image), name, max_pixels=max_pixels)
    if "transparency" in image.info:
        image = image.copy()
        del image.info["transparency"]  # else Pillow looks for an alpha channel to build
    try:
        return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    except ValueError as e:
        raise InvalidImage(f"{name}: no RGB picture in mode {image.mode}: {e}") from None


def _upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Undo an EXIF orientation (EXIF 2.32, 4.6.4 A) on [H, W, 3], as a view."""
    if orientation in _ON_ITS_SIDE:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


# --- arrays and tensors --------------------------------------------------------------------------


def is_tensor(source: Any) -> bool:
    """Whether this is a torch tensor; torch is not imported to find out."""
    torch = sys.modules.get("torch")  # whoever holds a tensor has imported it
    return torch is not None and isinstance(source, torch.Tensor)


def _tensor_as_array(tensor: Any, name: str) -> NDArray[Any]:
    tensor = tensor.detach()
    if tensor.is_floating_point():
        tensor = tensor.float()  # numpy has no bfloat16
    try:
        array: NDArray[Any] = tensor.cpu().numpy()
    except (TypeError, RuntimeError) as e:
        raise InvalidImage(f"{name}: a tensor that is no plain array: {e}") from None
    return array


def _from_array(
    array: NDArray[Any], name: str, *, max_pixels: int, channels_first: bool = False
) -> NDArray[np.uint8]:
    """[H, W], [H, W, C] or [C, H, W] → a new [H, W, 3]; `channels_first` decides where both fit."""
    shape = array.shape
    ends = [axis for axis in (-1, 0) if array.ndim == 3 and shape[axis] in (1, 3)]
    if array.ndim == 2:
        array = array[:, :, None]
    elif not ends:
        raise InvalidImage(
            f"{name}: expected shape [H, W], [H, W, 3] or [3, H, W] (or 1 channel), got {shape}"
        )
    elif ends == [0] or (channels_first and 0 in ends):
        array = np.moveaxis(array, 0, -1)
    height, width, _ = array.shape
    if 0 in array.shape:
        raise InvalidImage(f"{name}: the array has no pixels: shape {shape}")
    require_pixels(width, height, name=name, max_pixels=max_pixels)
    levels = _levels(array, name)
    return np.array(np.broadcast_to(levels, (height, width, 3)), order="C")


def _levels(array: NDArray[Any], name: str) -> NDArray[np.uint8]:
    """Values of any accepted type → 0..255."""
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind == "u" and array.dtype.itemsize == 2:
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)  # round(v / 257)
    if array.dtype.kind != "f":
        raise InvalidImage(
            f"{name}: expected uint8, uint16 or float values, got dtype {array.dtype}"
        )
    low, high = float(array.min()), float(array.max())
    if not (low >= -_FLOAT_SLACK and high <= 1 + _FLOAT_SLACK):  # false for NaN too
        raise InvalidImage(f"{name}: float image must lie in [0, 1]; got [{low:.3g}, {high:.3g}]")
    levels: NDArray[Any] = array.astype(np.float32, copy=False).clip(0, 1) * 255
    return np.asarray(levels.round(), np.uint8)
