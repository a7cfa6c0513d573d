"""Inputs from the command line: photos, cameras, measured distances."""

from __future__ import annotations

import glob
import io
import os
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from select import select
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, TypedDict, cast

from glpn.cli.numbers import parse_place, positive
from glpn.concurrency import POLL_SECONDS, pause
from glpn.errors import GLPNError, MissingInput, UsageError
from glpn.image.limits import DEFAULT_LIMITS, ImageLimits

if TYPE_CHECKING:
    from glpn.camera.intrinsics import Intrinsics
    from glpn.cli.options import CameraGroup, MeasuredGroup
    from glpn.depth.measurements import Measurements
    from glpn.jobs import JobPhoto

STANDARD_INPUT = "-"
# Only these files in a folder count as photos. A file that is named explicitly may have any suffix.
_TIFF = (".tif", ".tiff")
SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".webp", ".avif", ".heic", ".heif", ".bmp", ".gif", ".ppm"),
    *_TIFF,
)

# The first chunk after the header tells depth PNGs written by glpn from photos.
_OWN_CHUNK = b"tEXtglpn\0"  # glpn.files.contents.METADATA_KEY
_OWN_CHUNK_WITHIN = 64  # bytes from the start of the file
_MAX_SHOWN = 120  # characters of an argument in a message; base64 text can be long


class Found(NamedTuple):
    """The result of `gather`.

    Attributes:
        photos: all photos, each once.
        failures: the arguments without a photo, each with its error.
        skipped: the other files in the folders.
    """

    photos: list[JobPhoto]
    failures: list[tuple[str, GLPNError]]
    skipped: list[Path]


class CameraOptions(TypedDict):
    """The camera of the command line, as keyword arguments of `DepthEstimator.__call__`."""

    focal: float | None
    fov: float | None
    camera: Intrinsics | None


def gather(arguments: Iterable[str], *, recursive: bool) -> Found:
    """Find all photos, each once, in the given order; folders and patterns are sorted.

    Args:
        arguments: paths of files and folders, patterns with `*`, `?`, `[…]` or `**`, "-".
        recursive: include subfolders; symbolic links to folders are not followed.
    """
    from glpn.jobs import JobPhoto

    found: dict[str, JobPhoto] = {}
    failures: list[tuple[str, GLPNError]] = []
    skipped: list[Path] = []
    for argument in arguments:
        for item in _expand(argument, recursive, skipped):
            if isinstance(item, GLPNError):
                failures.append((_shortened(argument), item))
            elif item is None:
                found.setdefault(STANDARD_INPUT, JobPhoto("stdin", "stdin", _standard_input))
            else:
                image = os.path.abspath(item)
                found.setdefault(image, JobPhoto(str(item), image, partial(Path, item)))
    return Found(list(found.values()), failures, skipped)


def _standard_input() -> BinaryIO:
    if sys.stdin is None:
        raise UsageError("standard input is closed")
    raw = getattr(sys.stdin.buffer, "raw", None)
    if os.name == "nt" or not isinstance(raw, io.FileIO):
        return sys.stdin.buffer
    return cast("BinaryIO", _Interruptible(raw))


class _Interruptible:
    """A pipe or terminal whose reader can give up while it waits."""

    def __init__(self, stream: io.FileIO) -> None:
        self._stream = stream

    def read(self, size: int) -> bytes | None:
        while not select([self._stream], [], [], POLL_SECONDS)[0]:
            pause()
        return self._stream.read(size)


def _shortened(argument: str) -> str:
    if len(argument) <= _MAX_SHOWN:
        return argument
    return f"{argument[:_MAX_SHOWN]}… ({len(argument)} characters)"


def is_job(arguments: Sequence[str]) -> bool:
    """Return whether the arguments can yield several photos: a list, a folder or a pattern."""
    if len(arguments) != 1 or os.path.isdir(arguments[0]):
        return True
    return glob.has_magic(arguments[0]) and not os.path.lexists(arguments[0])


def _expand(
    argument: str, recursive: bool, skipped: list[Path]
) -> Iterator[Path | GLPNError | None]:
    """Yield the files of one argument, None for standard input, or an error if there is no file."""
    if argument == STANDARD_INPUT:
        yield None
    elif argument and os.path.isdir(argument):
        yield from _photos(Path(argument), recursive, skipped)
    elif os.path.lexists(argument):
        yield Path(argument)
    elif glob.has_magic(argument):
        matches = sorted(glob.glob(argument, recursive=True))
        for match in matches:
            yield from _expand(match, recursive, skipped)
        if not matches:
            yield MissingInput(f"{argument}: no file matches this pattern")
    else:
        yield MissingInput(f"{_shortened(argument) or repr(argument)}: no such file or folder")


def _photos(folder: Path, recursive: bool, skipped: list[Path]) -> Iterator[Path | GLPNError]:
    """Yield a folder's photos, except hidden files and glpn's outputs; append to `skipped`."""
    unreadable: list[OSError] = []
    empty = True
    for parent, folders, names in os.walk(folder, onerror=unreadable.append):
        folders.sort()
        if not recursive:
            folders.clear()
        for name in sorted(names):
            path = Path(parent, name)
            if name[0] == ".":
                continue
            if not name.lower().endswith(SUFFIXES):
                skipped.append(path)
            elif not _is_our_own(path):
                empty = False
                yield path
    for error in unreadable:
        yield MissingInput(f"{error.filename}: cannot be read: {error.strerror}")
    if empty and not unreadable:
        deeper = "" if recursive else "; --recursive includes its subfolders"
        yield MissingInput(f"{folder}: no photo ({', '.join(SUFFIXES)}) in this folder{deeper}")


def _is_our_own(path: Path) -> bool:
    """Return whether glpn wrote this PNG or TIFF; never blocks on a pipe."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return False
        with path.open("rb") as file:
            if _OWN_CHUNK in file.read(_OWN_CHUNK_WITHIN):
                return True
    except OSError:
        return False  # the prediction opens the file again and raises the right error
    if not path.name.lower().endswith(_TIFF):
        return False
    from glpn.files import label

    return bool(label(path, "tiff"))


def image_limits(max_megapixels: float | None) -> ImageLimits:
    """Return the limits on photos for --max-megapixels.

    Raises:
        UsageError: the number is invalid.
    """
    megapixels = positive("--max-megapixels", max_megapixels, limit=10_000)
    return DEFAULT_LIMITS.raised_to(int(megapixels * 1e6)) if megapixels else DEFAULT_LIMITS


def camera(given: CameraGroup) -> CameraOptions:
    """Return the camera as keyword arguments of `DepthEstimator.__call__`.

    Raises:
        UsageError: more than one option is given, or a number is invalid.
        MissingInput, DataError: as `read_intrinsics`.
    """
    from glpn.camera.intrinsics_files import read_intrinsics

    values = (given.focal, given.fov, given.intrinsics)
    if sum(value is not None for value in values) > 1:
        raise UsageError("--focal, --fov, --intrinsics: give at most one of them")
    return {
        "focal": positive("--focal", given.focal),
        "fov": positive("--fov", given.fov, limit=180),
        "camera": None if given.intrinsics is None else read_intrinsics(given.intrinsics),
    }


def measurements(given: MeasuredGroup, camera: CameraOptions) -> Measurements | None:
    """Return the known depths and lengths, or None if there are none.

    Args:
        given: the values of --ref, --known, --sparse and --sparse-scale.
        camera: the result of the function `camera`.

    Raises:
        UsageError: a value is invalid, or contradicts the camera or another value.
        MissingInput, DataError: as `read_sparse`.
    """
    from glpn.camera.calibration import require_lengths, require_open_focal
    from glpn.depth.measurements import Measurements, read_sparse

    references, lengths, sparse = given.ref or (), given.known or (), given.sparse
    if sum(map(bool, (references, lengths, sparse))) > 1:
        raise UsageError("--ref, --known, --sparse: give one kind of them")
    if given.sparse_scale is not None and sparse is None:
        raise UsageError("--sparse-scale: is the scale of --sparse, which is not given")
    if any(value is not None for value in camera.values()):
        require_open_focal("--known", lengths, options="--focal, --fov and --intrinsics")
    read = Measurements(
        references=tuple(parse_place("--ref", text, count=3) for text in references),
        lengths=tuple(parse_place("--known", text, count=5) for text in lengths),
        sparse=None
        if sparse is None
        else read_sparse(sparse, scale=positive("--sparse-scale", given.sparse_scale)),
    )
    for option, values, count in (("--ref", read.references, 3), ("--known", read.lengths, 5)):
        if values:
            require_lengths(option, values, numbers=count)
    return read if references or lengths or sparse else None
