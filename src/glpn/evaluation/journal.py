"""An append-only JSONL file of scores, from which a killed run goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from glpn.errors import CannotCreateOutput, DataError, OutputFailed
from glpn.evaluation.metrics import Metrics


class Entry(NamedTuple):
    """One score: a frame under a condition."""

    name: str
    scene: str | None
    condition: str
    metrics: Metrics


class Journal:
    """A header line that says what run this is, then one line per score.

    Opening one that exists checks the header and cuts off a last line that was not finished.

    Raises:
        CannotCreateOutput: the file cannot be opened.
        DataError: it belongs to another run, or is damaged.
    """

    def __init__(self, path: str | Path, header: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self.header = json.loads(json.dumps(header))  # tuples become lists, as in the file

    def replay(self) -> Iterator[Entry]:
        """The scores that are there; afterwards `append` adds to them."""
        try:
            with open(self.path, "a+b") as file:
                file.seek(0)
                end = 0
                for number, line in enumerate(file):
                    if not line.endswith(b"\n"):
                        break
                    end += len(line)
                    values = self._decode(number, line)
                    if number == 0:
                        self._require_same(values)
                    else:
                        yield self._entry(number, values)
                if end == 0:
                    file.write(self._line(self.header))
                else:
                    file.truncate(end)
        except OSError as e:
            raise CannotCreateOutput(f"{self.path}: cannot be opened: {e.strerror}") from e

    def append(self, entries: Iterator[Entry]) -> Iterator[Entry]:
        """Pass scores through; each is on file before it is passed on.

        Raises:
            OutputFailed: the disk is full, or the device failed.
        """
        with open(self.path, "ab") as file:
            for entry in entries:
                try:
                    file.write(self._line([*entry[:3], list(entry.metrics)]))
                    file.flush()
                except OSError as e:
                    raise OutputFailed(f"{self.path}: cannot be written: {e.strerror}") from e
                yield entry

    def _require_same(self, header: Any) -> None:
        if header == self.header:
            return
        theirs = header if isinstance(header, dict) else {}
        odd = [key for key, value in self.header.items() if theirs.get(key) != value]
        raise DataError(
            f"{self.path}: holds the scores of another run ({', '.join(odd)} differ); "
            "remove it or name another file"
        )

    def _decode(self, number: int, line: bytes) -> Any:
        try:
            return json.loads(line)
        except ValueError:
            raise DataError(f"{os.fspath(self.path)}: line {number + 1} is damaged") from None

    def _entry(self, number: int, values: Any) -> Entry:
        try:
            name, scene, condition, metrics = values
            return Entry(name, scene, condition, Metrics(*map(float, metrics)))
        except (TypeError, ValueError):
            raise DataError(f"{self.path}: line {number + 1} is no score") from None

    @staticmethod
    def _line(values: Any) -> bytes:
        return (json.dumps(values, allow_nan=False) + "\n").encode()
