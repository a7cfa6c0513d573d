"""Writes TIFF: uncompressed floats in metres, metadata in ImageDescription; reads it back."""

from __future__ import annotations

import io
from typing import BinaryIO

import numpy as np
from PIL import Image

from glpn.errors import DataError
from glpn.files.contents import Contents, contents_of_floats, parse_metadata, require_size

_IMAGE_DESCRIPTION = 270  # TIFF 6.0 tag


def encode(contents: Contents) -> bytes:
    """32-bit float TIFF in metres, uncompressed."""
    buffer = io.BytesIO()
    tags = {_IMAGE_DESCRIPTION: contents.described()}
    Image.fromarray(contents.metres).save(buffer, "TIFF", tiffinfo=tags)
    return buffer.getvalue()


def decode(data: bytes, scale: float | None) -> Contents:
    """A 32-bit float TIFF from `encode`, or from another program if the caller knows the scale."""
    try:
        with Image.open(io.BytesIO(data), formats=("TIFF",)) as image:
            require_size(image.height, image.width)
            if image.mode != "F":
                raise DataError(f"expected a 32-bit float TIFF, got mode {image.mode}")
            text = image.getexif().get(_IMAGE_DESCRIPTION)  # another program's may be a number
            described = isinstance(text, str) and text.startswith("{")
            metadata = parse_metadata(text) if described else {}
            units = np.asarray(image)
    except Image.DecompressionBombError as e:
        raise DataError(str(e)) from None
    return contents_of_floats(units, metadata, scale)


def read_metadata(file: BinaryIO) -> str | None:
    """The image's description."""
    try:
        with Image.open(file, formats=("TIFF",)) as image:
            text = image.getexif().get(_IMAGE_DESCRIPTION)
    except Image.DecompressionBombError:
        return None
    return text if isinstance(text, str) else None
