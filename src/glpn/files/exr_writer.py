"""Writes OpenEXR: a float channel Z in metres, metadata in the attribute "glpn"; reads it back."""

from __future__ import annotations

import math
import struct
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from glpn.errors import DataError, OutputFailed
from glpn.files.contents import (
    MAX_PIXELS,
    METADATA_KEY,
    Contents,
    contents_of_floats,
    parse_metadata,
    require_package,
    require_size,
)

_CHANNEL = "Z"  # OpenEXR's standard name for depth
MAX_VALUES = 4 * MAX_PIXELS  # of all channels and parts together
_MAGIC = b"v/1\x01"


def encode(contents: Contents) -> bytes:
    """OpenEXR with one float channel Z in metres.

    Raises:
        MissingDependency: OpenEXR is not installed.
        OutputFailed: the disk for temporary files is full.
    """
    OpenEXR = require_package("OpenEXR", "exr")
    header = {
        "compression": OpenEXR.ZIP_COMPRESSION,
        "type": OpenEXR.scanlineimage,
        METADATA_KEY: contents.described(),
    }
    file = OpenEXR.File(header, {_CHANNEL: np.ascontiguousarray(contents.metres)})
    with tempfile.TemporaryDirectory(prefix="glpn-") as folder:  # versions < 3.5 need a real file
        path = Path(folder, "depth.exr")
        try:
            file.write(str(path))
        except RuntimeError as e:
            raise OutputFailed(f"temporary file: {e}") from e
        data = path.read_bytes()
    if not _is_complete(data):  # OpenEXR does not report every full disk
        raise OutputFailed(f"{path}: the temporary file is incomplete")
    return data


def decode(data: bytes, scale: float | None) -> Contents:
    """OpenEXR with a channel Z, from `encode` or another program if the caller knows the scale."""
    OpenEXR = require_package("OpenEXR", "exr")
    if not _is_complete(data):  # OpenEXR only prints a warning where pixels are missing
        raise DataError("truncated, or not a plain scan-line file")
    with tempfile.TemporaryDirectory(prefix="glpn-") as folder:
        path = Path(folder, "depth.exr")
        path.write_bytes(data)
        file = OpenEXR.File(str(path), header_only=True)
        require_decodable(file)
        header = file.header()
        require_size(*_size(header))
        units = OpenEXR.File(str(path), separate_channels=True).channels()[_CHANNEL].pixels
    text = header.get(METADATA_KEY)
    metadata = {} if text is None else parse_metadata(text)
    return contents_of_floats(units, metadata, scale)


def require_decodable(file: Any) -> None:
    """Refuse an `OpenEXR.File` with more values than MAX_VALUES: the library decodes all of them.

    Raises:
        DataError: the channels of all parts have too many values.
    """
    headers = [part.header for part in file.parts]
    values = sum(math.prod(_size(header)) * len(header["channels"]) for header in headers)
    if values > MAX_VALUES:
        raise DataError(f"EXR with {values} values in all its channels; at most {MAX_VALUES}")


def _size(header: Mapping[str, Any]) -> tuple[int, int]:
    """(height, width) of a part; at least 0."""
    (left, top), (right, bottom) = ([int(side) for side in end] for end in header["dataWindow"])
    return max(bottom - top + 1, 0), max(right - left + 1, 0)


def read_metadata(file: BinaryIO) -> str | None:
    """An attribute of the header."""
    OpenEXR = require_package("OpenEXR", "exr")
    text = OpenEXR.File(str(file.name), header_only=True).header().get(METADATA_KEY)
    return text if isinstance(text, str) else None


def _is_complete(data: bytes) -> bool:
    """Whether the last chunk of a scan-line file, found by the offset table, ends the file.

    OpenEXR file layout: magic and version, attributes (name, type, size, value) up to an empty
    name, one 64-bit offset per chunk; a chunk is its first row, its size, its data.
    """
    if not data.startswith(_MAGIC):
        return False
    position = 8
    while data[position]:
        position = data.index(b"\0", data.index(b"\0", position) + 1) + 1
        position += 4 + struct.unpack_from("<I", data, position)[0]
    (first,) = struct.unpack_from("<Q", data, position + 1)
    (last,) = struct.unpack_from("<Q", data, first - 8)
    _row, length = struct.unpack_from("<iI", data, last)
    return bool(last + 8 + length == len(data))
