"""The table of output formats.

To add a format, write one file with its encoder (and decoder, if depth can be read back from it)
and add one row to `_TABLE`. The command line, the folder jobs and the service read this table.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, BinaryIO, cast

from glpn.errors import UsageError, require_choice

if TYPE_CHECKING:
    from glpn.files.contents import Contents


@dataclass(frozen=True)
class Format:
    """One kind of output file.

    Functions are given as "module.function" of this package and imported when first used.

    Attributes:
        name: what --format and `format=` call it.
        suffix: suffix of the file names; the longest matching suffix decides.
        media_type: the value of Content-Type in HTTP responses.
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
    def decode(self) -> Callable[[bytes, float | None], Contents]:
        """The reader."""
        return cast("Callable[[bytes, float | None], Contents]", _function(self.reader))

    @property
    def read_metadata(self) -> Callable[[BinaryIO], str | None]:
        """Reads the text of the metadata of an open file."""
        return cast("Callable[[BinaryIO], str | None]", _function(self.metadata))

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
        writer="png_writer.encode_depth",
        metadata="png_writer.read_metadata",
        reader="png_writer.decode_depth",
        magic=(b"\x89PNG",),
        ending=_PNG_ENDING,
    ),
    Format(
        name="npz",
        suffix=".npz",
        media_type="application/x-npz",
        help="NumPy arrays",
        writer="npz_writer.encode",
        metadata="npz_writer.read_metadata",
        reader="npz_writer.decode",
        magic=(b"PK\x03\x04",),
    ),
    Format(
        name="exr",
        suffix=".exr",
        media_type="image/x-exr",
        help="OpenEXR, floats in metres",
        writer="exr_writer.encode",
        metadata="exr_writer.read_metadata",
        reader="exr_writer.decode",
        magic=(b"v/1\x01",),
        package="OpenEXR",
    ),
    Format(
        name="tiff",
        suffix=".tiff",
        media_type="image/tiff",
        help="floats in metres",
        writer="tiff_writer.encode",
        metadata="tiff_writer.read_metadata",
        reader="tiff_writer.decode",
        magic=(b"II*\0", b"MM\0*"),
    ),
    Format(
        name="ply",
        suffix=".ply",
        media_type="model/ply",
        help="coloured points",
        writer="ply_writer.encode",
        metadata="ply_writer.read_metadata",
        package="trimesh",
        needs_photo=True,
    ),
    Format(
        name="glb",
        suffix=".glb",
        media_type="model/gltf-binary",
        help="textured mesh",
        writer="glb_writer.encode",
        metadata="glb_writer.read_metadata",
        package="trimesh",
        needs_photo=True,
    ),
    Format(
        name="vis",
        suffix=".vis.png",
        media_type="image/png",
        help="colours to look at",
        writer="png_writer.encode_colors",
        metadata="png_writer.read_metadata",
        ending=_PNG_ENDING,
        quantity="colors",
    ),
    Format(
        name="sigma",
        suffix=".sigma.png",
        media_type="image/png",
        help="the uncertainty in 16-bit millimetres",
        writer="png_writer.encode_sigma",
        metadata="png_writer.read_metadata",
        ending=_PNG_ENDING,
        quantity="sigma",
    ),
)
FORMATS: Mapping[str, Format] = MappingProxyType({row.name: row for row in _TABLE})


def format_of(path: str | Path) -> str:
    """The name of the format to which the suffix of a file name belongs.

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


def require_format(format: str) -> Format:
    """The row of a name; an unknown name raises UsageError."""
    require_choice("format", format, FORMATS)
    return FORMATS[format]


def _function(reference: str) -> object:
    """The object that "module.function" of this package names."""
    module, _, name = reference.partition(".")
    return getattr(importlib.import_module(f"{__package__}.{module}"), name)
