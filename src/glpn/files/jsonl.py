"""Logs as JSON lines: appended to, continued after a kill, read without trust."""

from __future__ import annotations

import json
import os
import stat
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from glpn.errors import CannotCreateOutput, OutputFailed


class JsonLog:
    """A file of JSON lines that only grows; several threads may append to it.

    An unfinished last line, which a killed process leaves, never joins the next one.

    Args:
        path: path of the file, which is created if it does not exist.
        size: cut the file to this many bytes first; None keeps everything.

    Raises:
        CannotCreateOutput: the file cannot be opened.
    """

    def __init__(self, path: str | Path, size: int | None = None) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        self._descriptor = self._open(size)

    def append(self, values: Mapping[str, object] | Sequence[object]) -> None:
        """Add one line; the operating system holds it when this returns.

        Raises:
            OutputFailed: the disk is full, or the device failed.
        """
        line = json.dumps(values).encode() + b"\n"
        with self._lock:
            try:
                _write_all(self._descriptor, line)
            except OSError as e:
                raise self._failed(e) from e

    def flush_to_disk(self) -> int:
        """Bring all lines to the disk; returns the size of the file in bytes.

        Raises:
            OutputFailed: the disk is full, or the device failed.
        """
        try:
            os.fsync(self._descriptor)
            return os.fstat(self._descriptor).st_size
        except OSError as e:
            raise self._failed(e) from e

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _open(self, size: int | None) -> int:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | _NON_BLOCKING
        try:
            descriptor = os.open(self.path, flags, 0o666)
            if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
                raise CannotCreateOutput(f"{self.path}: is a named pipe, not a file")
            if size is not None:
                os.ftruncate(descriptor, min(size, os.fstat(descriptor).st_size))
            _end_last_line(descriptor)
        except CannotCreateOutput:
            raise
        except OSError as e:
            raise CannotCreateOutput(f"{self.path}: cannot be opened: {e.strerror}") from e
        return descriptor

    def _failed(self, error: OSError) -> OutputFailed:
        return OutputFailed(f"{self.path}: cannot be written: {error.strerror}")


def read_lines(path: str | Path) -> Iterator[bytes]:
    """The complete lines of a file, line ends included.

    A file that does not exist has none, and neither has a named pipe, a socket or a device, which
    would make the reader wait.

    Raises:
        CannotCreateOutput: the file cannot be read, hence not continued.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | _NON_BLOCKING)
    except FileNotFoundError:
        return
    except OSError as e:
        if stat.S_ISSOCK(os.stat(path, follow_symlinks=False).st_mode):
            return
        raise CannotCreateOutput(f"{path}: cannot be read: {e.strerror}") from e
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return
        for line in file:
            if line.endswith(b"\n"):
                yield line


def parse_line(line: bytes) -> object:
    """Decode one line.

    Raises:
        ValueError: it is not JSON, too deeply nested, or contains a number with too many digits.
    """
    try:
        return json.loads(line)
    except RecursionError:
        raise ValueError("nested too deeply") from None


_NON_BLOCKING = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def _end_last_line(descriptor: int) -> None:
    size = os.fstat(descriptor).st_size
    if size:
        os.lseek(descriptor, size - 1, os.SEEK_SET)
        if os.read(descriptor, 1) != b"\n":
            _write_all(descriptor, b"\n")


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
