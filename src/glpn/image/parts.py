"""What the readers of all image formats return, and the errors they share."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass

from PIL import ImageFile

from glpn.errors import InvalidImage

MAX_PARTS = 100_000  # chunks, segments or blocks of one file; 200 MB of PNG in 4 KiB chunks is half
_GPANO = re.compile(rb"GPano:ProjectionType(?:=[\"']|>)\s*([a-z]{1,32})")


@dataclass(frozen=True)
class Parts:
    """An image file that has been taken apart but not decoded.

    Attributes:
        format: name of the format in messages.
        data: the file without metadata.
        open: the Pillow driver for `data`.
        size: declared (width, height), where the reader knows it.
        exif: the EXIF block, maybe empty.
        projection: see `projection_of`.
        passes: samples per pixel that the scans of a JPEG visit; 0 for one scan.
    """

    format: str
    data: bytes
    open: Callable[[io.BytesIO], ImageFile.ImageFile]
    size: tuple[int, int] | None = None
    exif: bytes = b""
    projection: str = ""
    passes: float = 0


def projection_of(xmp: bytes) -> str:
    """The projection that an XMP packet names (Google's GPano schema); empty for no panorama."""
    found = _GPANO.search(xmp)
    return found[1].decode("ascii") if found else ""


def truncated(name: str, where: str) -> InvalidImage:
    """The error for a file that ends too early."""
    return InvalidImage(f"{name}: the file is truncated: {where}")


def too_many(name: str, what: str) -> InvalidImage:
    """The error for a file in more pieces than any encoder writes."""
    return InvalidImage(f"{name}: more than {MAX_PARTS} {what}")
