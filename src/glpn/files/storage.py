"""Writing, reading and recognising depth files in any format of the table."""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from glpn.errors import DataError, GLPNError, MissingInput, UsageError, reason
from glpn.files.formats import FORMATS, Format, format_of, require_format
from glpn.files.paths import atomic_file

if TYPE_CHECKING:
    from glpn.files.contents import Contents

_MAX_FILE_BYTES = (4 * 64_000_000) + (1 << 20)  # float32 of contents.MAX_PIXELS, a large header

# The errors of Pillow, NumPy, zipfile and OpenEXR for bytes that make no sense, and warnings where
# the caller turns those into errors.
_DAMAGE = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    SyntaxError,
    tokenize.TokenError,  # NumPy, for the header of an array
    EOFError,
    MemoryError,
    StopIteration,
    zlib.error,
    struct.error,
    Warning,
    zipfile.BadZipFile,
)


def write(
    path: str | Path,
    contents: Contents,
    *,
    format: str | None = None,
    overwrite: bool = False,
    **options: object,
) -> Path:
    """Write one file, whole or not at all.

    Args:
        path: the file to write.
        contents: what to write.
        format: a key of FORMATS; by default the suffix decides.
        overwrite: replace an existing file.
        **options: of the format's writer.

    Raises:
        UsageError: the format or an option is unknown, or the depth does not fit the format.
        MissingDependency: the format needs a package that is not installed.
        CannotCreateOutput, OutputFailed: as `atomic_file`.
    """
    row = require_format(format_of(path) if format is None else format)
    _require_options(row, options)
    with atomic_file(path, overwrite=overwrite) as file:
        file.write(row.encode(contents, **options))
    return Path(path)


def encode(contents: Contents, format: str, **options: object) -> bytes:
    """The bytes of the file that `write` makes; raises what `write` does, except file errors."""
    row = require_format(format)
    _require_options(row, options)
    return row.encode(contents, **options)


def read(path: str | Path, *, scale: float | None = None) -> Contents:
    """Read a depth map that `write` wrote, or another program's depth map of known scale.

    The first bytes of the file decide its format, not its name.

    Args:
        path: a 16-bit PNG, NPZ, EXR or TIFF file.
        scale: units per metre, where the file does not say.

    Raises:
        MissingInput: there is no such file.
        UsageError: neither the file nor `scale` states the units, or they differ.
        DataError: the file is damaged, too large, or no depth map.
        MissingDependency: it is an EXR file and OpenEXR is not installed.
    """
    path = Path(path)
    data = _file_bytes(path)
    readers = [row for row in FORMATS.values() if row.reader and data.startswith(row.magic)]
    if not readers:
        readable = ", ".join(row.name for row in FORMATS.values() if row.reader)
        raise DataError(f"{path}: expected a depth map ({readable}), got another kind of file")
    try:
        return readers[0].decode(data, scale)
    except GLPNError as e:
        raise type(e)(f"{path}: {e}") from e
    except _DAMAGE as e:
        raise DataError(f"{path}: damaged: {reason(e)}") from e


def _file_bytes(path: Path) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise DataError(f"{path}: not a regular file")
        with open(path, "rb") as file:
            data = file.read(_MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise MissingInput(f"{path}: no such file") from None
    except DataError:
        raise
    except (OSError, ValueError) as e:
        raise DataError(f"{path}: cannot be read: {e}") from e
    if len(data) > _MAX_FILE_BYTES:
        raise DataError(f"{path}: larger than {_MAX_FILE_BYTES} bytes")
    return data


def fingerprint(path: str | Path) -> dict[str, object]:
    """The length and hash of a file, for the record that `valid_output` compares later."""
    data = Path(path).read_bytes()
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def valid_output(
    path: str | Path, format: str, recorded: Mapping[str, object] = MappingProxyType({})
) -> bool:
    """Whether `path` is a file that glpn wrote in this format, so that a job may skip it.

    Args:
        path: any path.
        format: a key of FORMATS.
        recorded: the file's `fingerprint` from when it was written. Without one, the file only
            has to describe itself as this format and end like it; files are written atomically.

    Raises:
        UsageError: the format is unknown.
    """
    row = require_format(format)
    try:
        status = Path(path).stat()
        if not stat.S_ISREG(status.st_mode):
            return False
        if "sha256" in recorded:
            return recorded.get("bytes") == status.st_size and fingerprint(path) == {
                key: recorded[key] for key in ("bytes", "sha256")
            }
        with open(path, "rb") as file:
            file.seek(-len(row.ending), os.SEEK_END)
            complete = file.read() == row.ending
        described = label(path, format) if complete else {}
    except (OSError, ValueError, GLPNError):
        return False
    return bool(described) and _quantity(described) == row.quantity


def _quantity(metadata: Mapping[str, object]) -> str:
    """What the pixels of a file with this metadata are, as `Format.quantity`."""
    return "colors" if "picture" in metadata else str(metadata.get("quantity", "depth"))


def label(path: str | Path, format: str) -> Mapping[str, object]:
    """What a file of this format says about itself; {} where it is damaged or says nothing.

    Raises:
        UsageError: the format is unknown.
        MissingDependency: EXR needs the package OpenEXR.
    """
    from glpn.files.contents import parse_metadata

    read_metadata = require_format(format).read_metadata
    try:
        with open(path, "rb") as file:
            return parse_metadata(read_metadata(file))
    except DataError:
        return {}
    except GLPNError:
        raise
    except _DAMAGE:
        return {}


def _require_options(row: Format, options: Mapping[str, object]) -> None:
    unknown = sorted(options.keys() - set(row.options))
    if unknown:
        known = ", ".join(row.options) or "none"
        raise UsageError(f"{row.name} has no option {unknown[0]!r}; it has: {known}")
