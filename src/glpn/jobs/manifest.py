"""Manifest: a file of JSON lines that records the result of every photo.

Each attempt at a photo appends one line; the last line of a photo counts. A killed process leaves
at most one torn line, which is ignored. Each process writes its own file, so several can share a
folder, even on a network disk.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path

from glpn.errors import CannotCreateOutput
from glpn.files import output_stems
from glpn.files.jsonl import JsonLog, parse_line, read_lines

_STEM, _SUFFIX = "manifest", ".jsonl"


@dataclass(frozen=True)
class Entry:
    """The result of one photo.

    Attributes:
        image: absolute path or URL of the photo.
        stem: name of its outputs, without suffix.
        origin: `OutputIdentity.record`; {} if the photo could not be read.
        files: format → name and options of that format.
        seconds: time to read, predict and write.
        error: why it failed; empty on success.
        time: UTC, ISO 8601.
    """

    image: str
    stem: str
    origin: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    seconds: float = 0.0
    error: str = ""
    time: str = ""


class Manifest:
    """The lines of all manifests of a folder, and the one that this process adds to.

    Args:
        folder: folder of the outputs, which need not exist yet.
        name: distinguishes this process's file if several processes share the folder.
    """

    def __init__(self, folder: str | Path, name: str = "") -> None:
        self.path = Path(folder, f"{_STEM}-{name}{_SUFFIX}" if name else _STEM + _SUFFIX)
        self._entries: dict[str, Entry] = {}
        self._owners: dict[str, str] = {}  # name of a file → the photo it was last made from
        self._writing = threading.Lock()
        self._log: JsonLog | None = None

    def read(self) -> Manifest:
        """Read the existing manifests; unreadable lines are ignored, and later entries count.

        Raises:
            CannotCreateOutput: a manifest cannot be opened.
        """
        folder = self.path.parent
        try:
            paths = sorted(folder.glob(f"{_STEM}*{_SUFFIX}"))
        except OSError as e:
            raise CannotCreateOutput(f"{folder}: cannot be used: {e.strerror}") from e
        entries = [_entry(line) for path in paths for line in read_lines(path)]
        # Several processes wrote the files, so their names say nothing about the order.
        for entry in sorted(filter(None, entries), key=lambda entry: entry.time):
            self._remember(entry)
        return self

    def __len__(self) -> int:
        return len(self._entries)

    def stems(self, images: Sequence[str]) -> list[str]:
        """The output names of all photos of a job, given by their paths.

        A photo keeps its name when others are inserted before it in the list.
        """
        known: list[str | None] = []
        taken = set()
        for image in images:
            stem = self._entries[image].stem if image in self._entries else None
            known.append(None if stem in taken else stem)
            taken.add(stem)
        return output_stems(images, known)

    def recorded(self, image: str, format: str, name: str) -> Mapping[str, object]:
        """The recorded metadata of one file, with the keys of the file's own; {} if there is none.

        There is none if the file of another photo has since taken the name.
        """
        entry = self._entries.get(image)
        if entry is None or self._owners.get(name) != image:
            return {}
        file = entry.files.get(format, {})
        return {**entry.origin, **file} if file.get("name") == name else {}

    def forget(self, image: str, format: str) -> None:
        """Drop the record of one file in memory, because the file has been replaced since."""
        with self._writing:
            entry = self._entries[image]
            kept = {name: file for name, file in entry.files.items() if name != format}
            self._entries[image] = replace(entry, files=kept)

    def append(self, entry: Entry) -> None:
        """Append a line and pass it to the operating system; several threads may call this.

        Raises:
            CannotCreateOutput, OutputFailed: it cannot be written.
        """
        stamped = {"time": datetime.now(timezone.utc).isoformat(timespec="milliseconds")}
        with self._writing:
            if self._log is None:
                self._log = JsonLog(self.path)
            self._log.append({**asdict(entry), **stamped})
            self._remember(entry)

    def close(self) -> None:
        """Close the file."""
        if self._log is not None:
            self._log.close()
            self._log = None

    def _remember(self, entry: Entry) -> None:
        if entry.error and entry.image in self._entries:
            return  # a failure does not invalidate earlier outputs
        self._entries[entry.image] = entry
        for file in entry.files.values():
            self._owners[str(file["name"])] = entry.image


def _entry(line: bytes) -> Entry | None:
    """The entry of a line; None if it is torn or of another kind."""
    try:
        values = parse_line(line)
        if not isinstance(values, dict):
            return None
        entry = Entry(**values)
        names = [entry.stem, *map(_name, entry.files.values())]
        texts = all(isinstance(text, str) for text in (entry.image, entry.time))
        known = texts and isinstance(entry.origin, dict)
        inside = all(Path(name).name == name for name in names)  # no path outside the folder
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return entry if known and inside else None


def _name(file: Mapping[str, object]) -> str:
    name = file["name"]
    if not isinstance(name, str):
        raise TypeError(f"name: expected text, got {name!r}")
    return name
