"""The few EXIF tags that a depth estimate needs: orientation, focal length and pixel dimensions.

EXIF comes from untrusted files. A general reader follows every directory entry, and thousands of
entries can point at the same megabytes of data. This reader looks at only two directories and
copies nothing. A tag that it cannot read is treated as absent.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass

# Tag numbers: EXIF 2.32, tables 3 to 8.
ORIENTATION = 0x0112
_EXIF_DIRECTORY = 0x8769
_FOCAL_LENGTH = 0x920A
_PIXEL_WIDTH = 0xA002
_PIXEL_HEIGHT = 0xA003
_PLANE_X_RESOLUTION = 0xA20E
_PLANE_RESOLUTION_UNIT = 0xA210
_FOCAL_LENGTH_35MM = 0xA405
_WANTED = frozenset(
    (
        ORIENTATION,
        _EXIF_DIRECTORY,
        _FOCAL_LENGTH,
        _PIXEL_WIDTH,
        _PIXEL_HEIGHT,
        _PLANE_X_RESOLUTION,
        _PLANE_RESOLUTION_UNIT,
        _FOCAL_LENGTH_35MM,
    )
)

_SHORT, _LONG, _RATIONAL = 3, 4, 5  # TIFF 6.0 field types
_MAX_ENTRIES = 1000  # cameras write under a hundred
_UNIT_MM = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}  # FocalPlaneResolutionUnit: inch, cm, mm, µm

FILM_DIAGONAL_MM = math.hypot(36, 24)  # the "35 mm" frame; CIPA DCG-001 compares diagonals
# Plausible focal lengths, in image diagonals; 4.3 mm to 2.2 m in 35 mm terms.
_FOCAL_RANGE = (0.1, 50.0)


@dataclass(frozen=True)
class Exif:
    """The tags that were read.

    Attributes:
        orientation: 1 to 8, as in the standard; 1 if the tag is absent or invalid.
        tags: the wanted tags of both directories, as numbers.
    """

    orientation: int
    tags: Mapping[int, float]

    @property
    def pixel_size(self) -> tuple[int, int] | None:
        """(width, height) of the picture as the camera stored it; None if the tags are absent.

        It differs from the file's size after a crop or a resize by a program that kept the EXIF.
        """
        width, height = (int(self.tags.get(tag, 0)) for tag in (_PIXEL_WIDTH, _PIXEL_HEIGHT))
        return (width, height) if width > 0 and height > 0 else None

    def with_sides_swapped(self) -> Exif:
        """Return the EXIF of the same picture with its width and height exchanged."""
        names = {_PIXEL_WIDTH: _PIXEL_HEIGHT, _PIXEL_HEIGHT: _PIXEL_WIDTH}
        tags = {names.get(tag, tag): value for tag, value in self.tags.items()}
        return Exif(self.orientation, tags)

    def focal(self, width: int, height: int) -> tuple[float, str] | None:
        """Return the focal length in pixels of a picture of this stored size, and its EXIF tags.

        The result is None if the tags are absent or describe no possible lens.
        """
        diagonal = math.hypot(width, height)
        film = self.tags.get(_FOCAL_LENGTH_35MM, 0.0)
        if _plausible(focal := film / FILM_DIAGONAL_MM * diagonal, diagonal):
            return focal, "EXIF FocalLengthIn35mmFilm"
        unit_mm = _UNIT_MM.get(int(self.tags.get(_PLANE_RESOLUTION_UNIT, 2)), 25.4)
        # Sensor pixels per millimetre, at the original image size.
        per_mm = self.tags.get(_PLANE_X_RESOLUTION, 0.0) / unit_mm
        focal = self.tags.get(_FOCAL_LENGTH, 0.0) * per_mm * self._resize_factor(width, height)
        if _plausible(focal, diagonal):
            return focal, "EXIF FocalLength and FocalPlaneXResolution"
        return None

    def _resize_factor(self, width: int, height: int) -> float:
        """Return the pixels of a picture of this size per pixel that the camera stored.

        A program may turn the pixels and leave the recorded size as it was. The longer sides
        belong together in either case.
        """
        if self.pixel_size is not None:
            return max(width, height) / max(self.pixel_size)
        return width / (self.tags.get(_PIXEL_WIDTH) or width)


def read_exif(block: bytes) -> Exif:
    """Read an EXIF block, with or without its "Exif" prefix.

    A damaged block is treated as absent.
    """
    tiff = memoryview(block.removeprefix(b"Exif\0\0"))
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(tiff[:4]))
    tags: dict[int, float] = {}
    if order and len(tiff) >= 8:
        tags |= _directory(tiff, order, struct.unpack_from(order + "I", tiff, 4)[0])
        if _EXIF_DIRECTORY in tags:
            tags |= _directory(tiff, order, int(tags.pop(_EXIF_DIRECTORY)))
    return Exif(valid_orientation(tags.get(ORIENTATION, 1)), tags)


def valid_orientation(value: object) -> int:
    """Return the value of an orientation tag as 1 to 8; any other value means upright, 1."""
    return next((number for number in range(1, 9) if number == value), 1)


def _directory(tiff: memoryview, order: str, start: int) -> dict[int, float]:
    """Return the wanted tags that contain a single number.

    The result is {} if the data runs past the end of the block.
    """
    tags: dict[int, float] = {}
    try:
        (count,) = struct.unpack_from(order + "H", tiff, start)
        for i in range(min(count, _MAX_ENTRIES)):
            at = start + 2 + 12 * i
            tag, kind, values = struct.unpack_from(order + "HHI", tiff, at)
            if tag not in _WANTED or values != 1:
                continue
            if kind == _SHORT:
                (tags[tag],) = struct.unpack_from(order + "H", tiff, at + 8)
            elif kind in (_LONG, _RATIONAL):
                (tags[tag],) = struct.unpack_from(order + "I", tiff, at + 8)
            if kind == _RATIONAL:
                over, under = struct.unpack_from(order + "II", tiff, int(tags[tag]))
                tags[tag] = over / under if under else 0.0
    except struct.error:
        return {}
    return tags


def _plausible(focal: float, diagonal: float) -> bool:
    return _FOCAL_RANGE[0] * diagonal <= focal <= _FOCAL_RANGE[1] * diagonal
