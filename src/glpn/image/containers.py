"""Decodes untrusted image files with Pillow; limits are checked before decoding.

Each format has a reader that walks the file and passes on only the parts that the pixels need.
Colour profiles, comments, thumbnails, further pictures and EXIF directories are removed first, so
no bomb in them is ever inflated or followed, and truncation is found even where decoders forgive
it. Profiles and gamma are ignored: pixel values are taken as sRGB.

A reader imports its Pillow driver when it reads a file: most photos are JPEGs, and the drivers of
the other formats take time to load.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import NamedTuple

from PIL import Image, ImageChops, ImageFile

from glpn.errors import InvalidImage, UnsupportedImage
from glpn.image import bmff, jpeg, png, simple, tiff, webp
from glpn.image.exif import Exif, read_exif
from glpn.image.limits import ImageLimits
from glpn.image.orientation import exif_after_decoding
from glpn.image.parts import Parts
from glpn.image.unsupported import describe

# What decoders raise for hostile bytes besides OSError: they index, unpack and divide unchecked.
DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    EOFError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)

MinDecodeSize = Callable[[int, int], tuple[int, int]]  # maps (height, width)

# The readers by the first bytes of a file; the file's name plays no role.
_READERS: tuple[tuple[Callable[[bytes], bool], Callable[[bytes, str], Parts]], ...] = (
    (jpeg.matches, jpeg.take_apart),
    (png.matches, png.take_apart),
    (webp.matches, webp.take_apart),
    (tiff.matches, tiff.take_apart),
    (simple.is_bmp, simple.take_bmp_apart),
    (simple.is_gif, simple.take_gif_apart),
    (simple.is_ppm, simple.take_ppm_apart),
    (bmff.matches, bmff.take_apart),
)


class Decoded(NamedTuple):
    """A decoded photo.

    Attributes:
        image: loaded, not yet upright, in any mode; a JPEG may be smaller than `size`.
        size: (width, height) of the whole picture.
        exif: the file's EXIF, with the orientation that `image` still has.
        projection: the panorama's projection, "equirectangular" for example; empty for a photo.
    """

    image: Image.Image
    size: tuple[int, int]
    exif: Exif
    projection: str


def decode(
    data: bytes,
    *,
    name: str,
    limits: ImageLimits,
    min_decode_size: MinDecodeSize | None = None,
) -> Decoded:
    """Decode one photo; the content of the file decides its format, not its name.

    Args:
        data: a whole file.
        name: the photo's name in messages.
        limits: compared with the declared sizes before anything is decoded.
        min_decode_size: maps the picture's (height, width) to the smallest (height, width) that
            is needed. A JPEG is then decoded at 1/2, 1/4 or 1/8 of its size where that is not
            smaller: the decoder skips the highest frequencies, which saves time and memory.

    Raises:
        UnsupportedImage: a format that is not read; the message names it.
        ImageTooLarge: over a limit.
        InvalidImage: empty, truncated, damaged, or more than one frame.
    """
    if not data:
        raise InvalidImage(f"{name}: the file is empty")
    take_apart = next((reader for matches, reader in _READERS if matches(data)), None)
    if take_apart is None:
        raise UnsupportedImage(f"{name}: {describe(data)}")
    try:
        parts = take_apart(data, name)
    except (struct.error, IndexError) as e:
        raise InvalidImage(f"{name}: the file is truncated or damaged: {e}") from None
    jpeg_file = parts.format == "JPEG"
    if parts.size is not None:
        limits.require(*parts.size, name=name, jpeg=jpeg_file, passes=parts.passes)
    image = _open(parts, name)
    limits.require(*image.size, name=name, jpeg=jpeg_file, passes=parts.passes)
    require_one_frame(getattr(image, "n_frames", 1), name)
    size = image.size
    if min_decode_size is not None:
        height, width = min_decode_size(image.height, image.width)
        image.draft(image.mode, (width, height))
    exif = exif_after_decoding(read_exif(parts.exif), image, parts.format)
    load(image, name)
    if jpeg_file and image.mode == "CMYK" and "adobe" not in image.info:
        # Pillow inverts every CMYK JPEG, which is right only for those with Adobe's marker.
        return Decoded(ImageChops.invert(image), size, exif, parts.projection)
    return Decoded(image, size, exif, parts.projection)


def _open(parts: Parts, name: str) -> ImageFile.ImageFile:
    try:
        image = parts.open(io.BytesIO(parts.data))
    except DECODER_ERRORS as e:
        raise InvalidImage(f"{name}: cannot be read as {parts.format}: {e}") from None
    if 0 in image.size:
        raise InvalidImage(f"{name}: the picture has no pixels: {image.width}x{image.height}")
    return image


def load(image: Image.Image, name: str) -> None:
    """Decode the pixels of an opened picture.

    Raises:
        InvalidImage: they are truncated or damaged.
    """
    try:
        image.load()
    except DECODER_ERRORS as e:
        raise InvalidImage(f"{name}: cannot be decoded: {e}") from None


def require_one_frame(frames: int, name: str) -> None:
    """Reject an animation with InvalidImage."""
    if frames != 1:
        raise InvalidImage(
            f"{name}: one photo expected, got {frames} frames; `glpn video` reads moving pictures"
        )
