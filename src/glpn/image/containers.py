"""Untrusted JPEG, PNG or WEBP bytes → a decoded Pillow image, limits checked before decoding.

Pillow is handed only the parts of a file that its pixels need. Colour profiles, comments,
thumbnails, second pictures and EXIF directories are cut out beforehand, so no bomb in them is
ever inflated or followed; the cutting walks the file from end to end and so finds truncation,
which decoders forgive in places. Profiles and gamma are ignored: numbers are taken as sRGB.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Callable
from typing import NamedTuple

from PIL import Image, ImageChops, ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from glpn.errors import ImageTooLarge, InvalidImage, UnsupportedImage

MAX_SCANS = 40  # of a JPEG; encoders write 10 to 20, and each costs a pass over the whole picture
_MAX_PARTS = 100_000  # chunks or segments of one file; 200 MB of PNG in 4 KiB chunks has half

# What decoders raise on hostile bytes, beside OSError: they index, unpack and divide unchecked.
DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    EOFError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


Fit = Callable[[int, int], tuple[int, int]]  # of (height, width)


class Container(NamedTuple):
    """An image file, taken apart but not decoded."""

    data: bytes  # without metadata
    exif: bytes
    driver: Callable[[io.BytesIO], ImageFile.ImageFile]


def decode(
    data: bytes, *, name: str, max_pixels: int, fit: Fit | None = None
) -> tuple[Image.Image, tuple[int, int], bytes]:
    """Decode one photograph; the format is told by its content, never by its name.

    Args:
        data: a whole file.
        name: what messages call it.
        max_pixels: width times height allowed, compared before anything is decoded.
        fit: from the picture's (height, width), the least that is needed of it: a JPEG comes at
            1/2, 1/4 or 1/8 of its size where that is no less. Its decoder leaves out the highest
            frequencies, which takes a fraction of the time and memory.

    Returns:
        The loaded picture as stored, in whichever mode; the (width, height) of the whole one; and
        its EXIF block (maybe empty).

    Raises:
        UnsupportedImage: neither JPEG, PNG nor WEBP.
        ImageTooLarge: more than `max_pixels`.
        InvalidImage: empty, truncated, damaged, or more than one frame.
    """
    container = take_apart(data, name=name, max_pixels=max_pixels)
    try:
        image = container.driver(io.BytesIO(container.data))
    except DECODER_ERRORS as e:
        raise InvalidImage(f"{name}: cannot be read as an image: {e}") from None
    require_pixels(image.width, image.height, name=name, max_pixels=max_pixels)
    require_one_frame(getattr(image, "n_frames", 1), name)
    size = image.size
    if fit is not None:
        height, width = fit(image.height, image.width)
        image.draft(image.mode, (width, height))
    load(image, name)
    if image.mode == "CMYK" and "adobe" not in image.info:
        # Pillow inverts every CMYK JPEG, as Adobe's are meant; without its marker none is.
        return ImageChops.invert(image), size, container.exif
    return image, size, container.exif


def take_apart(data: bytes, *, name: str, max_pixels: int) -> Container:
    """Separate pixels from metadata by the file's structure; see `decode` for the errors."""
    if not data:
        raise InvalidImage(f"{name}: the file is empty")
    if data.startswith(b"\xff\xd8\xff"):
        return _take_jpeg_apart(data, name)
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return _take_png_apart(data, name)
    if data.startswith(b"RIFF") and data[8:15] == b"WEBPVP8":
        return _take_webp_apart(data, name, max_pixels)
    raise UnsupportedImage(f"{name}: not a JPEG, PNG or WEBP image")


def load(image: Image.Image, name: str) -> None:
    """Decode the pixels of an opened picture.

    Raises:
        InvalidImage: they are truncated or damaged.
    """
    try:
        image.load()
    except DECODER_ERRORS as e:
        raise InvalidImage(f"{name}: cannot be decoded: {e}") from None


def require_pixels(width: int, height: int, *, name: str, max_pixels: int) -> None:
    """Refuse a picture of more than `max_pixels` with ImageTooLarge."""
    if width * height > max_pixels:
        raise ImageTooLarge(
            f"{name}: {width}x{height} is {width * height / 1e6:.1f} megapixels; "
            f"the limit is {max_pixels / 1e6:g}"
        )


def require_one_frame(frames: int, name: str) -> None:
    """Refuse an animation with InvalidImage."""
    if frames != 1:
        raise InvalidImage(f"{name}: one picture expected, got an animation of {frames} frames")


def _truncated(name: str, where: str) -> InvalidImage:
    return InvalidImage(f"{name}: the file is truncated: {where}")


_PNG_KEPT = (b"IHDR", b"PLTE", b"IDAT", b"IEND")


def _take_png_apart(data: bytes, name: str) -> Container:
    """Keep the critical chunks up to IEND; every checksum must hold (PNG 3rd edition, 5.3)."""
    view = memoryview(data)
    kept, exif = [view[:8]], b""
    at = 8
    for _ in range(_MAX_PARTS):
        if at + 12 > len(data):
            raise _truncated(name, "PNG without an IEND chunk")
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            raise _truncated(name, f"PNG chunk {kind!r} at byte {at} ends after the file")
        if zlib.crc32(view[at + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            raise InvalidImage(f"{name}: PNG chunk {kind!r} at byte {at} fails its checksum")
        if kind == b"acTL" and length >= 4:
            require_one_frame(int.from_bytes(view[at + 8 : at + 12], "big"), name)
        if kind == b"IHDR" and at != 8:
            raise InvalidImage(f"{name}: PNG with a second header at byte {at}")
        if kind in _PNG_KEPT:
            kept.append(view[at:end])
        elif kind == b"eXIf":
            exif = bytes(view[at + 8 : end - 4])
        if kind == b"IEND":
            return Container(b"".join(kept), exif, PngImageFile)
        at = end
    raise InvalidImage(f"{name}: PNG of more than {_MAX_PARTS} chunks")


# Any JPEG marker but the restarts, which belong to entropy-coded data (ITU-T T.81, table B.1).
_JPEG_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
_TEM, _SOI, _EOI, _SOS = 0x01, 0xD8, 0xD9, 0xDA
_APP1 = 0xE1
# APP0 (JFIF) and APP14 (Adobe) tell the colour space; the other APPn and comments tell nothing.
_JPEG_DROPPED = frozenset((*range(0xE1, 0xEE), 0xEF, 0xFE))


def _take_jpeg_apart(data: bytes, name: str) -> Container:
    """Cut metadata segments out, and all that follows the end-of-image marker."""
    view = memoryview(data)
    kept, exif = [], b""
    kept_to = at = 2
    scans = 0
    for _ in range(_MAX_PARTS):
        found = _JPEG_MARKER.search(data, at)
        if found is None:
            raise _truncated(name, "JPEG without an end-of-image marker")
        marker, at = found[1][0], found.end()
        if marker == _EOI:
            kept.append(view[kept_to:at])
            return Container(b"\xff\xd8" + b"".join(kept), exif, JpegImageFile)
        if marker in (_TEM, _SOI):
            continue
        end = at + int.from_bytes(view[at : at + 2], "big")
        if end > len(data):
            raise _truncated(name, f"JPEG segment at byte {found.start()} ends after the file")
        scans += marker == _SOS
        if scans > MAX_SCANS:
            raise InvalidImage(f"{name}: JPEG of more than {MAX_SCANS} scans")
        if marker in _JPEG_DROPPED:
            if marker == _APP1 and not exif and data.startswith(b"Exif\0\0", at + 2):
                exif = data[at + 2 : end]
            kept.append(view[kept_to : found.start()])
            kept_to = end
        at = max(end, at)
    raise InvalidImage(f"{name}: JPEG of more than {_MAX_PARTS} segments")


def _take_webp_apart(data: bytes, name: str, max_pixels: int) -> Container:
    """Check the sizes that the header declares: the decoder allocates its canvas on opening."""
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data) or len(data) < 30:
        raise _truncated(name, f"WEBP header declares {end} bytes, got {len(data)}")
    require_pixels(*_webp_size(data), name=name, max_pixels=max_pixels)
    exif, at = b"", 12
    for _ in range(_MAX_PARTS):
        if at + 8 > end:
            return Container(data, exif, WebPImageFile)
        kind, length = struct.unpack_from("<4sI", data, at)
        if kind == b"EXIF":
            exif = data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2
    raise InvalidImage(f"{name}: WEBP of more than {_MAX_PARTS} chunks")


def _webp_size(data: bytes) -> tuple[int, int]:
    """Width and height of the canvas (RFC 9649, sections 2.5 to 2.7)."""
    kind = data[12:16]
    if kind == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF
