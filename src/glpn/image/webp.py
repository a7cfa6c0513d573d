"""WEBP (RFC 9649): keeps the chunks of pixels; checks the declared size before opening.

The decoder allocates its canvas when a file is opened, so the size is read here first.
"""

from __future__ import annotations

import struct

from glpn.errors import InvalidImage
from glpn.image.parts import MAX_PARTS, Parts, projection_of, too_many, truncated

_KEPT = (b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF")
_METADATA_FLAGS = 0x20 | 0x08 | 0x04  # bits of VP8X: colour profile, EXIF, XMP


def matches(data: bytes) -> bool:
    """Whether the file starts like a WEBP."""
    return data.startswith(b"RIFF") and data[8:15] == b"WEBPVP8"


def take_apart(data: bytes, name: str) -> Parts:
    """Keep the chunks of pixels.

    Raises:
        InvalidImage: truncated or animated.
    """
    from PIL.WebPImagePlugin import WebPImageFile

    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data) or len(data) < 30:
        raise truncated(name, f"WEBP header declares {end} bytes, got {len(data)}")
    kept, exif, projection, frames, at = [], b"", "", 0, 12
    for _ in range(MAX_PARTS):
        if at + 8 > end:
            break
        kind, length = struct.unpack_from("<4sI", data, at)
        body = data[at + 8 : at + 8 + length]
        if at + 8 + length > end:
            raise truncated(name, f"WEBP chunk {kind!r} at byte {at} ends after the file")
        frames += kind == b"ANMF"
        if kind == b"EXIF":
            exif = body
        elif kind == b"XMP ":
            projection = projection_of(body)
        elif kind == b"VP8X" and body:
            body = bytes((body[0] & ~_METADATA_FLAGS,)) + body[1:]
        if kind in _KEPT:
            kept.append(kind + struct.pack("<I", length) + body + b"\0" * (length % 2))
        at += 8 + length + length % 2
    else:
        raise too_many(name, "WEBP chunks")
    if frames > 1:
        raise InvalidImage(
            f"{name}: one photo expected, got an animated WEBP of {frames} frames; "
            "`glpn video` reads moving pictures"
        )
    chunks = b"".join(kept)
    file = b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks
    return Parts("WEBP", file, WebPImageFile, _size(data), exif, projection)


def _size(data: bytes) -> tuple[int, int]:
    """(width, height) of the canvas (sections 2.5 to 2.7)."""
    kind = data[12:16]
    if kind == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF
