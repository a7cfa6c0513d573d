"""Places: sources of photos and destinations of files, local or on any file system of fsspec."""

from __future__ import annotations

import functools
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from glpn.errors import CannotCreateOutput, MissingDependency, MissingInput, OutputFailed
from glpn.image.photo import MAX_FILE_BYTES

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

# Stores that write objects atomically. On other file systems a finished file is renamed.
_WHOLE = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oci", "memory"})


@dataclass(frozen=True)
class Place:
    """A folder.

    Attributes:
        url: a path, or a URL such as s3://bucket/folder.
        folder: its path on this machine and all workers; None if it is read through fsspec.
    """

    url: str
    folder: Path | None

    def address(self, name: str) -> str:
        """The path or URL of a file in the place."""
        if self.folder is not None:
            return str(self.folder / name)
        return f"{self.url.rstrip('/')}/{name}"

    def names(self, *, recursive: bool, missing_ok: bool = False) -> list[str]:
        """The names of all files in a remote place, sorted.

        Args:
            recursive: include files in subfolders.
            missing_ok: return nothing if the place does not exist.

        Raises:
            MissingInput: the place does not exist or cannot be read.
            MissingDependency: the package for this kind of URL is not installed.
        """
        system, root = _open(self.url)
        with _reading(self.url):
            found = system.find(root, maxdepth=None if recursive else 1)
            if not found and not missing_ok and not system.exists(root):
                raise FileNotFoundError(root)
        start = len(root.rstrip("/")) + 1
        return sorted(path[start:] for path in found)

    def put(self, name: str, data: bytes) -> None:
        """Write or replace one file in a remote place, atomically.

        Raises:
            CannotCreateOutput: writing cannot begin.
            OutputFailed: writing cannot finish.
        """
        system, path = _open(self.address(name))
        with _writing(self.address(name)):
            if _kind(system) in _WHOLE:
                system.pipe_file(path, data)
                return
            folder = path.rpartition("/")[0]
            part = f"{folder}/.glpn-{secrets.token_hex(8)}.part"
            system.makedirs(folder, exist_ok=True)
            try:
                system.pipe_file(part, data)
                system.mv(part, path)
            finally:
                if system.exists(part):
                    system.rm_file(part)

    def get(self, name: str) -> bytes | None:
        """The bytes of one file in a remote place; None if it does not exist.

        Raises:
            MissingInput: the file exists and cannot be read.
        """
        try:
            return read(self.address(name), limit=None)
        except MissingInput as e:
            if isinstance(e.__cause__, FileNotFoundError):
                return None
            raise


def place_of(text: str) -> Place:
    """The place of a path or a URL; file:// counts as a path."""
    if not is_url(text):
        return Place(text, Path(text))
    if text.startswith(("file://", "local://")):
        path = unquote(urlsplit(text).path)
        return Place(path, Path(path))
    return Place(text, None)


def is_url(text: str) -> bool:
    """Whether a text is a URL rather than a path."""
    return re.match(r"[a-z][a-z0-9+.-]+(::|://)", text) is not None


def read(address: str, *, limit: int | None = MAX_FILE_BYTES) -> bytes:
    """The bytes at a URL, at most one more than the limit, so that readers recognise excess.

    Raises:
        MissingInput: the URL does not exist or cannot be read.
    """
    system, path = _open(address)
    with _reading(address), system.open(path, "rb") as file:
        return bytes(file.read(-1 if limit is None else limit + 1))


def location(address: str) -> tuple[str, str]:
    """The kind of file system and the path of a file there, the same for all spellings of a URL.

    Raises:
        MissingDependency: the package for this kind of URL is not installed.
        MissingInput: the URL's kind is unknown.
    """
    place = place_of(address)
    if place.folder is not None:
        return "file", os.path.realpath(place.folder)
    folder, _, name = address.rpartition("/")
    kind, root = _root(folder)
    return kind, f"{root}/{name}"


@functools.lru_cache(maxsize=256)
def _root(folder: str) -> tuple[str, str]:
    system, path = _open(folder)
    return _kind(system), path.rstrip("/")


def _open(url: str) -> tuple[AbstractFileSystem, str]:
    """The file system of a URL, and the path in it."""
    try:
        from fsspec.core import url_to_fs
    except ImportError as e:
        raise MissingDependency(f"{url}: needs fsspec", extra="cluster") from e
    try:
        system, path = url_to_fs(url)
    except ImportError as e:
        raise MissingDependency(f"{url}: {e}") from e
    except ValueError as e:
        raise MissingInput(f"{url}: {e}") from e
    return system, path


def _kind(system: AbstractFileSystem) -> str:
    protocol = system.protocol
    return protocol if isinstance(protocol, str) else str(protocol[0])


@contextmanager
def _reading(address: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as e:
        raise MissingInput(f"{address}: no such file or folder") from e
    except (OSError, ValueError) as e:
        raise MissingInput(f"{address}: cannot be read: {e}") from e


@contextmanager
def _writing(address: str) -> Iterator[None]:
    try:
        yield
    except (PermissionError, FileNotFoundError, NotADirectoryError, IsADirectoryError) as e:
        raise CannotCreateOutput(f"{address}: cannot be written: {e}") from e
    except (OSError, ValueError) as e:
        raise OutputFailed(f"{address}: cannot be written: {e}") from e
