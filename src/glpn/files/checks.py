"""Is a file that glpn wrote complete? Looks at both ends, not at the pixels: cheap for many files.

Every check takes the open file and trusts nothing in it; errors of any kind mean "no", which
`formats.valid_output` sees to.
"""

from __future__ import annotations

import json
import os
import struct
import zipfile
from typing import BinaryIO

from PIL import Image

from glpn.files.contents import SIGMA_QUANTITY

_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
_PNG_GREY16, _PNG_RGB8 = (16, 0), (8, 2)  # bit depth and colour type of the header chunk
_SIGMA_START = json.dumps(SIGMA_QUANTITY)[:-1].encode()  # of its text, the first chunk
_WITHIN = 128  # bytes from the start
_TIFF_OFFSETS, _TIFF_BYTE_COUNTS = 273, 279  # TIFF 6.0 tags of the strips
_EXR_MAGIC = b"v/1\x01"
_LONGEST_HEADER = 1 << 20  # bytes of an EXR or PLY header
_PLY_BYTES = {"vertex": 16, "face": 13}  # three float32 and RGBA; a count and three int32


def png16_is_complete(file: BinaryIO) -> bool:
    """16-bit grey, with its last chunk, and no uncertainty."""
    return _is_png(file, _PNG_GREY16) and not _says_sigma(file)


def sigma_is_complete(file: BinaryIO) -> bool:
    """16-bit grey, with its last chunk, and an uncertainty."""
    return _is_png(file, _PNG_GREY16) and _says_sigma(file)


def vis_is_complete(file: BinaryIO) -> bool:
    """8-bit RGB, with its last chunk."""
    return _is_png(file, _PNG_RGB8)


def _is_png(file: BinaryIO, kind: tuple[int, int]) -> bool:
    head = file.read(26)
    file.seek(-len(_PNG_END), os.SEEK_END)
    return head.startswith(_PNG_START) and tuple(head[24:]) == kind and file.read() == _PNG_END


def _says_sigma(file: BinaryIO) -> bool:
    file.seek(0)
    return _SIGMA_START in file.read(_WITHIN)


def npz_is_complete(file: BinaryIO) -> bool:
    """A readable archive (its directory is at the end) with the two arrays that make a depth."""
    with zipfile.ZipFile(file) as archive:
        return {"metres.npy", "glpn.npy"} <= set(archive.namelist())


def tiff_is_complete(file: BinaryIO) -> bool:
    """All strips lie inside the file."""
    size = _size(file)
    with Image.open(file, formats=("TIFF",)) as image:
        tags = image.tag_v2
        strips = zip(tags[_TIFF_OFFSETS], tags[_TIFF_BYTE_COUNTS], strict=True)
        return image.mode == "F" and all(offset + count <= size for offset, count in strips)


def exr_is_complete(file: BinaryIO) -> bool:
    """The last chunk of a scan-line file, found through the offset table, ends with the file.

    OpenEXR file layout: magic and version, attributes (name, type, size, value) up to an empty
    name, one 64-bit offset per chunk; a chunk is its first row, its size, its data.
    """
    size = _size(file)
    head = file.read(_LONGEST_HEADER)
    if not head.startswith(_EXR_MAGIC):
        return False
    position = 8
    while head[position]:
        position = head.index(b"\0", head.index(b"\0", position) + 1) + 1
        position += 4 + struct.unpack_from("<I", head, position)[0]
    position += 1
    (first,) = struct.unpack_from("<Q", head, position)
    (last,) = struct.unpack_from("<Q", head, first - 8)
    file.seek(last)
    _row, length = struct.unpack("<iI", file.read(8))
    return bool(last + 8 + length == size)


def ply_is_complete(file: BinaryIO) -> bool:
    """As many points and triangles as the header announces."""
    size = _size(file)
    head = file.read(_LONGEST_HEADER)
    start = head.index(b"end_header\n") + len(b"end_header\n")
    lines = head[:start].decode("ascii").split("\n")
    elements = [line.split() for line in lines if line.startswith("element ")]
    body = sum(int(count) * _PLY_BYTES[name] for _, name, count in elements)
    return head.startswith(b"ply\n") and bool(elements) and start + body == size


def glb_is_complete(file: BinaryIO) -> bool:
    """As long as its header says (glTF 2.0, section 4.4.2)."""
    size = _size(file)
    magic, version, length = struct.unpack("<4sII", file.read(12))
    return bool((magic, version, length) == (b"glTF", 2, size))


def _size(file: BinaryIO) -> int:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    return size
