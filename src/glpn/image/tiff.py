"""TIFF 6.0: one page, uncompressed or in a common compression; only the tags of pixels are kept.

A general TIFF reader follows every entry of an untrusted directory, and thousands of entries may
point at the same megabytes. Here the first directory is rewritten in place with the few tags that
describe pixels.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

from glpn.errors import InvalidImage, UnsupportedImage
from glpn.image.parts import Parts, truncated

_WIDTH, _HEIGHT, _COMPRESSION, _NEW_SUBFILE_TYPE = 256, 257, 259, 254
_BITS, _PHOTOMETRIC = 258, 262
_WHITE_IS_ZERO = 0  # a value of _PHOTOMETRIC
# Sizes, samples, strips, tiles, colour map, predictor: everything that Pillow needs for pixels.
_KEPT = frozenset(
    (256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 317, 320, 322, 323, 324, 325, 338, 339)
)
_LISTS = frozenset((258, 273, 279, 320, 324, 325, 338, 339))  # the others hold one number
_COMPRESSIONS = {1, 5, 8, 32773, 32946}  # none, LZW, Deflate (two numbers), PackBits
_RAW_TAGS = {50706: "DNG", 330: "camera raw"}  # DNGVersion; SubIFDs contain the real picture
_TYPE_BYTES = {3: 2, 4: 4}  # SHORT and LONG, which all kept tags have
_MAX_ENTRIES = 1_000  # entries of the directory; scanners write under a hundred
_MAX_VALUES_BYTES = 2**23  # bytes of all kept tags: a million strips with their offsets


def matches(data: bytes) -> bool:
    """Whether the file starts like a TIFF (not a BigTIFF)."""
    return data[:4] in (b"II*\0", b"MM\0*")


def take_apart(data: bytes, name: str) -> Parts:
    """Keep the tags of pixels; the whole file serves as the EXIF block.

    Raises:
        UnsupportedImage: a camera's raw file, an uncommon compression, or deep inverted grey.
        InvalidImage: truncated, or more than one page.
    """
    from PIL.TiffImagePlugin import TiffImageFile

    order = "<" if data.startswith(b"II") else ">"
    (start,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, start)
    end = start + 2 + 12 * count
    if count > _MAX_ENTRIES or end + 4 > len(data):
        raise truncated(name, f"TIFF directory of {count} entries at byte {start}")
    (following,) = struct.unpack_from(order + "I", data, end)
    entries = {}
    for at in range(start + 2, end, 12):
        entries[struct.unpack_from(order + "H", data, at)[0]] = data[at : at + 12]
    _require_plain_photo(data, entries, name)
    number = _numbers(entries, order)
    if following and not number(_NEW_SUBFILE_TYPE) & 1:
        _require_one_page(data, order, following, name)
    if number(_COMPRESSION) not in _COMPRESSIONS:
        raise UnsupportedImage(
            f"{name}: a TIFF in compression {number(_COMPRESSION)}; "
            "save it uncompressed, or with LZW or Deflate"
        )
    inverted = _PHOTOMETRIC in entries and number(_PHOTOMETRIC) == _WHITE_IS_ZERO
    if inverted and number(_BITS) > 8:
        # Pillow inverts such grey only up to 8 bits; deeper grey would be read as its negative.
        raise UnsupportedImage(
            f"{name}: a TIFF of {number(_BITS)} bits in which 0 is white (WhiteIsZero); "
            "save it with 0 as black (BlackIsZero), or as a PNG"
        )
    kept = {tag: entry for tag, entry in entries.items() if tag in _KEPT}
    _require_numbers(kept, order, len(data), name)
    directory = struct.pack(order + "H", len(kept)) + b"".join(kept[tag] for tag in sorted(kept))
    file = bytearray(data)
    file[start : start + len(directory) + 4] = directory + bytes(4)
    size = number(_WIDTH), number(_HEIGHT)
    return Parts("TIFF", bytes(file), TiffImageFile, size, exif=data)


def _require_plain_photo(data: bytes, entries: Mapping[int, bytes], name: str) -> None:
    """Refuse camera raw files, whose first page is only a thumbnail."""
    kinds = [kind for tag, kind in _RAW_TAGS.items() if tag in entries]
    if data[8:10] == b"CR":
        kinds = ["CR2", *kinds]
    if kinds:
        raise UnsupportedImage(
            f"{name}: a {kinds[0]} file; develop it to a JPEG, PNG or TIFF first"
        )


def _numbers(entries: Mapping[int, bytes], order: str) -> Callable[[int], int]:
    def number(tag: int) -> int:
        """The single SHORT or LONG value of a tag; its default 1 for compression, else 0."""
        entry = entries.get(tag)
        if entry is None:
            return int(tag == _COMPRESSION)
        kind = struct.unpack_from(order + "H", entry, 2)[0]
        return int(struct.unpack_from(order + ("H" if kind == 3 else "I"), entry, 8)[0])

    return number


def _require_one_page(data: bytes, order: str, at: int, name: str) -> None:
    """Refuse a file of several pages; a second page that is a thumbnail of the first is none."""
    (count,) = struct.unpack_from(order + "H", data, at)
    if count > _MAX_ENTRIES:
        raise InvalidImage(f"{name}: TIFF directory of {count} entries at byte {at}")
    entries = {
        struct.unpack_from(order + "H", data, start)[0]: data[start : start + 12]
        for start in range(at + 2, at + 2 + 12 * count, 12)
    }
    if not _numbers(entries, order)(_NEW_SUBFILE_TYPE) & 1:
        raise InvalidImage(f"{name}: one photo expected, got a TIFF of several pages or frames")


def _require_numbers(entries: Mapping[int, bytes], order: str, file_bytes: int, name: str) -> None:
    """Refuse values of wrong types and numbers, of which Pillow warns, and values too large."""
    total = 0
    for tag, entry in entries.items():
        kind, count = struct.unpack_from(order + "HI", entry, 2)
        if kind not in _TYPE_BYTES or count == 0 or (count > 1 and tag not in _LISTS):
            raise InvalidImage(f"{name}: TIFF tag {tag} has {count} values of type {kind}")
        length = count * _TYPE_BYTES[kind]
        total += length
        if length > 4 and struct.unpack_from(order + "I", entry, 8)[0] + length > file_bytes:
            raise truncated(name, "a TIFF tag ends after the file")
    if total > _MAX_VALUES_BYTES:
        raise InvalidImage(f"{name}: TIFF tags of {total} bytes")
