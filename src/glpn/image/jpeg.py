"""JPEG (ITU-T T.81): keeps the segments that decoders need and drops all others."""

from __future__ import annotations

import re
import struct

from PIL.JpegImagePlugin import JpegImageFile

from glpn.errors import InvalidImage
from glpn.image.parts import MAX_PARTS, Parts, projection_of, too_many, truncated

MAX_SCANS = 40  # encoders write 10 to 20, and each costs a pass over the whole picture

# Any marker except restarts and stuffed bytes, which belong to entropy-coded data (table B.1).
_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
_SOI, _EOI, _SOS, _APP0, _APP1, _APP14 = 0xD8, 0xD9, 0xDA, 0xE0, 0xE1, 0xEE
_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive: what browsers read too
_OTHER_FRAMES = {
    **dict.fromkeys((0xC3, 0xC7, 0xCB, 0xCF), "lossless"),
    **dict.fromkeys((0xC5, 0xC6, 0xCD, 0xCE), "hierarchical"),
    **dict.fromkeys((0xC9, 0xCA), "arithmetic-coded"),
}
_TABLES = (0xC4, 0xDB, 0xDD)  # Huffman, quantisation, restart interval
_DROPPED = frozenset((*range(0xE1, 0xEE), 0xEF, 0xFE))  # other applications' data, comments
_XMP = b"http://ns.adobe.com/xap/1.0/\0"


def matches(data: bytes) -> bool:
    """Whether the file starts like a JPEG."""
    return data.startswith(b"\xff\xd8\xff")


def take_apart(data: bytes, name: str) -> Parts:
    """Keep known segments only, and nothing after the end-of-image marker.

    Raises:
        InvalidImage: truncated, or with a segment that libjpeg does not accept.
    """
    view = memoryview(data)
    kept: list[memoryview | bytes] = [b"\xff\xd8"]
    exif, projection, size = b"", "", None
    at, scans, passes = 2, 0, 0.0
    shares: dict[int, float] = {}
    for _ in range(MAX_PARTS):
        found = _MARKER.search(data, at)
        if found is None:
            raise truncated(name, "JPEG without an end-of-image marker")
        marker, start = found[1][0], found.start()
        if scans:
            kept.append(view[at:start])  # entropy-coded data
        if marker == _EOI:
            kept.append(b"\xff\xd9")
            if size is None or not scans:
                raise InvalidImage(f"{name}: JPEG without a picture")
            several = passes if scans > 1 else 0
            return Parts("JPEG", b"".join(kept), JpegImageFile, size, exif, projection, several)
        body, at = _segment(data, found.end(), name)
        if marker == _SOS:
            scans += 1
            passes += sum(shares.get(component, 1) for component in body[1 : 2 * body[0] : 2])
            if scans > MAX_SCANS:
                raise InvalidImage(f"{name}: JPEG of more than {MAX_SCANS} scans")
        elif marker in _FRAMES:
            if size is not None:
                raise InvalidImage(f"{name}: JPEG with a second frame header at byte {start}")
            size, shares = _size(body), _shares(body)
        elif marker == _APP1:
            exif = exif or (body if body.startswith(b"Exif\0\0") else b"")
            if body.startswith(_XMP):
                projection = projection or projection_of(body)
        if _is_needed(marker, body, start, name):
            kept.append(view[start:at])
    raise too_many(name, "JPEG segments")


def _segment(data: bytes, at: int, name: str) -> tuple[bytes, int]:
    """The body of the segment whose length is at `at`, and where the segment ends."""
    length = int.from_bytes(data[at : at + 2], "big")
    if length < 2 or at + length > len(data):
        raise truncated(name, f"JPEG segment at byte {at} ends after the file")
    return data[at + 2 : at + length], at + length


def _is_needed(marker: int, body: bytes, start: int, name: str) -> bool:
    """Whether the decoder needs this segment; an unknown one is rejected."""
    if marker in _FRAMES or marker in _TABLES or marker == _SOS:
        return True
    if marker == _APP0:
        return body.startswith(b"JFIF\0")
    if marker == _APP14:
        return body.startswith(b"Adobe")
    if marker in _DROPPED:
        return False
    kind = _OTHER_FRAMES.get(marker)
    if kind is not None:
        raise InvalidImage(f"{name}: a {kind} JPEG; save it as an ordinary JPEG or PNG")
    raise InvalidImage(f"{name}: JPEG with an impossible segment FF {marker:02X} at byte {start}")


def _size(body: bytes) -> tuple[int, int]:
    """(width, height) of a frame header."""
    height, width = struct.unpack_from(">HH", body, 1)
    return width, height


def _shares(body: bytes) -> dict[int, float]:
    """Return each component's samples per pixel, from a frame header (T.81, B.2.2 and A.1.1)."""
    components = {body[at]: body[at + 1] for at in range(6, len(body) - 2, 3)}
    products = {component: (hv >> 4) * (hv & 15) for component, hv in components.items()}
    horizontal = max((hv >> 4 for hv in components.values()), default=0)
    vertical = max((hv & 15 for hv in components.values()), default=0)
    whole = max(horizontal * vertical, 1)
    return {component: product / whole for component, product in products.items()}
