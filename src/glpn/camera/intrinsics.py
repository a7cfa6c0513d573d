"""Camera intrinsics from the files that calibrations, recorders and datasets leave behind."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glpn.camera.camera import Camera
from glpn.errors import DataError, MissingInput, UsageError

DATASET_SOURCE = "the dataset's calibration"

# Names of one thing: ROS and OpenCV, COLMAP and nerfstudio, Open3D, Kalibr, ARKit.
_FOCAL_KEYS = (("fx", "fl_x"), ("fy", "fl_y"))
_MATRIX_KEYS = ("K", "k", "intrinsic_matrix", "camera_matrix", "cam_mat", "intrinsics")
_DISTORTION_KEYS = (
    "D",
    "d",
    "distortion_coefficients",
    "distortion_coeffs",
    "dist_coeffs",
    "distortion",
)
_WIDTH_KEYS, _HEIGHT_KEYS = ("width", "image_width", "w"), ("height", "image_height", "h")
_MODEL_KEYS = ("distortion_model", "camera_model", "model")
_FISHEYE_MODELS = ("equidistant", "fisheye", "opencv_fisheye", "kannala_brandt")
_PLANE_MODELS = (
    *("plumb_bob", "rational_polynomial", "radtan", "brown_conrady", "none"),
    *("pinhole", "simple_pinhole", "opencv", "full_opencv"),
)
_SINGLE = (("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6"), ("k1", "k2", "k3", "k4"))  # fisheye

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_BETWEEN_NUMBERS = re.compile(r"[\s,;()\[\]]*")
_KITTI_PROJECTION = re.compile(r"^P_rect_02:(.*)$", re.MULTILINE)  # 3x4; camera 03 has the same K
_OPENCV_DIRECTIVE = re.compile(r"^%YAML:1\.0\s*")  # no YAML: a blank is missing
_LARGEST_FILE = 16 << 20  # bytes of a calibration file: Record3D keeps every pose in it
_LARGEST_YAML = 64 << 10  # PyYAML takes a second for ten times as much
_SAME_SHAPE = 0.01  # share by which the sides' ratios of two sizes of one picture may differ

_Plain = tuple[float, float, float | None, float | None]  # fx, fy, cx, cy


@dataclass(frozen=True)
class Intrinsics:
    """What a file says of a camera.

    Attributes:
        fx, fy: focal lengths in pixels.
        cx, cy: principal point; None is the picture's middle.
        size: (height, width) of the pictures that it holds for, where it says so.
        distortion, fisheye, source: as of `Camera`.
    """

    fx: float
    fy: float
    cx: float | None = None
    cy: float | None = None
    size: tuple[int, int] | None = None
    distortion: tuple[float, ...] = ()
    fisheye: bool = False
    source: str = DATASET_SOURCE

    def __post_init__(self) -> None:
        if not (0 < self.fx < float("inf") and 0 < self.fy < float("inf")):
            raise DataError(f"intrinsics: expected positive focal lengths, got {self.fx, self.fy}")
        try:
            self.camera((1, 1))
        except UsageError as e:
            raise DataError(f"intrinsics: {e}") from None

    def camera(self, size: tuple[int, int]) -> Camera:
        """The camera of a picture of (height, width) with these very numbers."""
        height, width = size
        cx = (width - 1) / 2 if self.cx is None else self.cx
        cy = (height - 1) / 2 if self.cy is None else self.cy
        return Camera(self.fx, self.fy, cx, cy, self.source, self.distortion, self.fisheye)

    def fitted(self, size: tuple[int, int]) -> Camera:
        """The camera of a photograph, scaled if it was calibrated at another size.

        Raises:
            DataError: it is another picture's: of another shape, or it would look past this one.
        """
        height, width = size
        camera = self.camera(self.size or size)
        if self.size is not None and self.size != size:
            tall, wide = self.size
            if abs(width * tall / (height * wide) - 1) > _SAME_SHAPE:
                raise DataError(
                    f"{self.source}: holds for {wide}x{tall} pixels, the photograph has "
                    f"{width}x{height}: that is no enlargement (turned, or cropped?)"
                )
            camera = camera.scaled(self.size, size)
        if not (0 <= camera.cx <= width - 1 and 0 <= camera.cy <= height - 1):
            raise DataError(
                f"{self.source}: the principal point ({camera.cx:g}, {camera.cy:g}) lies outside "
                f"the photograph of {width}x{height} pixels: it is another size's"
            )
        return camera


def read_intrinsics(path: str | Path, frame: str = "", *, source: str = "") -> Intrinsics:
    """Intrinsics from text, JSON or YAML.

    Text or CSV holds `fx fy cx cy` or a matrix 3×3, 3×4 or 4×4, row by row; KITTI's
    calib_cam_to_cam.txt is known. JSON and YAML hold fx, fy, cx, cy, or a matrix under a usual
    name, perhaps the picture's width and height, and distortion as a list or as k1, k2, p1, …;
    so do OpenCV's FileStorage, ROS's camera_info, Kalibr's and nerfstudio's files.

    Args:
        path: the file.
        frame: name of the record, in a file of one for each frame.
        source: of the result; by default the file's name.

    Raises:
        MissingInput: there is no such file.
        DataError: it holds nothing of the kind.
    """
    path = Path(path)
    source = source or f"intrinsics of {path.name}"
    if not path.is_file():
        raise MissingInput(f"{path}: no such intrinsics file")
    text = _text(path, _LARGEST_FILE)
    if "\0" in text:
        raise DataError(f"{path}: no text: expected numbers, JSON or YAML with intrinsics")
    if text.lstrip().startswith("{"):
        values = _decoded(path, text, json.loads)
        return _from_record(path, values, frame=frame, source=source)
    projection = _KITTI_PROJECTION.search(text)
    if projection is None and ":" in text:
        values = _decoded(path, _text(path, _LARGEST_YAML), _load_yaml)
        return _from_record(path, values, frame=frame, source=source)
    numbers = projection.group(1) if projection else text
    if not _BETWEEN_NUMBERS.fullmatch(_NUMBER.sub(" ", numbers)):
        raise DataError(f"{path}: expected numbers, JSON or YAML with a camera's intrinsics")
    try:
        plain = _from_numbers([float(number) for number in _NUMBER.findall(numbers)])
        return Intrinsics(*plain, source=source)
    except DataError as e:
        raise DataError(f"{path}: {e}") from None


def _text(path: Path, limit: int) -> str:
    if path.stat().st_size > limit:
        raise DataError(f"{path}: too large for an intrinsics file")
    return path.read_text("utf-8-sig", errors="replace")


def _load_yaml(text: str) -> Any:
    import yaml

    loader: Any = type("Loader", (yaml.SafeLoader,), {})
    loader.add_constructor("tag:yaml.org,2002:opencv-matrix", loader.construct_yaml_map)
    try:
        # The first document: `ros2 topic echo` ends each message with ---.
        documents = yaml.load_all(_OPENCV_DIRECTIVE.sub("", text), loader)
        return next(iter(documents), None)
    except yaml.YAMLError as e:
        raise ValueError(" ".join(str(e).split())) from None


def _decoded(path: Path, text: str, load: Callable[[str], Any]) -> Mapping[str, Any]:
    try:
        values = load(text)
    except (ValueError, RecursionError) as e:
        raise DataError(f"{path}: not valid JSON or YAML: {e}") from None
    if not isinstance(values, Mapping):
        raise DataError(f"{path}: expected an object, got {type(values).__name__}")
    return values


def _from_record(path: Path, values: Mapping[str, Any], *, frame: str, source: str) -> Intrinsics:
    for name in (frame, "cam0"):  # Kalibr calls the first camera so
        if isinstance(values.get(name), Mapping):
            values = values[name]
            break
    try:
        fisheye = _is_fisheye(values)
        return Intrinsics(
            *_plain(values),
            size=_size(values),
            distortion=_distortion(values, fisheye=fisheye),
            fisheye=fisheye,
            source=source,
        )
    except (KeyError, TypeError, ValueError, OverflowError) as e:
        what = str(e) if isinstance(e, DataError) else f"{type(e).__name__}: {e}"
        of = f"intrinsics of {frame}: " if frame else ""
        raise DataError(f"{path}: {of}{what:.300}") from None


def _plain(values: Mapping[str, Any]) -> _Plain:
    """The four numbers of a record, in whichever form."""
    fx, fy = (_first(values, keys) for keys in _FOCAL_KEYS)
    if fx is not None:
        cx, cy = (None if values.get(key) is None else float(values[key]) for key in ("cx", "cy"))
        return float(fx), float(fx if fy is None else fy), cx, cy
    matrix = _first(values, _MATRIX_KEYS)
    if matrix is None:
        raise DataError(f"no fx, fy, cx, cy and no matrix ({', '.join(_MATRIX_KEYS)})")
    return _from_numbers(_flat(matrix))


def _is_fisheye(values: Mapping[str, Any]) -> bool:
    for key in _MODEL_KEYS:
        model = str(values.get(key) or "none").lower()
        if model in _FISHEYE_MODELS:
            return True
        if model not in _PLANE_MODELS and key == _MODEL_KEYS[0]:
            known = ", ".join((*_PLANE_MODELS[:3], *_FISHEYE_MODELS[:1]))
            raise DataError(f"{key} {model!r:.40}: expected one of {known}")
    return False


def _distortion(values: Mapping[str, Any], *, fisheye: bool) -> tuple[float, ...]:
    told = _first(values, _DISTORTION_KEYS)
    if told is not None:
        return tuple(_flat(told))
    names = _SINGLE[fisheye]
    if not any(name in values for name in names):
        return ()
    return tuple(float(values.get(name, 0)) for name in names)


def _size(values: Mapping[str, Any]) -> tuple[int, int] | None:
    """(height, width), where the record says so; Kalibr's resolution is width first."""
    width, height = _first(values, _WIDTH_KEYS), _first(values, _HEIGHT_KEYS)
    if "resolution" in values:
        width, height = values["resolution"]
    if not width or not height:  # a zero in ROS: not calibrated at one size
        return None
    size = int(height), int(width)
    if min(size) < 1:
        raise DataError(f"expected a size of at least 1x1, got {width}x{height}")
    return size


def _first(values: Mapping[str, Any], keys: Sequence[str]) -> Any:
    return next((values[key] for key in keys if values.get(key) is not None), None)


def _flat(matrix: Any) -> list[float]:
    """The numbers of nested lists, or of OpenCV's and ROS's {rows, cols, data}."""
    if isinstance(matrix, Mapping):
        matrix = matrix["data"]
    if isinstance(matrix, Sequence) and matrix and isinstance(matrix[0], Sequence):
        return [float(value) for row in matrix for value in row]
    return [float(value) for value in matrix]


def _from_numbers(values: Sequence[float]) -> _Plain:
    if len(values) == 4:
        fx, fy, cx, cy = values
        return fx, fy, cx, cy
    columns = {9: 3, 12: 4, 16: 4}.get(len(values))
    if columns is None:
        raise DataError(f"expected 4, 9, 12 or 16 numbers, got {len(values)}")
    cx, cy = values[2], values[columns + 2]
    if columns == 3 and cx == 0 and values[6] != 0:  # column by column, as Open3D, Record3D do
        cx, cy = values[6], values[7]
    return values[0], values[columns + 1], cx, cy
