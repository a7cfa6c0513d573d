"""One process per folder: a lock that ends with its process, however that ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from glpn.errors import CannotCreateOutput

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows has no advisory locks; there, every process gets the folder
    fcntl = None


def hold_lock(descriptor: int) -> bool | None:
    """Lock an open file until it is closed; False if another descriptor holds the lock.

    None where the system or the file system has no locks.
    """
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


@contextmanager
def file_lock(path: Path, *, doing: str) -> Iterator[None]:
    """Hold a lock file for this process, and remove it at the end.

    Args:
        path: path of the lock file, in an existing folder.
        doing: completes "process 123 is …" in the message to a second process.

    Raises:
        CannotCreateOutput: another process holds it; the message gives its number. Or the file
            cannot be created.
    """
    if fcntl is None:
        yield
        return
    descriptor = _locked(path, doing)
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _locked(path: Path, doing: str) -> int:
    """A descriptor of the lock file that holds its lock."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK, 0o666)
        except OSError as e:
            raise CannotCreateOutput(f"{path}: cannot be opened: {e.strerror}") from e
        if hold_lock(descriptor) is False:
            holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise CannotCreateOutput(f"{path.parent}: process {holder} is {doing}") from None
        if _is_at(path, descriptor):
            return descriptor
        os.close(descriptor)  # the previous holder removed it between our two calls


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return False
    here = os.fstat(descriptor)
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)
