"""Names and folders: atomic writes, joins that stay inside their root, names for outputs."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import tempfile
import time
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from glpn.errors import CannotCreateOutput, DataError, GLPNError, OutputFailed
from glpn.files.lock import hold_lock

# Errors of an output that cannot be created; any other OSError is a failure while writing.
_CANNOT_CREATE = {
    errno.EACCES,
    errno.EEXIST,
    errno.EILSEQ,
    errno.EINVAL,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
}
_NEW_PART_SECONDS = 1.0  # a writer locks its new file within this time
_OLD_PART_SECONDS = 86_400.0  # after which a file without a writer's lock has no writer
_FORBIDDEN_ON_WINDOWS = '<>:"|?*\\'
_WINDOWS_DEVICES = {"con", "prn", "aux", "nul"} | {
    f"{port}{number}" for port in ("com", "lpt") for number in "123456789¹²³"
}
_MAX_STEM_BYTES = 255 - 24  # bytes of a name, less room for a number and the longest suffix


@contextmanager
def atomic_file(path: str | Path, *, overwrite: bool = False) -> Iterator[BinaryIO]:
    """Open a file that appears under its name only when it is complete and on the disk.

    The bytes go to a hidden file in the same folder, which is then renamed. After any exception
    that file is removed and an earlier file at `path` is untouched. A symbolic link at
    `path` is replaced, not followed.

    Raises:
        CannotCreateOutput: something is there and `overwrite` is False, it is no regular file,
            the folder is missing or not writable.
        OutputFailed: the disk is full, a quota is reached, the device failed.
    """
    path = Path(path)
    _require_free(path, overwrite=overwrite)
    temporary = part_beside(path)
    try:
        with open(temporary, "xb") as file:
            hold_lock(file.fileno())  # tells `remove_stale_parts` that this file has a writer
            yield file
            file.flush()
            os.fsync(file.fileno())
        _require_free(path, overwrite=overwrite)  # another program may have written it meanwhile
        os.replace(temporary, path)
    except GLPNError:
        raise
    except OSError as e:
        raise _output_error(path, e) from e
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_file(path: str | Path, data: bytes | memoryview, *, overwrite: bool = True) -> None:
    """Write a whole file as `atomic_file` does; raises what it raises."""
    with atomic_file(path, overwrite=overwrite) as file:
        file.write(data)


def part_beside(path: Path) -> Path:
    """A new name for the temporary file or folder that becomes `path`."""
    return path.with_name(f".glpn-{secrets.token_hex(8)}.part")


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Tell `remove_stale_parts` that a temporary folder has a writer, where folders have locks."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows opens no folders, and removes none that has open files
        yield
        return
    try:
        hold_lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def remove_stale_parts(folder: Path) -> None:
    """Remove temporary files and folders whose process was killed.

    Where the file system has no locks, they stay for a day.
    """
    for path in folder.glob(".glpn-*.part"):
        with suppress(OSError):
            age = time.time() - path.lstat().st_mtime
            if age < _NEW_PART_SECONDS:
                continue
            descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
            try:
                locked = hold_lock(descriptor)
                if locked or (locked is None and age > _OLD_PART_SECONDS):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            finally:
                os.close(descriptor)


def _require_free(path: Path, *, overwrite: bool) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as e:
        raise _output_error(path, e) from e
    except ValueError as e:  # a NUL in the name
        raise CannotCreateOutput(f"{path}: {e}") from e
    if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
        raise CannotCreateOutput(f"{path}: exists and is not a regular file")
    if not overwrite:
        raise CannotCreateOutput(
            f"{path}: exists already; --overwrite (overwrite=True) replaces it"
        )


def _output_error(path: Path, error: OSError) -> GLPNError:
    kind = CannotCreateOutput if error.errno in _CANNOT_CREATE else OutputFailed
    return kind(f"{path}: cannot be written: {error.strerror or error}")


def require_writable_folder(folder: str | Path) -> Path:
    """Create the folder if necessary and check, by writing a byte, that it takes files.

    Temporary files that killed processes left there are removed.

    Raises:
        CannotCreateOutput, OutputFailed: they cannot.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"\0")
            probe.flush()
    except OSError as e:
        raise _output_error(folder, e) from e
    except ValueError as e:  # a NUL in the name
        raise CannotCreateOutput(f"{folder}: {e}") from e
    remove_stale_parts(folder)
    return folder


def safe_join(root: str | Path, name: str | Path) -> Path:
    """`root / name`, which must lie inside `root` after symbolic links are followed.

    Raises:
        DataError: the name is empty or absolute, contains "..", or a link on the way leads out.
    """
    root, relative = Path(root), Path(name)
    plain = bool(relative.parts) and not relative.anchor and ".." not in relative.parts
    if not plain or "\0" in str(name):
        raise DataError(f"{str(name)!r}: expected a name inside {root}, without '..'")
    joined = root / relative
    inside, home = os.path.realpath(joined), os.path.realpath(root)
    if inside == home or os.path.commonpath([inside, home]) != home:
        raise DataError(f"{str(name)!r}: leads out of {root}")
    return joined


def output_stems(
    inputs: Sequence[str | Path], known: Sequence[str | None] | None = None
) -> list[str]:
    """One distinct name without suffix per input, in order: the input's own stem if possible.

    `known` contains the names that some inputs have already, None for the others; they keep them.

    The second "a" becomes "a-2". Names differ even where upper and lower case or Unicode forms
    count as equal. Control characters, bytes that are not UTF-8 and characters that Windows forbids
    become "_"; a name that starts with "-" or is a device of Windows ("nul") begins with "_"; long
    names are cut so that any suffix fits into 255 bytes.
    """
    stems: list[str] = []
    given = known or [None] * len(inputs)
    taken = {_folded(name) for name in given if name is not None}
    last_number: dict[str, int] = {}
    for path, name in zip(inputs, given, strict=True):
        if name is not None:
            stems.append(name)
            continue
        plain = stem = _plain_stem(Path(path))
        while _folded(stem) in taken:
            number = last_number.get(_folded(plain), 1) + 1
            last_number[_folded(plain)] = number
            stem = f"{plain}-{number}"
        taken.add(_folded(stem))
        stems.append(stem)
    return stems


def _folded(stem: str) -> str:
    return unicodedata.normalize("NFC", stem).casefold()


def _plain_stem(path: Path) -> str:
    """The stem in a form that any file system stores and any terminal shows."""
    unwelcome = {"Cc", "Cs", "Zl", "Zp"}  # control, surrogate, line and paragraph separator
    characters = (
        "_" if c in _FORBIDDEN_ON_WINDOWS or unicodedata.category(c) in unwelcome else c
        for c in path.stem
    )
    stem = "".join(characters).encode()[:_MAX_STEM_BYTES].decode(errors="ignore") or "image"
    if stem.startswith("-"):
        stem = "_" + stem[1:]
    if stem.partition(".")[0].strip().lower() in _WINDOWS_DEVICES:
        stem = "_" + stem
    head, dot, tail = stem.rpartition(".")
    if dot and tail.lower() in ("vis", "sigma"):  # else a.vis.jpg's PNG would be a.jpg's colours
        stem = f"{head}_{tail.lower()}"
    return stem
