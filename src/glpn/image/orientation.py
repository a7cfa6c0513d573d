"""EXIF orientation: which files and images it applies to, and how pixels are turned upright.

A camera stores its sensor's rows and, in an EXIF tag, how to turn them (EXIF 2.32, 4.6.4 A). The
tag itself is read by `exif.py`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glpn.errors import InvalidImage, MissingInput
from glpn.image.exif import ORIENTATION, Exif, read_exif, valid_orientation

SIDEWAYS = (5, 6, 7, 8)  # these orientations swap width and height
_HEADER_FORMATS = ("JPEG", "PNG", "WEBP")  # formats of dataset images


def turn_upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Undo an EXIF orientation on [H, W, 3]; the result is a view."""
    if orientation in SIDEWAYS:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def upright_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Return the upright (height, width) of a stored (width, height)."""
    return size if orientation in SIDEWAYS else (size[1], size[0])


def exif_after_decoding(exif: Exif, image: Image.Image, format: str) -> Exif:
    """Return a file's EXIF with the orientation that its decoded image still has.

    AVIF and HEIC files carry their own transforms, which replace the EXIF orientation. Pillow
    reports the transform of an AVIF file as an EXIF block that it creates; pillow-heif has already
    applied that of a HEIC file.
    """
    if format == "AVIF":
        block = image.info.get("exif", b"")
        return replace(exif, orientation=read_exif(block).orientation)
    if format == "HEIC":
        turned = exif.with_sides_swapped() if exif.orientation in SIDEWAYS else exif
        return replace(turned, orientation=1)
    return exif


def exif_of_image(exif: Exif, image: Image.Image) -> Exif:
    """Return the EXIF of a caller's Pillow image, without an orientation that was already undone.

    Cameras store a landscape picture plus an orientation tag. An image that Pillow derived from it
    (for example by `transpose`) has no `format` but keeps the EXIF block. If it is in portrait
    format, it has already been rotated.
    """
    camera_width, camera_height = exif.pixel_size or (2, 1)
    camera_wide = camera_width > camera_height
    derived = image.format is None and image.width != image.height
    if derived and exif.orientation in SIDEWAYS and camera_wide != (image.width > image.height):
        return replace(exif, orientation=1)
    return exif


def read_upright_size(path: Path) -> tuple[int, int]:
    """Return the upright (height, width) of an image file, from its header.

    Raises:
        MissingInput: there is no such file.
        InvalidImage: glpn does not read this image format.
    """
    size, orientation = _read_header(path)
    return upright_size(size, orientation)


def read_orientation(path: Path) -> int:
    """Return the EXIF orientation of an image file, 1 (upright) to 8.

    Raises the same errors as `read_upright_size`.
    """
    return _read_header(path)[1]


def _read_header(path: Path) -> tuple[tuple[int, int], int]:
    """Read (width, height) as stored, and the EXIF orientation."""
    try:
        with Image.open(path, formats=_HEADER_FORMATS) as image:
            return image.size, valid_orientation(image.getexif().get(ORIENTATION, 1))
    except FileNotFoundError:
        raise MissingInput(f"{path}: no such file") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as e:
        raise InvalidImage(f"{path}: not a readable image: {e}") from None
