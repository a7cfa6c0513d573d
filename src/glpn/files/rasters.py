"""Formats that are grids of pixels: 16-bit PNG, NPZ, EXR, TIFF and the colour picture.

An encoder takes `Contents` and keyword options and returns the file's bytes; a decoder takes bytes
and the caller's scale. A decoder lets the decoding library's errors through: `formats.read` turns
them into DataErrors that name the file.
"""

from __future__ import annotations

import dataclasses
import io
import math
import struct
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glpn.depth.colormaps import colorize
from glpn.errors import DataError, OutputFailed, UsageError
from glpn.files import checks
from glpn.files.contents import (
    LONGEST_METADATA,
    MAX_PIXELS,
    METADATA_KEY,
    SIGMA_QUANTITY,
    Contents,
    known_or_zero,
    parse_metadata,
    require_extra,
    require_scale,
    require_size,
    units_per_metre,
)
from glpn.native import grey16

MILLIMETRES, KITTI_SCALE = 1000, 256  # units per metre
_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_UP = 2  # the filter that subtracts the row above (PNG 3rd edition, 9.2)
_GREY_16, _COLOR_8 = (16, 0), (8, 2)  # bits of a sample, type of colour (PNG 11.2.1)
_FASTEST = 1  # level of compression: five times as fast as zlib's usual 6, for a third more bytes
_STRIP = 2**14  # pixels turned to 16 bits at a time: they stay in the processor's cache
_IMAGE_DESCRIPTION = 270  # TIFF 6.0 tag
_EXR_CHANNEL = "Z"  # OpenEXR's standard name for depth


def encode_png16(contents: Contents, *, scale: float = MILLIMETRES) -> bytes:
    """16-bit grey PNG: metres × `scale`, rounded; 0 is unknown.

    Raises:
        UsageError: some pixel is too far for 16 bits at this scale.
    """
    scale = require_scale(scale)
    rows = _rows_of_16_bits(contents.metres, scale, "the depth", least=1)  # near, not unknown
    return _png(rows, contents.metres.shape, _GREY_16, contents.described({"scale": scale}))


def encode_sigma(contents: Contents, *, scale: float = MILLIMETRES) -> bytes:
    """16-bit grey PNG of the uncertainty: one standard deviation in metres × `scale`, rounded.

    Raises:
        UsageError: no uncertainty was asked for, or some pixel's does not fit 16 bits.
    """
    if contents.sigma is None:
        raise UsageError("sigma: this depth was made without its uncertainty")
    scale = require_scale(scale)
    rows = _rows_of_16_bits(contents.sigma, scale, "the uncertainty")
    # The quantity comes first: `checks` looks for it near the start of the file.
    told = dataclasses.replace(contents, metadata={**SIGMA_QUANTITY, **contents.metadata})
    described = told.described({"scale": scale, "invalid": None})
    return _png(rows, contents.sigma.shape, _GREY_16, described)


def _rows_of_16_bits(
    metres: NDArray[np.float32], scale: float, what: str, *, least: int = 0
) -> NDArray[np.uint8]:
    """Filtered rows of units for `_png`; what is more than 0 metres is at least `least`."""
    farthest = float(metres.max())
    if farthest * scale >= 65535.5:
        coarser = farthest * KITTI_SCALE < 65535.5
        remedy = "--scale 256 would do" if coarser else "npz, exr and tiff have no limit"
        raise UsageError(
            f"png16: scale {scale:g} reaches {65535 / scale:.6g} m, {what} has "
            f"{farthest:.6g} m; {remedy}"
        )
    if grey16.available():
        return grey16.filtered_rows(metres, scale, least=least)
    return _filtered(_units(metres, scale, least))


def _units(metres: NDArray[np.float32], scale: float, least: int) -> NDArray[np.uint16]:
    """Units with the high byte first, as PNG has them."""
    units = np.empty(metres.shape, ">u2")
    step = max(_STRIP // metres.shape[1], 1)
    for start in range(0, len(metres), step):
        strip = slice(start, start + step)
        rounded = np.rint(metres[strip] * np.float64(scale)).astype(np.uint16)
        if not rounded.all():
            rounded[(metres[strip] > 0) & (rounded == 0)] = least
        units[strip] = rounded
    return units


def decode_png16(data: bytes, scale: float | None) -> Contents:
    """16-bit grey PNG of ours, or of others where the caller knows the scale."""
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
    return Contents(units.astype(np.float32) / np.float32(scale), metadata)


def encode_vis(
    contents: Contents,
    *,
    colormap: str = "inferno",
    near: float | None = None,
    far: float | None = None,
    beside: bool = False,
) -> bytes:
    """8-bit RGB PNG to look at; `beside` puts the photograph to its left.

    Raises:
        UsageError: as `colorize`; or `beside` is wanted and the photograph is not at hand.
    """
    picture = colorize(contents.metres, colormap, near=near, far=far)
    if beside:
        if contents.image is None:
            raise UsageError("beside: this depth was made or read without its photograph")
        picture = np.concatenate([contents.image, picture], axis=1)
    facts = {"picture": "colours, not metres", "colormap": colormap}
    return _png(_filtered(picture), picture.shape[:2], _COLOR_8, contents.described(facts))


def _filtered(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Rows of bytes, each after its filter's number: [H, W] or [H, W, C] → [H, 1 + bytes].

    Pillow tries all five filters on every row. Depth changes little from row to row, so the one
    filter "up" compresses better, in half the time.
    """
    rows = pixels.view(np.uint8).reshape(len(pixels), -1)
    filtered = np.empty((len(rows), 1 + rows.shape[1]), np.uint8)
    filtered[:, 0] = _PNG_UP
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    return filtered


def _png(
    filtered: NDArray[np.uint8], size: tuple[int, ...], kind: tuple[int, int], text: str
) -> bytes:
    """PNG of a (height, width) with such rows; the text is in its first chunk.

    See PNG 3rd edition, section 5.
    """
    header = struct.pack(">IIBBBBB", size[1], size[0], *kind, 0, 0, 0)
    chunks = {
        b"IHDR": header,
        b"tEXt": f"{METADATA_KEY}\0{text}".encode("latin-1"),
        b"IDAT": _deflated(filtered.data),
        b"IEND": b"",
    }
    return _PNG_START + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks.items()
    )


def _deflated(data: memoryview) -> bytes:
    """The data in zlib's format; by ISA-L, over three times as fast, where that is installed."""
    try:
        from isal import isal_zlib
    except ImportError:  # there are processors that it does not know
        return zlib.compress(data, _FASTEST)
    return isal_zlib.compress(data, _FASTEST)


def encode_npz(contents: Contents) -> bytes:
    """NumPy archive: `metres` float32, `intrinsics` 3×3 in pixels, `glpn` JSON; no pickle.

    `sigma` float32, one standard deviation in metres, is there too where it is known.
    """
    camera = contents.metadata["camera"]
    intrinsics = [[camera["fx"], 0, camera["cx"]], [0, camera["fy"], camera["cy"]], [0, 0, 1]]
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {
        "metres": contents.metres,
        "intrinsics": np.array(intrinsics, np.float64),
        METADATA_KEY: np.array(contents.described()),
    }
    if contents.sigma is not None:
        arrays["sigma"] = contents.sigma
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def decode_npz(data: bytes, scale: float | None) -> Contents:
    """NPZ of ours. Sizes are checked before memory is taken for them: the file may be hostile."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        text = _npy(archive, METADATA_KEY, "<U", largest=4 * LONGEST_METADATA)
        metadata = parse_metadata(text.item() if text.ndim == 0 else None)
        units = _npy(archive, "metres", "<f4", largest=4 * MAX_PIXELS)
        sigma = None
        if "sigma.npy" in archive.namelist():
            sigma = _npy(archive, "sigma", "<f4", largest=4 * MAX_PIXELS)
    if units.ndim != 2:
        raise DataError(f"metres: expected shape [height, width], got {list(units.shape)}")
    require_size(*units.shape)
    return dataclasses.replace(_from_floats(units, metadata, scale), sigma=sigma)


def _npy(archive: zipfile.ZipFile, name: str, kind: str, *, largest: int) -> NDArray[Any]:
    """One array of at most `largest` bytes, whose type's name starts with `kind`."""
    with archive.open(f"{name}.npy") as member:
        if np.lib.format.read_magic(member) != (1, 0):
            raise DataError(f"{name}: expected an array of format 1.0")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(member)
        if not dtype.str.startswith(kind) or fortran:
            raise DataError(f"{name}: expected a C-ordered array of type {kind}, got {dtype.str}")
        declared = math.prod(shape) * dtype.itemsize
        if min(shape, default=0) < 0 or declared > largest:
            raise DataError(f"{name}: declares the shape {list(shape)}, {declared} bytes")
        buffer = member.read(declared)
    return np.frombuffer(buffer, dtype).reshape(shape)


def encode_tiff(contents: Contents) -> bytes:
    """32-bit float TIFF in metres, uncompressed; the metadata is its ImageDescription."""
    buffer = io.BytesIO()
    tags = {_IMAGE_DESCRIPTION: contents.described()}
    Image.fromarray(contents.metres).save(buffer, "TIFF", tiffinfo=tags)
    return buffer.getvalue()


def decode_tiff(data: bytes, scale: float | None) -> Contents:
    """32-bit float TIFF of ours, or of others where the caller knows the scale."""
    with Image.open(io.BytesIO(data), formats=("TIFF",)) as image:
        require_size(image.height, image.width)
        if image.mode != "F":
            raise DataError(f"expected a 32-bit float TIFF, got mode {image.mode}")
        text = image.getexif().get(_IMAGE_DESCRIPTION, "")
        metadata = parse_metadata(text) if text.startswith("{") else {}
        units = np.asarray(image)
    return _from_floats(units, metadata, scale)


def encode_exr(contents: Contents) -> bytes:
    """OpenEXR with one float channel Z in metres; the metadata is the attribute "glpn".

    Raises:
        MissingDependency: OpenEXR is not installed.
        OutputFailed: the disk for temporary files is full.
    """
    OpenEXR = require_extra("OpenEXR", "exr")
    header = {
        "compression": OpenEXR.ZIP_COMPRESSION,
        "type": OpenEXR.scanlineimage,
        METADATA_KEY: contents.described(),
    }
    file = OpenEXR.File(header, {_EXR_CHANNEL: np.ascontiguousarray(contents.metres)})
    with tempfile.TemporaryDirectory(prefix="glpn-") as folder:  # versions < 3.5 need a real file
        path = Path(folder, "depth.exr")
        try:
            file.write(str(path))
        except RuntimeError as e:
            raise OutputFailed(f"temporary file: {e}") from e
        data = path.read_bytes()
    if not checks.exr_is_complete(io.BytesIO(data)):  # not every full disk raises in OpenEXR
        raise OutputFailed(f"{path}: the temporary file came out incomplete")
    return data


def decode_exr(data: bytes, scale: float | None) -> Contents:
    """OpenEXR with a channel Z, of ours, or of others where the caller knows the scale."""
    OpenEXR = require_extra("OpenEXR", "exr")
    # OpenEXR only prints a warning where pixels are missing.
    if not checks.exr_is_complete(io.BytesIO(data)):
        raise DataError("truncated, or not a plain scan-line file")
    with tempfile.TemporaryDirectory(prefix="glpn-") as folder:
        path = Path(folder, "depth.exr")
        path.write_bytes(data)
        header = OpenEXR.File(str(path), header_only=True).header()
        low, high = header["dataWindow"]
        require_size(int(high[1] - low[1]) + 1, int(high[0] - low[0]) + 1)
        units = OpenEXR.File(str(path), separate_channels=True).channels()[_EXR_CHANNEL].pixels
    text = header.get(METADATA_KEY)
    metadata = {} if text is None else parse_metadata(text)
    return _from_floats(units, metadata, scale)


def _from_floats(units: NDArray[Any], metadata: dict[str, Any], scale: float | None) -> Contents:
    scale = units_per_metre(metadata, scale)
    metres = known_or_zero(units if scale == 1 else units / np.float64(scale))
    return Contents(metres, metadata)
