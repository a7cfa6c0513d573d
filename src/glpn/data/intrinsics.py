"""Camera intrinsics from the files that datasets and recorders leave beside their frames."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glpn.depth import Camera
from glpn.errors import DataError, MissingInput

_MATRIX_KEYS = ("K", "intrinsic_matrix", "camera_matrix", "cam_mat")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_KITTI_PROJECTION = re.compile(r"^P_rect_02:(.*)$", re.MULTILINE)  # 3x4; camera 03 has the same K
_LARGEST_FILE = 16 << 20  # bytes of a calibration file: Record3D keeps every pose in it


@dataclass(frozen=True)
class Intrinsics:
    """Focal lengths and principal point in pixels; `cx` or `cy` None is the picture's middle."""

    fx: float
    fy: float
    cx: float | None = None
    cy: float | None = None

    def __post_init__(self) -> None:
        if not (0 < self.fx < float("inf") and 0 < self.fy < float("inf")):
            raise DataError(f"intrinsics: expected positive focal lengths, got {self.fx, self.fy}")

    def camera(self, size: tuple[int, int]) -> Camera:
        """The camera of a picture of (height, width) with these intrinsics."""
        height, width = size
        cx = (width - 1) / 2 if self.cx is None else self.cx
        cy = (height - 1) / 2 if self.cy is None else self.cy
        return Camera(self.fx, self.fy, cx, cy, source="the dataset's calibration")


def read_intrinsics(path: str | Path, frame: str) -> Intrinsics:
    """Intrinsics of one frame: text or CSV with 4, 9, 12 or 16 numbers, or JSON.

    Text holds `fx fy cx cy` or a matrix, row by row. JSON holds fx, fy, cx, cy, or a matrix under
    a usual name, or such records under the frames' names. KITTI's calib_cam_to_cam.txt is known.

    Raises:
        MissingInput: there is no such file.
        DataError: it holds nothing of the kind.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingInput(f"{path}: no such intrinsics file")
    if path.stat().st_size > _LARGEST_FILE:
        raise DataError(f"{path}: too large for an intrinsics file")
    text = path.read_text("utf-8", errors="replace")
    if text.lstrip().startswith("{"):
        return _from_record(path, _decode(path, text), frame)
    projection = _KITTI_PROJECTION.search(text)
    numbers = projection.group(1) if projection else text
    return _from_numbers(path, [float(number) for number in _NUMBER.findall(numbers)])


def _decode(path: Path, text: str) -> Mapping[str, Any]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as e:
        raise DataError(f"{path}: not valid JSON: {e}") from None
    if not isinstance(values, Mapping):
        raise DataError(f"{path}: expected a JSON object, got {type(values).__name__}")
    return values


def _from_record(path: Path, values: Mapping[str, Any], frame: str) -> Intrinsics:
    if isinstance(values.get(frame), Mapping):
        values = values[frame]
    try:
        if "fx" in values:
            return Intrinsics(*(float(values[key]) for key in ("fx", "fy", "cx", "cy")))
        for key in _MATRIX_KEYS:
            if key in values:
                return _from_numbers(path, _flat(values[key]))
    except (KeyError, TypeError, ValueError) as e:
        if isinstance(e, DataError):
            raise
        raise DataError(f"{path}: intrinsics of {frame}: {e!r}") from None
    raise DataError(f"{path}: no fx, fy, cx, cy and no matrix ({', '.join(_MATRIX_KEYS)})")


def _flat(matrix: Any) -> list[float]:
    if isinstance(matrix, Sequence) and matrix and isinstance(matrix[0], Sequence):
        return [float(value) for row in matrix for value in row]
    return [float(value) for value in matrix]


def _from_numbers(path: Path, values: Sequence[float]) -> Intrinsics:
    if len(values) == 4:
        return Intrinsics(*values)
    columns = {9: 3, 12: 4, 16: 4}.get(len(values))
    if columns is None:
        raise DataError(f"{path}: expected 4, 9, 12 or 16 numbers, got {len(values)}")
    cx, cy = values[2], values[columns + 2]
    if columns == 3 and cx == 0 and values[6] != 0:  # column by column, as Open3D, Record3D do
        cx, cy = values[6], values[7]
    return Intrinsics(values[0], values[columns + 1], cx, cy)
