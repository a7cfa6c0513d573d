"""What the user named → photographs: files, folders, patterns, standard input."""

from __future__ import annotations

import glob
import os
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glpn.errors import GLPNError, MissingInput, UsageError
from glpn.files.contents import METADATA_KEY

STANDARD_INPUT = "-"
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")  # of photographs in a folder; those named are any

# How our own PNGs differ from photographs: the first chunk after the header is our text.
_OWN_CHUNK = f"tEXt{METADATA_KEY}\0".encode("ascii")
_WITHIN = 64  # bytes from the start


@dataclass(frozen=True)
class Input:
    """One photograph to be read.

    Attributes:
        name: as the user would say it.
        path: where it lies; None is standard input.
    """

    name: str
    path: Path | None = None

    @property
    def image(self) -> str:
        """The path in full, which a job remembers it by."""
        return self.name if self.path is None else os.path.abspath(self.path)

    @property
    def source(self) -> Any:
        """What `glpn.image.photo.read_photo` takes.

        Raises:
            UsageError: standard input is wanted and closed.
        """
        if self.path is not None:
            return self.path
        if sys.stdin is None:
            raise UsageError("standard input is closed")
        return sys.stdin.buffer


def gather(
    arguments: Iterable[str], *, recursive: bool
) -> tuple[list[Input], list[tuple[str, GLPNError]]]:
    """Find all photographs, each once, in the order given; folders and patterns sorted.

    Args:
        arguments: paths of files and folders, patterns with `*`, `?`, `[…]` or `**`, "-".
        recursive: look into the folders of folders too; links to folders are not followed.

    Returns:
        The photographs, and the arguments that lead to none, each with the reason.
    """
    found: dict[str, Input] = {}
    failures: list[tuple[str, GLPNError]] = []
    for argument in arguments:
        for item in _expand(argument, recursive):
            if isinstance(item, GLPNError):
                failures.append((argument, item))
            elif item is None:
                found.setdefault(STANDARD_INPUT, Input("stdin"))
            else:
                found.setdefault(os.path.abspath(item), Input(str(item), item))
    return list(found.values()), failures


def is_job(arguments: Sequence[str]) -> bool:
    """Whether more than one photograph may come of this: several, a folder, a pattern."""
    if len(arguments) != 1 or os.path.isdir(arguments[0]):
        return True
    return glob.has_magic(arguments[0]) and not os.path.lexists(arguments[0])


def _expand(argument: str, recursive: bool) -> Iterator[Path | GLPNError | None]:
    """The files behind one argument, None for standard input, errors for what leads nowhere."""
    if argument == STANDARD_INPUT:
        yield None
    elif argument and os.path.isdir(argument):
        yield from _photographs(Path(argument), recursive)
    elif os.path.lexists(argument):
        yield Path(argument)
    elif glob.has_magic(argument):
        matches = sorted(glob.glob(argument, recursive=True))
        for match in matches:
            yield from _expand(match, recursive)
        if not matches:
            yield MissingInput(f"{argument}: no file matches this pattern")
    else:
        yield MissingInput(f"{argument or repr(argument)}: no such file or folder")


def _photographs(folder: Path, recursive: bool) -> Iterator[Path | GLPNError]:
    """A folder's photographs; hidden files and the pictures that glpn wrote are none."""
    unreadable: list[OSError] = []
    empty = True
    for parent, folders, names in os.walk(folder, onerror=unreadable.append):
        folders.sort()
        if not recursive:
            folders.clear()
        for name in sorted(names):
            path = Path(parent, name)
            if name.lower().endswith(SUFFIXES) and name[0] != "." and not _is_our_own(path):
                empty = False
                yield path
    for error in unreadable:
        yield MissingInput(f"{error.filename}: cannot be read: {error.strerror}")
    if empty and not unreadable:
        deeper = "" if recursive else "; --recursive looks into its folders"
        yield MissingInput(f"{folder}: no {', '.join(SUFFIXES)} in this folder{deeper}")


def _is_our_own(path: Path) -> bool:
    """Whether this is a depth map or a colour picture that glpn wrote; never waits for a pipe."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return False
        with path.open("rb") as file:
            return _OWN_CHUNK in file.read(_WITHIN)
    except OSError:
        return False  # the reader of photographs says what is wrong
