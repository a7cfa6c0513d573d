"""A log of scores from which a killed evaluation resumes."""

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
        """The scores in the file; call `append` afterwards to add more.

        An unfinished last line is removed from the file.
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
        """Pass scores through; each is in the file before it is passed on.

        Raises:
            CannotCreateOutput, OutputFailed: the file cannot be opened or written.
        """
        with closing(JsonLog(self.path)) as log:
            for entry in entries:
                log.append([*entry[:3], list(entry.metrics)])
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
            return parse_line(line)
        except ValueError:
            raise DataError(f"{self.path}: line {number + 1} is damaged") from None

    def _entry(self, number: int, values: Any) -> Entry:
        try:
            name, scene, condition, metrics = values
            return Entry(name, scene, condition, Metrics(*map(float, metrics)))
        except (TypeError, ValueError):
            raise DataError(f"{self.path}: line {number + 1} is no score") from None
