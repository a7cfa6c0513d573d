"""Manifest: a file of JSON lines that remembers what became of every photograph.

One line a picture and attempt, only ever added at the end; the last line of a picture counts. A
process that is killed leaves at most one torn line, which reads as absent. Each process writes a
file of its own, so that several may share a folder, on a network disk too.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from glpn.errors import CannotCreateOutput, OutputFailed
from glpn.files import output_stems

_STEM, _SUFFIX = "manifest", ".jsonl"


@dataclass(frozen=True)
class Entry:
    """What became of one photograph.

    Attributes:
        image: its path in full, or its URL.
        stem: name of its outputs, without suffix.
        origin: `Origin.record`; {} where it could not be read.
        files: format → name and options of that format.
        seconds: that reading, predicting and writing took.
        error: why it failed; empty where it did not.
        time: when, UTC, ISO 8601.
    """

    image: str
    stem: str
    origin: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    seconds: float = 0.0
    error: str = ""
    time: str = ""


class Manifest:
    """The lines of all manifests of a folder, and the one that this process adds to.

    Args:
        folder: of the outputs; need not be there yet.
        name: of this process's own file, where several share the folder.
    """

    def __init__(self, folder: str | Path, name: str = "") -> None:
        self.path = Path(folder, f"{_STEM}-{name}{_SUFFIX}" if name else _STEM + _SUFFIX)
        self._entries: dict[str, Entry] = {}
        self._owners: dict[str, str] = {}  # name of a file → the photograph it was last made from
        self._writing = threading.Lock()
        self._descriptor: int | None = None

    def read(self) -> Manifest:
        """Read what is there; lines that cannot be read count for nothing.

        Raises:
            CannotCreateOutput: a manifest cannot be opened.
        """
        for path in sorted(self.path.parent.glob(f"{_STEM}*{_SUFFIX}")):
            try:
                with open(path, "rb") as file:
                    for line in file:
                        self._remember(_entry(line))
            except OSError as e:
                raise CannotCreateOutput(f"{path}: cannot be read: {e.strerror}") from e
        return self

    def __len__(self) -> int:
        return len(self._entries)

    def stems(self, images: Sequence[str]) -> list[str]:
        """The names of the outputs of all photographs of a job, given by their paths.

        A photograph keeps its name, whichever come to stand before it in the list.
        """
        known: list[str | None] = []
        taken = set()
        for image in images:
            stem = self._entries[image].stem if image in self._entries else None
            known.append(None if stem in taken else stem)
            taken.add(stem)
        return output_stems(images, known)

    def told(self, image: str, format: str, name: str) -> Mapping[str, Any]:
        """What is noted of one file, with the keys of its own metadata; {} where nothing is.

        Nothing is where another photograph's file has taken the name since.
        """
        entry = self._entries.get(image)
        if entry is None or self._owners.get(name) != image:
            return {}
        file = entry.files.get(format, {})
        return {**entry.origin, **file} if file.get("name") == name else {}

    def append(self, entry: Entry) -> None:
        """Add a line, which is in the system's hands when this returns; threads may call it.

        Raises:
            CannotCreateOutput, OutputFailed: it cannot be written.
        """
        stamped = {"time": datetime.now(timezone.utc).isoformat(timespec="milliseconds")}
        line = json.dumps({**asdict(entry), **stamped}, allow_nan=False) + "\n"
        with self._writing:
            if self._descriptor is None:
                self._descriptor = self._open()
            try:
                _write_all(self._descriptor, line.encode())
            except OSError as e:
                raise OutputFailed(f"{self.path}: cannot be written: {e.strerror}") from e
            self._remember(entry)

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
        try:
            descriptor = os.open(self.path, flags, 0o666)
            size = os.fstat(descriptor).st_size
            if size:
                os.lseek(descriptor, size - 1, os.SEEK_SET)
                if os.read(descriptor, 1) != b"\n":  # a torn line must not take ours with it
                    _write_all(descriptor, b"\n")
        except OSError as e:
            raise CannotCreateOutput(f"{self.path}: cannot be opened: {e.strerror}") from e
        return descriptor

    def _remember(self, entry: Entry | None) -> None:
        if entry is None or (entry.error and entry.image in self._entries):
            return  # a failure does not undo what was made before
        self._entries[entry.image] = entry
        for file in entry.files.values():
            self._owners[file["name"]] = entry.image


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _entry(line: bytes) -> Entry | None:
    """The entry of a line; None where it is torn, or none of ours."""
    try:
        values = json.loads(line)
        entry = Entry(**values)
        names = [entry.stem, *(told["name"] for told in entry.files.values())]
        known = isinstance(entry.image, str) and isinstance(entry.origin, dict)
        inside = all(Path(name).name == name for name in names)  # else it would lead out
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return entry if known and inside else None
