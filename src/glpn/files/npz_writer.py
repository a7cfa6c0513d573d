"""Writes NPZ: a NumPy archive of metres, intrinsics and metadata, no pickle; reads it back."""

from __future__ import annotations

import dataclasses
import io
import math
import zipfile
from typing import BinaryIO

import numpy as np

from glpn.errors import DataError
from glpn.files.contents import (
    MAX_METADATA_CHARACTERS,
    MAX_PIXELS,
    METADATA_KEY,
    Contents,
    contents_of_floats,
    parse_metadata,
    require_size,
)


def encode(contents: Contents) -> bytes:
    """NumPy archive: `metres` float32, `intrinsics` 3×3 in pixels, `glpn` JSON.

    `sigma` float32, one standard deviation in metres, is there too where it is known.
    """
    camera = contents.camera
    intrinsics = [[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]]
    arrays = {
        "metres": contents.metres,
        "intrinsics": np.array(intrinsics, np.float64),
        METADATA_KEY: np.array(contents.described()),
    }
    if contents.sigma is not None:
        arrays["sigma"] = contents.sigma
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]  # a stub without keywords
    return buffer.getvalue()


def decode(data: bytes, scale: float | None) -> Contents:
    """An NPZ that `encode` made. Declared sizes are checked before memory is allocated."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        text = _array(archive, METADATA_KEY, "<U", max_bytes=4 * MAX_METADATA_CHARACTERS)
        metadata = parse_metadata(text.item() if text.ndim == 0 else None)
        units = _array(archive, "metres", "<f4", max_bytes=4 * MAX_PIXELS)
        sigma = None
        if "sigma.npy" in archive.namelist():
            sigma = _array(archive, "sigma", "<f4", max_bytes=4 * MAX_PIXELS)
    if units.ndim != 2:
        raise DataError(f"metres: expected shape [height, width], got {list(units.shape)}")
    require_size(*units.shape)
    return dataclasses.replace(contents_of_floats(units, metadata, scale), sigma=sigma)


def read_metadata(file: BinaryIO) -> str | None:
    """The one text among the arrays."""
    with zipfile.ZipFile(file) as archive:
        text = _array(archive, METADATA_KEY, "<U", max_bytes=4 * MAX_METADATA_CHARACTERS)
    return str(text.item()) if text.ndim == 0 else None


def _array(archive: zipfile.ZipFile, name: str, kind: str, *, max_bytes: int) -> np.ndarray:
    """One array of at most `max_bytes`, whose type's name starts with `kind`."""
    with archive.open(f"{name}.npy") as member:
        if np.lib.format.read_magic(member) != (1, 0):
            raise DataError(f"{name}: expected an array of format 1.0")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(member)
        if not dtype.str.startswith(kind) or fortran:
            raise DataError(f"{name}: expected a C-ordered array of type {kind}, got {dtype.str}")
        declared = math.prod(shape) * dtype.itemsize
        if min(shape, default=0) < 0 or declared > max_bytes:
            raise DataError(f"{name}: declares the shape {list(shape)}, {declared} bytes")
        buffer = member.read(declared)
    return np.frombuffer(buffer, dtype).reshape(shape)
