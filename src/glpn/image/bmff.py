"""AVIF and HEIC: files of boxes (ISO/IEC 14496-12), whose pictures are items (23008-12).

HEIC needs the optional package pillow-heif. Decoders parse EXIF items with general readers, so the
type of those items is overwritten before decoding; this module finds and returns the block itself.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import NamedTuple

from PIL import ImageFile, features

from glpn.errors import InvalidImage, UnsupportedImage
from glpn.image.parts import Parts, projection_of

_AVIF = (b"avif", b"avis")
_HEIC = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
_MAX_BOXES = 10_000
_MAX_EXIF_BYTES = 2**20


class _Box(NamedTuple):
    kind: bytes
    start: int  # first byte of the content
    end: int


def matches(data: bytes) -> bool:
    """Whether this is an AVIF or HEIC file; other files of boxes are videos."""
    return data[4:8] == b"ftyp" and bool({*_AVIF, *_HEIC} & set(_brands(data)))


def take_apart(data: bytes, name: str) -> Parts:
    """Hide the EXIF items from the decoder.

    Raises:
        UnsupportedImage: its decoder is not installed.
        InvalidImage: damaged.
    """
    avif = bool(set(_AVIF) & set(_brands(data)))
    opener = _open_avif if avif else _open_heic
    if avif and not features.check("avif"):
        raise UnsupportedImage(
            f"{name}: an AVIF photo; this Pillow cannot read it: save it as JPEG or PNG, or "
            "install Pillow's own wheel"
        )
    if not avif and not _has_heic():
        raise UnsupportedImage(
            f"{name}: a HEIC photo; reading it needs the package pillow-heif "
            "(pip install pillow-heif), or save it as JPEG"
        )
    meta = next((box for box in _boxes(data, 0, len(data)) if box.kind == b"meta"), None)
    if meta is None:
        raise InvalidImage(f"{name}: no picture in this file; is it a video? See `glpn video`")
    hidden = data[meta.start : meta.end].replace(b"Exif", b"free").replace(b"mime", b"free")
    sizes = [
        struct.unpack_from(">II", data, box.start + 4)
        for parent in _inside(data, meta, b"iprp", b"ipco")
        for box in _boxes(data, parent.start, parent.end)
        if box.kind == b"ispe"
    ]
    return Parts(
        format="AVIF" if avif else "HEIC",
        data=data[: meta.start] + hidden + data[meta.end :],
        open=opener,
        size=max(sizes, key=lambda size: size[0] * size[1], default=None),
        exif=_exif(data, meta),
        projection=projection_of(data) if b"GPano:" in data else "",
    )


def _brands(data: bytes) -> list[bytes]:
    length = min(int.from_bytes(data[:4], "big"), 256)
    return [data[8:12], *(data[at : at + 4] for at in range(16, length, 4))]


def _boxes(data: bytes, at: int, end: int) -> Iterator[_Box]:
    """The boxes between two positions; a damaged length ends the iteration."""
    for _ in range(_MAX_BOXES):
        if at + 8 > end:
            return
        length, kind = struct.unpack_from(">I4s", data, at)
        header = 8
        if length == 1 and at + 16 <= end:
            (length,) = struct.unpack_from(">Q", data, at + 8)
            header = 16
        length = length or end - at
        if length < header or at + length > end:
            return
        # "meta" and "iinf" have a version and flags before their boxes.
        yield _Box(kind, at + header + (4 if kind == b"meta" else 0), at + length)
        at += length


def _inside(data: bytes, parent: _Box, *path: bytes) -> list[_Box]:
    """The boxes at a path of kinds below `parent`."""
    found = [parent]
    for kind in path:
        found = [b for box in found for b in _boxes(data, box.start, box.end) if b.kind == kind]
    return found


def _exif(data: bytes, meta: _Box) -> bytes:
    """The EXIF block; empty where there is none or its location is damaged."""
    try:
        for item in _exif_items(data, meta):
            for box in _inside(data, meta, b"iloc"):
                block = _located(data, box, item)
                # The item starts with the offset of the TIFF header in what follows.
                start = 4 + int.from_bytes(block[:4], "big")
                if block[start : start + 2] in (b"II", b"MM"):
                    return block[start:]
    except (struct.error, IndexError):
        pass
    return b""


def _exif_items(data: bytes, meta: _Box) -> Iterator[int]:
    for table in _inside(data, meta, b"iinf"):
        version = data[table.start]
        for entry in _boxes(data, table.start + (6 if version == 0 else 8), table.end):
            wide = data[entry.start] == 3
            identity, _, kind = struct.unpack_from(
                ">IH4s" if wide else ">HH4s", data, entry.start + 4
            )
            if kind == b"Exif":
                yield identity


def _located(data: bytes, table: _Box, item: int) -> bytes:
    """The bytes of an item's first extent in the file (23008-12, section 8.11.3)."""
    version = data[table.start]
    sizes = data[table.start + 4], data[table.start + 5]
    offset_size, length_size, base_size = sizes[0] >> 4, sizes[0] & 15, sizes[1] >> 4
    index_size = sizes[1] & 15 if version else 0
    at = table.start + 6
    wide = 4 if version == 2 else 2

    def number(length: int) -> int:
        nonlocal at
        at += length
        return int.from_bytes(data[at - length : at], "big")

    for _ in range(min(number(wide), _MAX_BOXES)):
        identity = number(wide)
        method = number(2) & 15 if version else 0
        number(2)  # the data reference
        base = number(base_size)
        extents = []
        for _ in range(min(number(2), _MAX_BOXES)):
            number(index_size)
            extents.append((base + number(offset_size), number(length_size)))
        if identity == item and method == 0 and extents:
            start, length = extents[0]
            return data[start : start + min(length, _MAX_EXIF_BYTES)]
    return b""


def _has_heic() -> bool:
    try:
        import pillow_heif  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return False
    return bool(pillow_heif)


def _open_heic(file: io.BytesIO) -> ImageFile.ImageFile:
    from pillow_heif import HeifImageFile

    image: ImageFile.ImageFile = HeifImageFile(file)
    return image


def _open_avif(file: io.BytesIO) -> ImageFile.ImageFile:
    from PIL.AvifImagePlugin import AvifImageFile

    return AvifImageFile(file)
