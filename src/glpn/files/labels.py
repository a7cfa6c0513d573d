"""What a file that glpn wrote says about itself, read without its pixels."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from glpn.files.contents import LONGEST_METADATA, METADATA_KEY, parse_metadata, require_extra

_IMAGE_DESCRIPTION = 270  # TIFF 6.0 tag
_LONGEST_HEADER = 1 << 20  # bytes of a PLY header


def png_label(file: BinaryIO) -> Any:
    """The text of the chunk before the pixels."""
    with Image.open(file, formats=("PNG",)) as image:
        return image.info.get(METADATA_KEY)


def tiff_label(file: BinaryIO) -> Any:
    """The image's description."""
    with Image.open(file, formats=("TIFF",)) as image:
        return image.getexif().get(_IMAGE_DESCRIPTION)


def npz_label(file: BinaryIO) -> Any:
    """The one text among the arrays."""
    with (
        zipfile.ZipFile(file) as archive,
        archive.open(archive.getinfo(f"{METADATA_KEY}.npy")) as member,
    ):
        np.lib.format.read_magic(member)
        shape, _, dtype = np.lib.format.read_array_header_1_0(member)
        if shape or dtype.kind != "U" or dtype.itemsize > 4 * LONGEST_METADATA:
            return None
        return np.frombuffer(member.read(dtype.itemsize), dtype)[0].item()


def exr_label(file: BinaryIO) -> Any:
    """An attribute of the header."""
    header = require_extra("OpenEXR", "exr").File(str(file.name), header_only=True).header()
    return header.get(METADATA_KEY)


def ply_label(file: BinaryIO) -> Any:
    """A comment of the header."""
    start = f"comment {METADATA_KEY} ".encode("ascii")
    for line in file.read(_LONGEST_HEADER).partition(b"end_header\n")[0].split(b"\n"):
        if line.startswith(start):
            return line.removeprefix(start).decode("ascii")
    return None


def glb_label(file: BinaryIO) -> Any:
    """The extras of the asset in the first chunk, JSON (glTF 2.0, section 4.4.3)."""
    length, kind = struct.unpack("<I4s", file.read(20)[12:])
    if kind != b"JSON" or length > 16 * LONGEST_METADATA:
        return None
    return json.dumps(json.loads(file.read(length))["asset"]["extras"][METADATA_KEY])


def read_with(label: Callable[[BinaryIO], Any], path: Path) -> Mapping[str, Any]:
    """The metadata that `label` finds; errors of any kind are the caller's to catch."""
    with open(path, "rb") as file:
        return parse_metadata(label(file))
