"""PNG (3rd edition): keeps the four chunks that pixels need; every checksum must hold."""

from __future__ import annotations

import struct
import zlib

from glpn.errors import InvalidImage
from glpn.image.parts import MAX_PARTS, Parts, projection_of, too_many, truncated

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KEPT = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_XMP = b"XML:com.adobe.xmp\0"


def matches(data: bytes) -> bool:
    """Whether the file starts like a PNG."""
    return data.startswith(_SIGNATURE)


def take_apart(data: bytes, name: str) -> Parts:
    """Keep the critical chunks up to IEND (section 5.3).

    Raises:
        InvalidImage: truncated, damaged or animated.
    """
    from PIL.PngImagePlugin import PngImageFile

    view = memoryview(data)
    kept, exif, projection = [view[:8]], b"", ""
    size: tuple[int, int] | None = None
    at = 8
    for _ in range(MAX_PARTS):
        if at + 12 > len(data):
            raise truncated(name, "PNG without an IEND chunk")
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            raise truncated(name, f"PNG chunk {kind!r} at byte {at} ends after the file")
        if zlib.crc32(view[at + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            raise InvalidImage(f"{name}: PNG chunk {kind!r} at byte {at} fails its checksum")
        body = view[at + 8 : end - 4]
        if (kind == b"IHDR") != (at == 8):
            raise InvalidImage(f"{name}: PNG whose header is not its first chunk and the only one")
        if kind == b"IHDR":
            size = struct.unpack_from(">II", body)
        elif kind == b"acTL" and length >= 4:
            frames = int.from_bytes(body[:4], "big")
            if frames != 1:
                raise InvalidImage(
                    f"{name}: one photo expected, got an animated PNG of {frames} frames; "
                    "`glpn video` reads moving pictures"
                )
        elif kind == b"eXIf":
            exif = bytes(body)
        elif kind == b"iTXt" and bytes(body[: len(_XMP)]) == _XMP:
            projection = projection_of(bytes(body))
        if kind in _KEPT:
            kept.append(view[at:end])
        if kind == b"IEND":
            return Parts("PNG", b"".join(kept), PngImageFile, size, exif, projection)
        at = end
    raise too_many(name, "PNG chunks")
