"""The table of output formats, and how files in them are written, read and recognised.

To add a format, write one file with its encoder (and decoder, if depth can be read back from it)
and add one row to `_TABLE`. The command line, the folder jobs and the service read this table.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from glpn.errors import DataError, GLPNError, MissingInput, UsageError
from glpn.files.paths import atomic_file

if TYPE_CHECKING:
    from glpn.files.contents import Contents


@dataclass(frozen=True)
class Format:
    """One kind of output file.

    Functions are given as "module.function" of this package and imported when first used.

    Attributes:
        name: what --format and `format=` call it.
        suffix: of file names; the longest matching suffix decides.
        media_type: for HTTP.
        help: one phrase for help texts.
        writer: `Contents` and keyword options → bytes.
        metadata: an open file → the text of its metadata, or None.
        reader: bytes and the caller's scale → `Contents`; empty where depth cannot be read back.
        magic: the first bytes of a file that the reader understands.
        ending: the last bytes of a complete file, where they are always the same.
        quantity: what the pixels are: "depth", "sigma" or "colors".
        package: the package of the extra "3d" that the format needs.
        needs_photo: the file shows the photo's own colours.
    """

    name: str
    suffix: str
    media_type: str
    help: str
    writer: str
    metadata: str
    reader: str = ""
    magic: tuple[bytes, ...] = ()
    ending: bytes = b""
    quantity: str = "depth"
    package: str = ""
    needs_photo: bool = False

    @property
    def encode(self) -> Callable[..., bytes]:
        """The writer."""
        return cast(Callable[..., bytes], _function(self.writer))

    @property
    def options(self) -> tuple[str, ...]:
        """The names of the writer's options."""
        parameters = inspect.signature(self.encode).parameters.values()
        return tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)

    @property
    def is_installed(self) -> bool:
        """Whether the package that it needs is there."""
        return not self.package or importlib.util.find_spec(self.package) is not None


_PNG_ENDING = b"IEND\xaeB`\x82"
_TABLE = (
    Format(
        name="png16",
        suffix=".png",
        media_type="image/png",
        help="16-bit millimetres",
        writer="png.encode_depth",
        metadata="png.read_metadata",
        reader="png.decode_depth",
        magic=(b"\x89PNG",),
        ending=_PNG_ENDING,
    ),
    Format(
        name="npz",
        suffix=".npz",
        media_type="application/x-npz",
        help="NumPy arrays",
        writer="npz.encode",
        metadata="npz.read_metadata",
        reader="npz.decode",
        magic=(b"PK\x03\x04",),
    ),
    Format(
        name="exr",
        suffix=".exr",
        media_type="image/x-exr",
        help="OpenEXR, floats in metres",
        writer="exr.encode",
        metadata="exr.read_metadata",
        reader="exr.decode",
        magic=(b"v/1\x01",),
        package="OpenEXR",
    ),
    Format(
        name="tiff",
        suffix=".tiff",
        media_type="image/tiff",
        help="floats in metres",
        writer="tiff.encode",
        metadata="tiff.read_metadata",
        reader="tiff.decode",
        magic=(b"II*\0", b"MM\0*"),
    ),
    Format(
        name="ply",
        suffix=".ply",
        media_type="model/ply",
        help="coloured points",
        writer="ply.encode",
        metadata="ply.read_metadata",
        package="trimesh",
        needs_photo=True,
    ),
    Format(
        name="glb",
        suffix=".glb",
        media_type="model/gltf-binary",
        help="textured mesh",
        writer="glb.encode",
        metadata="glb.read_metadata",
        package="trimesh",
        needs_photo=True,
    ),
    Format(
        name="vis",
        suffix=".vis.png",
        media_type="image/png",
        help="colours to look at",
        writer="png.encode_colors",
        metadata="png.read_metadata",
        ending=_PNG_ENDING,
        quantity="colors",
    ),
    Format(
        name="sigma",
        suffix=".sigma.png",
        media_type="image/png",
        help="the uncertainty in 16-bit millimetres",
        writer="png.encode_sigma",
        metadata="png.read_metadata",
        ending=_PNG_ENDING,
        quantity="sigma",
    ),
)
FORMATS: Mapping[str, Format] = MappingProxyType({row.name: row for row in _TABLE})

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
    EOFError,
    MemoryError,
    StopIteration,
    zlib.error,
    struct.error,
    Warning,
    zipfile.BadZipFile,
)


def format_of(path: str | Path) -> str:
    """The name of the format that a file name's suffix stands for.

    Raises:
        UsageError: none; the message lists the suffixes.
    """
    name = Path(path).name.lower()
    name = name + "f" if name.endswith(".tif") else name
    matching = [row for row in _TABLE if name.endswith(row.suffix)]
    if not matching:
        suffixes = ", ".join(row.suffix for row in _TABLE)
        raise UsageError(f"{path}: expected a name that ends in one of {suffixes}, or a format")
    return max(matching, key=lambda row: len(row.suffix)).name


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
        path: where to.
        contents: what to write.
        format: a key of FORMATS; by default the suffix decides.
        overwrite: replace an existing file.
        **options: of the format's writer.

    Raises:
        UsageError: the format or an option is unknown, or the depth does not fit the format.
        MissingDependency: the format needs a package that is not installed.
        CannotCreateOutput, OutputFailed: as `atomic_file`.
    """
    row = _require_format(format_of(path) if format is None else format)
    _require_options(row, options)
    with atomic_file(path, overwrite=overwrite) as file:
        file.write(row.encode(contents, **options))
    return Path(path)


def encode(contents: Contents, format: str, **options: object) -> bytes:
    """The bytes of the file that `write` makes; raises what `write` does, except file errors."""
    row = _require_format(format)
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
    readers = [row.reader for row in _TABLE if row.reader and data.startswith(row.magic)]
    if not readers:
        readable = ", ".join(row.name for row in _TABLE if row.reader)
        raise DataError(f"{path}: expected a depth map ({readable}), got another kind of file")
    decode = cast("Callable[[bytes, float | None], Contents]", _function(readers[0]))
    try:
        return decode(data, scale)
    except GLPNError as e:
        raise type(e)(f"{path}: {e}") from e
    except _DAMAGE as e:
        raise DataError(f"{path}: damaged: {e}") from e


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
    row = _require_format(format)
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


def label(path: str | Path, format: str) -> Mapping[str, Any]:
    """What a file of this format says about itself; {} where it is damaged or says nothing.

    Raises:
        UsageError: the format is unknown.
        MissingDependency: EXR needs the package OpenEXR.
    """
    from glpn.files.contents import parse_metadata

    read_metadata = cast(
        Callable[[BinaryIO], "str | None"], _function(_require_format(format).metadata)
    )
    try:
        with open(path, "rb") as file:
            return parse_metadata(read_metadata(file))
    except DataError:
        return {}
    except GLPNError:
        raise
    except _DAMAGE:
        return {}


def _function(reference: str) -> object:
    """The object that "module.function" of this package names."""
    module, _, name = reference.partition(".")
    return getattr(importlib.import_module(f"{__package__}.{module}"), name)


def _require_options(row: Format, options: Mapping[str, object]) -> None:
    unknown = sorted(options.keys() - set(row.options))
    if unknown:
        known = ", ".join(row.options) or "none"
        raise UsageError(f"{row.name} has no option {unknown[0]!r}; it has: {known}")


def _require_format(format: str) -> Format:
    if format not in FORMATS:
        raise UsageError(f"format: expected one of {', '.join(FORMATS)}; got {format!r}")
    return FORMATS[format]
