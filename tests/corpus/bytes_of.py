"""Image files built byte by byte: what no encoder would write."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6  # PNG colour types


def scene(height: int = 96, width: int = 128) -> NDArray[np.uint8]:
    """A smooth coloured picture without symmetry, uint8 [H, W, 3]."""
    y, x = np.mgrid[:height, :width] / max(height, width, 2)
    return np.stack([255 * x, 255 * y, 120 + 100 * np.sin(9 * x + 4 * y)], -1).astype(np.uint8)


def encoded(picture: Any, format: str, **options: Any) -> bytes:
    """An array or PIL picture as a file."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_header(width: int, height: int, bits: int, colour: int) -> bytes:
    return png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))


def png(header: bytes, rows: bytes, *extra: bytes) -> bytes:
    """A PNG of unpacked rows, each with its filter byte; `extra` chunks stand before the data."""
    data = png_chunk(b"IDAT", zlib.compress(rows, 1))
    return PNG_SIGNATURE + header + b"".join(extra) + data + png_chunk(b"IEND", b"")


def png16(values: NDArray[np.uint16], colour: int) -> bytes:
    """A 16-bit PNG of [H, W, channels]."""
    height, width = values.shape[:2]
    rows = values.astype(">u2").reshape(height, -1).view(np.uint8)
    filtered = np.pad(rows, ((0, 0), (1, 0))).tobytes()
    return png(png_header(width, height, 16, colour), filtered)


def jpeg_segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body


def jpeg_with(segments: bytes, jpeg: bytes) -> bytes:
    """Segments put right after the start-of-image marker."""
    return jpeg[:2] + segments + jpeg[2:]


def many_scans(jpeg: bytes, count: int) -> bytes:
    """A progressive JPEG whose last scan is sent `count` times."""
    last = jpeg.rindex(b"\xff\xda")
    return jpeg[:last] + jpeg[last:-2] * count + b"\xff\xd9"


def tiff_block(entries: list[tuple[int, int, int, bytes]], tail: bytes = b"") -> bytes:
    """A little-endian EXIF block: (tag, type, count, four value bytes) each, then `tail`."""
    directory = b"".join(struct.pack("<HHI", *entry[:3]) + entry[3] for entry in entries)
    head = b"II*\0" + struct.pack("<IH", 8, len(entries))
    return head + directory + b"\0\0\0\0" + tail


def exif(entries: list[tuple[int, int, int, bytes]], tail: bytes = b"") -> bytes:
    return b"Exif\0\0" + tiff_block(entries, tail)


def orientation(value: int) -> bytes:
    """An EXIF block that holds the orientation alone."""
    return exif([(0x0112, 3, 1, struct.pack("<HH", value, 0))])


def webp_header(width: int, height: int) -> bytes:
    """A lossless WEBP that declares this size and holds nothing."""
    bits = (width - 1) | (height - 1) << 14
    body = b"VP8L" + struct.pack("<I", 16) + b"\x2f" + struct.pack("<I", bits) + bytes(11)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body
