"""Measurements in a photo, which calibrate its depth."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from glpn.errors import DataError, MissingInput

if TYPE_CHECKING:
    from glpn.depth.depth import Depth

Place = tuple[float, ...]
_MAX_POINTS_BYTES = 64 << 20  # size limit of a file of points
_POINTS_SUFFIXES = (".csv", ".txt", ".xyz")


@dataclass(frozen=True)
class Measurements:
    """What is known of one photo; places are (x, y) in pixels. `Depth.calibrate` applies it.

    Attributes:
        references: (x, y, metres) along the optical axis, for `Depth.with_references`.
        lengths: (x0, y0, x1, y1, metres) in straight lines, for `Depth.with_lengths`.
        sparse: points (x, y, metres), or a depth map of any resolution, for `Depth.with_sparse`.
    """

    references: Sequence[Place] = ()
    lengths: Sequence[Place] = ()
    sparse: Sequence[Place] | Depth | None = None


def read_sparse(path: str | Path, *, scale: float | None = None) -> Sequence[Place] | Depth:
    """Sparse depth from a file: rows `x,y,metres` (.csv, .txt), or a depth map.

    Args:
        path: the file; a text may have a header, comments (#) and further columns.
        scale: units per metre of a depth map that does not state them, see `read_depth`.

    Raises:
        MissingInput: there is no such file.
        UsageError: the scale of a depth map is unknown.
        DataError: the file is damaged, too large, or contains no points.
    """
    from glpn.depth.reading import read_depth

    path = Path(path)
    if path.suffix.lower() not in _POINTS_SUFFIXES:
        return read_depth(path, scale=scale)
    if not path.is_file():
        raise MissingInput(f"{path}: no such file")
    if path.stat().st_size > _MAX_POINTS_BYTES:
        raise DataError(f"{path}: larger than {_MAX_POINTS_BYTES >> 20} MiB")
    try:
        text = path.read_text("utf-8-sig", errors="replace")
    except OSError as e:
        raise MissingInput(f"{path}: cannot be read: {e.strerror}") from None
    points: list[Place] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = _words(line)
        if not words or words[0].lstrip().startswith("#"):
            continue
        try:
            x, y, metres = (float(word) for word in words[:3])
        except ValueError:
            if not points and number == 1:  # a header
                continue
            x = y = metres = math.nan
        if not all(map(math.isfinite, (x, y, metres))):
            raise DataError(f"{path}: line {number}: expected x,y,metres, got {line!r:.60}")
        points.append((x, y, metres / (scale or 1)))
    if not points:
        raise DataError(f"{path}: no points; expected rows of x,y,metres")
    return points


def _words(line: str) -> list[str]:
    """The cells of a line. Between semicolons or tabs, a comma is a decimal point."""
    for mark in (";", "\t"):
        if mark in line:
            return [word.replace(",", ".") for word in next(csv.reader([line], delimiter=mark), [])]
    return next(csv.reader([line]), []) if "," in line else line.split()
