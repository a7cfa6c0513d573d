"""Writes PNG files of 16-bit depth, 16-bit uncertainty and 8-bit colours, and reads depth back.

The metadata is in a text chunk of each file.

The rows are filtered and compressed here rather than by Pillow, which tries all five filters on
every row. Depth changes little from row to row, so the one filter "up" compresses better, in half
the time.
"""

from __future__ import annotations

import dataclasses
import io
import struct
import zlib
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glpn.depth.colormaps import DEFAULT_COLORMAP, color_range, colorize
from glpn.depth.legend import MIN_HEIGHT
from glpn.depth.legend import legend as draw_legend
from glpn.errors import DataError, UsageError
from glpn.files.contents import (
    METADATA_KEY,
    Contents,
    parse_metadata,
    require_scale,
    require_size,
    units_per_metre,
)

MILLIMETRES, KITTI_SCALE = 1000, 256  # units per metre
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_UP_FILTER = 2  # subtracts the row above (PNG 3rd edition, 9.2)
_GREY_16, _COLOR_8 = (16, 0), (8, 2)  # bit depth and colour type (PNG 11.2.1)
_FAST_LEVEL = 1  # zlib level: five times as fast as the usual 6, for a third more bytes
_STRIP_PIXELS = 2**14  # converted to 16 bits at a time, so that they stay in the processor's cache


def encode_depth(contents: Contents, *, scale: float = MILLIMETRES) -> bytes:
    """16-bit grey PNG: metres × `scale`, rounded; 0 is unknown.

    Raises:
        UsageError: some pixel is too far for 16 bits at this scale.
    """
    scale = require_scale(scale)
    # A known depth that rounds to 0 is written as 1: near, not unknown.
    units = _units(contents.metres, scale, "the depth", least=1)
    return _png(_filtered(units), units.shape, _GREY_16, contents.described({"scale": scale}))


def encode_sigma(contents: Contents, *, scale: float = MILLIMETRES) -> bytes:
    """16-bit grey PNG of the uncertainty: one standard deviation in metres × `scale`, rounded.

    Raises:
        UsageError: the depth has no uncertainty, or some pixel's does not fit 16 bits.
    """
    if contents.sigma is None:
        raise UsageError("sigma: this depth was predicted without its uncertainty")
    scale = require_scale(scale)
    units = _units(contents.sigma, scale, "the uncertainty", least=0)
    metadata = {"quantity": "sigma", **contents.metadata}
    described = dataclasses.replace(contents, metadata=metadata).described(
        {"scale": scale, "invalid": None}
    )
    return _png(_filtered(units), units.shape, _GREY_16, described)


def encode_colors(
    contents: Contents,
    *,
    colormap: str = DEFAULT_COLORMAP,
    near: float | None = None,
    far: float | None = None,
    beside: bool = False,
    legend: bool = True,
) -> bytes:
    """8-bit RGB PNG to look at; `beside` puts the photo to its left, `legend` metres to its right.

    Pictures of less than `legend.MIN_HEIGHT` rows have no room for a legend.

    Raises:
        UsageError: as `colorize`; or `beside` is wanted and there is no photo.
    """
    near, far = color_range(contents.metres, near, far)
    picture = colorize(contents.metres, colormap, near=near, far=far)
    if beside:
        if contents.image is None:
            raise UsageError("beside: this depth was made or read without its photo")
        picture = np.concatenate([contents.image, picture], axis=1)
    if legend and len(picture) >= MIN_HEIGHT:
        strip = draw_legend(len(picture), colormap, near, far)
        picture = np.concatenate([picture, strip], axis=1)
    described = contents.described({"picture": "colours, not metres", "colormap": colormap})
    return _png(_filtered(picture), picture.shape[:2], _COLOR_8, described)


def decode_depth(data: bytes, scale: float | None) -> Contents:
    """A 16-bit grey PNG from glpn, or from another program if the caller knows the scale."""
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            image.verify()  # all checksums, up to the last chunk
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            require_size(image.height, image.width)
            if image.mode != "I;16":
                raise DataError(f"expected a 16-bit grey PNG, got mode {image.mode}")
            text = image.info.get(METADATA_KEY)
            metadata = {} if text is None else parse_metadata(text)
            scale = units_per_metre(metadata, scale)
            units = np.asarray(image)  # decodes: raises where the file is truncated
    except Image.DecompressionBombError as e:
        raise DataError(str(e)) from None
    return Contents(units.astype(np.float32) / np.float32(scale), metadata)


def read_metadata(file: BinaryIO) -> str | None:
    """The text of the chunk before the pixels."""
    try:
        with Image.open(file, formats=("PNG",)) as image:
            text = image.info.get(METADATA_KEY)
    except Image.DecompressionBombError:
        return None
    return text if isinstance(text, str) else None


def _units(
    metres: NDArray[np.float32], scale: float, name: str, *, least: int
) -> NDArray[np.generic]:
    """Map metres [H, W] to units >u2 [H, W]; positive depth becomes at least `least`.

    Raises:
        UsageError: the farthest pixel does not fit.
    """
    farthest = float(metres.max())
    if farthest * scale >= 65535.5:
        fits_kitti = farthest * KITTI_SCALE < 65535.5
        remedy = "use --scale 256" if fits_kitti else "use npz, exr or tiff, which have no limit"
        raise UsageError(
            f"png16: scale {scale:g} reaches {65535 / scale:.6g} m, {name} has "
            f"{farthest:.6g} m; {remedy}"
        )
    units = np.empty(metres.shape, ">u2")  # PNG has the high byte first
    rows = max(_STRIP_PIXELS // metres.shape[1], 1)
    for start in range(0, len(metres), rows):
        strip = slice(start, start + rows)
        rounded = np.rint(metres[strip] * np.float64(scale)).astype(np.uint16)
        if not rounded.all():
            rounded[(metres[strip] > 0) & (rounded == 0)] = least
        units[strip] = rounded
    return units


def _filtered(pixels: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Filter rows of bytes, each after its filter's number: [H, W(, C)] to [H, 1 + bytes]."""
    rows = pixels.view(np.uint8).reshape(len(pixels), -1)
    filtered = np.empty((len(rows), 1 + rows.shape[1]), np.uint8)
    filtered[:, 0] = _UP_FILTER
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    return filtered


def _png(
    filtered: NDArray[np.uint8], size: tuple[int, ...], kind: tuple[int, int], text: str
) -> bytes:
    """A PNG of these rows for (height, width); the text is in its first chunk.

    See PNG 3rd edition, section 5.
    """
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", size[1], size[0], *kind, 0, 0, 0),
        b"tEXt": f"{METADATA_KEY}\0{text}".encode("latin-1"),
        b"IDAT": _deflated(filtered.data),
        b"IEND": b"",
    }
    return _SIGNATURE + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks.items()
    )


def _deflated(data: memoryview) -> bytes:
    """The data in zlib's format, by ISA-L where installed: over three times as fast."""
    try:
        from isal import isal_zlib
    except ImportError:  # no build for this processor
        return zlib.compress(data, _FAST_LEVEL)
    return isal_zlib.compress(data, _FAST_LEVEL)
