"""Lists of frames: the published `rgb depth [focal]` text files, CSV, JSON lines, bare names."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from glpn.errors import DataError, MissingInput

_IMAGE_KEYS = ("image", "rgb", "color", "name")
_SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]*$|^None$")
_TWO_FILES = re.compile(
    r"(.+?\.(?:jpe?g|png|webp|avif|tiff?|bmp|ppm|heic))\s+"
    r"(.+?\.(?:png|tiff?|npy|npz|exr|pfm|pgm)|None)(?:\s+([0-9.]+))?",
    re.IGNORECASE,
)
_NO_DEPTH = "None"  # marks frames without ground truth in the KITTI Eigen list


@dataclass(frozen=True)
class Row:
    """One line: an image with its depth file, or only the name of a frame (`depth` is None)."""

    image: str
    depth: str | None = None
    focal: float | None = None
    scene: str | None = None


def read_list(path: str | Path) -> tuple[list[Row], int]:
    """The rows of a list file, and the number of skipped lines without depth ("None").

    Blank lines, lines that start with `#`, and CRLF line ends are allowed. `.csv` needs a header or
    two to three columns; `.jsonl` holds objects with image (or rgb), depth, focal, scene. Any other
    file has one frame per line: a name, or `rgb depth [focal]`, separated by tabs, commas or
    spaces. File names may contain spaces if both end in a known suffix.

    Raises:
        MissingInput: there is no such file, or it is empty.
        DataError: a line is malformed; the message names it.
    """
    path = Path(path)
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise MissingInput(f"{path}: no such list") from None
    except (OSError, UnicodeDecodeError) as e:
        raise DataError(f"{path}: not readable as UTF-8 text: {e}") from None
    numbered = enumerate(map(str.strip, text.splitlines()), 1)
    lines = [(number, line) for number, line in numbered if line and line[0] != "#"]
    parse = {".csv": _parse_csv, ".jsonl": _parse_jsonl}.get(path.suffix.lower(), _parse_text)
    rows = parse(path, lines)
    kept = [row for row in rows if row.depth != _NO_DEPTH]
    if not kept:
        raise MissingInput(f"{path}: lists no frame with depth ({len(rows)} lines)")
    return kept, len(rows) - len(kept)


def inside(root: Path, text: str, bases: Sequence[str] = ("",)) -> Path:
    """The file of a line in a list: below `root`, in the first of `bases` that has it.

    The published lists start with a slash that stands for the data root. A path that really is
    absolute must lie under the root.

    Raises:
        DataError: the path leads out of the data root.
    """
    plain = text.replace("\\", "/") if os.sep == "\\" else text
    parts = PurePosixPath(plain).parts
    if ".." in parts or "\0" in text or PureWindowsPath(text).drive:
        raise DataError(f"{text!r}: expected a path under the data root {root}")
    candidates = [root / base / plain.lstrip("/") for base in bases]
    if plain.startswith("/"):
        below = _below(Path(plain), root)
        if below is not None:
            return root / below
        if not any(path.exists() for path in candidates):
            raise DataError(f"{text!r}: an absolute path outside the data root {root}")
    return next((path for path in candidates if path.exists()), candidates[0])


def _below(path: Path, root: Path) -> Path | None:
    """An absolute path relative to the root, with links in either resolved; None if outside."""
    for way in (Path.absolute, Path.resolve):
        for top in (root.absolute(), root.resolve()):
            if way(path).is_relative_to(top):
                return way(path).relative_to(top)
    return None


def _parse_text(path: Path, lines: Sequence[tuple[int, str]]) -> list[Row]:
    return [_row(path, number, _cells(line.strip())) for number, line in lines]


def _cells(line: str) -> list[str]:
    """The columns of one line; names that contain spaces stay whole."""
    for separator in ("\t", ","):
        if separator in line:
            return [cell.strip() for cell in line.split(separator)]
    cells = line.split()
    files = _TWO_FILES.fullmatch(line)
    if files is not None and len(cells) != 2:
        return [cell for cell in files.groups() if cell is not None]
    named = len(cells) > 1 and not any(_SUFFIX.search(cell) for cell in cells)
    return [line] if named else cells


def _parse_csv(path: Path, lines: Sequence[tuple[int, str]]) -> list[Row]:
    try:
        cells = [[cell.strip() for cell in row] for row in csv.reader(line for _, line in lines)]
    except csv.Error as e:
        raise DataError(f"{path}: not valid CSV: {e}") from None
    if len(cells) != len(lines):
        raise DataError(f"{path}: a quoted cell spans several lines")
    header = [name.lower() for name in cells[0]] if cells else []
    if not set(header) & set(_IMAGE_KEYS):
        numbered = zip(lines, cells, strict=True)
        return [_row(path, number, row) for (number, _), row in numbered]
    rows = []
    for (number, _), row in zip(lines[1:], cells[1:], strict=True):
        rows.append(_record(path, number, dict(zip(header, row, strict=False))))
    return rows


def _parse_jsonl(path: Path, lines: Sequence[tuple[int, str]]) -> list[Row]:
    rows = []
    for number, line in lines:
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as e:
            raise DataError(f"{path}:{number}: not valid JSON: {e}") from None
        if not isinstance(values, Mapping):
            raise DataError(f"{path}:{number}: expected a JSON object, got {line.strip()[:40]!r}")
        rows.append(_record(path, number, {k: str(v) for k, v in values.items() if v is not None}))
    return rows


def _record(path: Path, number: int, values: Mapping[str, str]) -> Row:
    image = next((values[key] for key in _IMAGE_KEYS if values.get(key)), None)
    if image is None:
        raise DataError(f"{path}:{number}: expected one of {', '.join(_IMAGE_KEYS)}")
    focal = values.get("focal") or None
    return Row(
        image=image,
        depth=values.get("depth") or None,
        focal=None if focal is None else _focal(path, number, focal),
        scene=values.get("scene") or None,
    )


def _row(path: Path, number: int, cells: Sequence[str]) -> Row:
    if not 1 <= len(cells) <= 3 or not cells[0]:
        raise DataError(f"{path}:{number}: expected `rgb depth [focal]`, got {len(cells)} columns")
    focal = _focal(path, number, cells[2]) if len(cells) == 3 and cells[2] else None
    return Row(image=cells[0], depth=(cells[1] or None) if len(cells) > 1 else None, focal=focal)


def _focal(path: Path, number: int, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise DataError(f"{path}:{number}: expected a focal length, got {text[:40]!r}") from None
