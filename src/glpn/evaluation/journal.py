"""A log of scores from which an interrupted evaluation resumes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from glpn.errors import DataError
from glpn.evaluation.metrics import Metrics
from glpn.files.jsonl import JsonLog, parse_line, read_lines


class Entry(NamedTuple):
    """One score: a frame under a condition."""

    name: str
    scene: str | None
    condition: str
    metrics: Metrics


class Journal:
    """A file with a header line that identifies the run, and one line per score.

    Opening an existing file checks the header and removes an unfinished last line.

    Raises:
        CannotCreateOutput: the file cannot be opened.
        DataError: the file belongs to another run or is damaged.
    """

    def __init__(self, path: str | Path, header: Mapping[str, object]) -> None:
        self.path = Path(path)
        self.header = json.loads(json.dumps(header))  # JSON turns tuples into lists

    def replay(self) -> Iterator[Entry]:
        """Yield the scores in the file; call `append` afterwards to add more.

        This removes an unfinished last line from the file.
        """
        end = 0
        for number, line in enumerate(read_lines(self.path)):
            end += len(line)
            values = self._decode(number, line)
            if number == 0:
                self._require_same(values)
            else:
                yield self._entry(number, values)
        with closing(JsonLog(self.path, size=end)) as log:
            if end == 0:
                log.append(self.header)

    def append(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Write each score to the file, then yield it.

        Raises:
            CannotCreateOutput, OutputFailed: the file cannot be opened or written.
        """
        with closing(JsonLog(self.path)) as log:
            for entry in entries:
                log.append([*entry[:3], list(entry.metrics)])
                yield entry

    def _require_same(self, header: object) -> None:
        if header == self.header:
            return
        theirs = header if isinstance(header, dict) else {}
        odd = [key for key, value in self.header.items() if theirs.get(key) != value]
        raise DataError(
            f"{self.path}: contains the scores of another run ({', '.join(odd)} differ); "
            "remove it or name another file"
        )

    def _decode(self, number: int, line: bytes) -> object:
        try:
            return parse_line(line)
        except ValueError:
            raise DataError(f"{self.path}: line {number + 1} is damaged") from None

    def _entry(self, number: int, values: Any) -> Entry:
        try:
            name, scene, condition, metrics = values
            return Entry(name, scene, condition, Metrics(*map(float, metrics)))
        except (TypeError, ValueError):
            raise DataError(f"{self.path}: line {number + 1} is no score") from None
