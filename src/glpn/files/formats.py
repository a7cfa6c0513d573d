"""The door of `files`: which formats there are, writing one, reading one, checking one."""

from __future__ import annotations

import inspect
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image

from glpn.errors import DataError, GLPNError, MissingInput, UsageError
from glpn.files import checks, labels, rasters, scenes
from glpn.files.contents import MAX_PIXELS, Contents
from glpn.files.paths import atomic_file

_Decoder = Callable[[bytes, float | None], Contents]


@dataclass(frozen=True)
class Format:
    """One kind of file.

    Attributes:
        suffix: of its names; `.vis.png` and `.sigma.png` are told from `.png`.
        encode: `Contents` and keyword options → bytes.
        is_complete: whether an open file of this kind is whole, judged from its ends.
        label: the text of the metadata of an open file, or None.
    """

    suffix: str
    encode: Callable[..., bytes]
    is_complete: Callable[[BinaryIO], bool]
    label: Callable[[BinaryIO], Any]

    @property
    def options(self) -> tuple[str, ...]:
        """The names of the encoder's options."""
        parameters = inspect.signature(self.encode).parameters.values()
        return tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)


FORMATS: Mapping[str, Format] = {
    "png16": Format(".png", rasters.encode_png16, checks.png16_is_complete, labels.png_label),
    "npz": Format(".npz", rasters.encode_npz, checks.npz_is_complete, labels.npz_label),
    "exr": Format(".exr", rasters.encode_exr, checks.exr_is_complete, labels.exr_label),
    "tiff": Format(".tiff", rasters.encode_tiff, checks.tiff_is_complete, labels.tiff_label),
    "ply": Format(".ply", scenes.encode_ply, checks.ply_is_complete, labels.ply_label),
    "glb": Format(".glb", scenes.encode_glb, checks.glb_is_complete, labels.glb_label),
    "vis": Format(".vis.png", rasters.encode_vis, checks.vis_is_complete, labels.png_label),
    "sigma": Format(".sigma.png", rasters.encode_sigma, checks.sigma_is_complete, labels.png_label),
}

# A file is read as what its first bytes say, whatever its name.
_DECODERS: Mapping[bytes, _Decoder] = {
    b"\x89PNG": rasters.decode_png16,
    b"PK\x03\x04": rasters.decode_npz,
    b"v/1\x01": rasters.decode_exr,
    b"II*\0": rasters.decode_tiff,
    b"MM\0*": rasters.decode_tiff,
}
_LARGEST_FILE = 4 * MAX_PIXELS + (1 << 20)  # bytes: float32 and a generous header

# What Pillow, NumPy, zipfile and OpenEXR raise when the bytes make no sense.
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
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    Image.DecompressionBombError,
    Warning,  # where warnings are errors
)


def format_of(path: str | Path) -> str:
    """The format that a file name's suffix stands for.

    Raises:
        UsageError: none; the message lists the suffixes.
    """
    name = Path(path).name.lower()
    name = name + "f" if name.endswith(".tif") else name
    matching = [key for key, kind in FORMATS.items() if name.endswith(kind.suffix)]
    if not matching:
        suffixes = ", ".join(kind.suffix for kind in FORMATS.values())
        raise UsageError(f"{path}: expected a name that ends in one of {suffixes}, or a format")
    return max(matching, key=lambda key: len(FORMATS[key].suffix))


def write(
    path: str | Path,
    contents: Contents,
    *,
    format: str | None = None,
    overwrite: bool = False,
    **options: Any,
) -> Path:
    """Write one file, whole or not at all.

    Args:
        path: its name.
        contents: what to write.
        format: a key of FORMATS; by default what the suffix says.
        overwrite: replace what is there.
        **options: of the format's encoder.

    Raises:
        UsageError: the format or an option is unknown, or the depth does not fit the format.
        MissingDependency: the format needs a package that is not installed.
        CannotCreateOutput, OutputFailed: as `atomic_file`.
    """
    format = _require_format(format_of(path) if format is None else format)
    _require_options(format, options)
    with atomic_file(path, overwrite=overwrite) as file:
        file.write(FORMATS[format].encode(contents, **options))
    return Path(path)


def encode(contents: Contents, format: str, **options: Any) -> bytes:
    """The bytes that `write` would put into a file; errors as there, but for the file's own."""
    _require_options(_require_format(format), options)
    return FORMATS[format].encode(contents, **options)


def read(path: str | Path, *, scale: float | None = None) -> Contents:
    """Read a depth map that `write` wrote, or a plain one of others whose scale is known.

    Args:
        path: a 16-bit PNG, NPZ, EXR or TIFF file.
        scale: units per metre, where the file does not say.

    Raises:
        MissingInput: there is no such file.
        UsageError: the file does not say its scale, nor do you; or they differ.
        DataError: it is damaged, too large, or no depth map.
        MissingDependency: it is an EXR file and OpenEXR is not installed.
    """
    path = Path(path)
    data = _bytes_of(path)
    decode = _DECODERS.get(data[:4])
    if decode is None:
        raise DataError(f"{path}: expected a PNG, NPZ, EXR or TIFF file")
    try:
        return decode(data, scale)
    except GLPNError as e:
        raise type(e)(f"{path}: {e}") from e
    except _DAMAGE as e:
        raise DataError(f"{path}: damaged: {e}") from e


def _bytes_of(path: Path) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe would wait for ever
            raise DataError(f"{path}: not a regular file")
        if status.st_size > _LARGEST_FILE:
            raise DataError(f"{path}: {status.st_size} bytes; expected at most {_LARGEST_FILE}")
        return path.read_bytes()
    except FileNotFoundError as e:
        raise MissingInput(f"{path}: no such file") from e
    except GLPNError:
        raise
    except (OSError, ValueError) as e:
        raise DataError(f"{path}: cannot be read: {e}") from e


def valid_output(path: str | Path, format: str) -> bool:
    """Whether a complete file of this format is there already, so that a job may skip it.

    Looks at the file's ends, not at every pixel.

    Raises:
        UsageError: the format is unknown.
    """
    kind = FORMATS[_require_format(format)]
    try:
        if not stat.S_ISREG(Path(path).stat().st_mode):
            return False
        with open(path, "rb") as file:
            return kind.is_complete(file)
    except (*_DAMAGE, StopIteration, DataError):
        return False


def label(path: str | Path, format: str) -> Mapping[str, Any]:
    """What a file of this format says about itself; {} where it is damaged or says nothing.

    Raises:
        UsageError: the format is unknown.
        MissingDependency: EXR needs `pip install 'glpn[3d]'`.
    """
    kind = FORMATS[_require_format(format)]
    try:
        return labels.read_with(kind.label, Path(path))
    except (*_DAMAGE, DataError):
        return {}


def _require_options(format: str, options: Mapping[str, Any]) -> None:
    kind = FORMATS[format]
    unknown = sorted(options.keys() - set(kind.options))
    if unknown:
        known = ", ".join(kind.options) or "none"
        raise UsageError(f"{format} has no option {unknown[0]!r}; it has: {known}")


def _require_format(format: str) -> str:
    if format not in FORMATS:
        raise UsageError(f"format: expected one of {', '.join(FORMATS)}; got {format!r}")
    return format
