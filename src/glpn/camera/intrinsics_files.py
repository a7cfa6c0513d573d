"""Intrinsics from the files that calibration tools, recorders and datasets write."""

from __future__ import annotations

import io
import json
import re
import tokenize
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from glpn.camera import intrinsics_records as records
from glpn.camera.intrinsics import Intrinsics, at_several_sizes
from glpn.errors import DataError, MissingInput

_MAX_BYTES = 16 << 20  # Record3D keeps the pose of every frame in its file
_MAX_YAML_BYTES = 64 << 10  # PyYAML needs a second for ten times as much
_MAX_ARRAY_BYTES = 1 << 20  # limit for each array in an .npz file

# What NumPy and zipfile raise for damaged files; NumPy tokenizes the header of an array.
_UNREADABLE = (
    OSError,
    ValueError,
    EOFError,
    SyntaxError,
    TypeError,
    KeyError,
    tokenize.TokenError,
    zipfile.BadZipFile,
)

_NUMBER = r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
_NUMBERS = re.compile(_NUMBER)
_SEPARATORS = re.compile(r"[\s,;()\[\]]*")
_COMMENT = re.compile(r"(?:#|//|%(?!YAML)).*")
_KITTI = re.compile(r"^P(?:_rect_0)?2:(.*)$", re.MULTILINE)  # 3x4, left colour camera
_OPENCV_DIRECTIVE = re.compile(r"^%YAML[: ]1\.[0-9]\s*")  # OpenCV omits the blank of real YAML
_COLMAP_ROW = re.compile(rf"^\s*([0-9]+)\s+([A-Z_]+)\s+([0-9]+)\s+([0-9]+)((?:\s+{_NUMBER})+)\s*$")
_REALSENSE = re.compile(r"^\s*(?:Intrinsic of|Intrinsics:)(.*)$", re.MULTILINE)
# Resolution names of ZED calibration files → (height, width); stereolabs.com, "Camera calibration".
_ZED_SIZES = {
    "2K": (1242, 2208),
    "FHD": (1080, 1920),
    "FHD1200": (1200, 1920),
    "HD": (720, 1280),
    "SVGA": (600, 960),
    "VGA": (376, 672),
}
# COLMAP camera models → names of their parameters; colmap/src/colmap/sensor/models.h.
_COLMAP_MODELS = {
    "SIMPLE_PINHOLE": "fx cx cy",
    "PINHOLE": "fx fy cx cy",
    "SIMPLE_RADIAL": "fx cx cy k1",
    "RADIAL": "fx cx cy k1 k2",
    "OPENCV": "fx fy cx cy k1 k2 p1 p2",
    "FULL_OPENCV": "fx fy cx cy k1 k2 p1 p2 k3 k4 k5 k6",
    "OPENCV_FISHEYE": "fx fy cx cy k1 k2 k3 k4",
    "SIMPLE_RADIAL_FISHEYE": "fx cx cy k1",
    "RADIAL_FISHEYE": "fx cx cy k1 k2",
}


def read_intrinsics(path: str | Path, frame: str = "", *, source: str = "") -> Intrinsics:
    """Read camera intrinsics; the content decides the format, not the suffix.

    Formats: `fx fy cx cy` or a matrix 3×3, 3×4 or 4×4 as text, CSV or .npy, with comments or a line
    of column names; JSON and YAML with fx, fy, cx, cy or a matrix under a usual name (OpenCV, ROS
    CameraInfo, Kalibr, nerfstudio, NeRF's camera_angle_x, Open3D, RealSense, OAK, Azure Kinect,
    ARKit, Record3D, Polycam); OpenCV XML and NPZ (mtx, dist); COLMAP's cameras.txt; KITTI's
    calibration files (camera 2); ZED's .conf (left camera); the text of `rs-enumerate-devices -c`.

    Args:
        path: the file.
        frame: name of the record, in a file with one for each frame.
        source: the `source` of the result; by default the file's name.

    Raises:
        MissingInput: there is no such file.
        DataError: it contains no intrinsics, or a key beside them that is not understood.
    """
    path = Path(path)
    source = source or f"intrinsics of {path.name}"
    if not path.is_file():
        raise MissingInput(f"{path}: no such intrinsics file")
    try:
        return _parse(path, frame=frame, source=source)
    except DataError as e:
        raise DataError(f"{path}: {e}") from None


def _parse(path: Path, *, frame: str, source: str) -> Intrinsics:
    if path.stat().st_size > _MAX_BYTES:
        raise DataError("too large for an intrinsics file")
    data = path.read_bytes()
    if data.startswith((b"\x93NUMPY", b"PK\x03\x04")):
        return _from_arrays(data, source)
    text = data.decode("utf-8-sig", errors="replace")
    if "\0" in text:
        raise DataError("not text: expected numbers, JSON, YAML or XML with intrinsics")
    start = text.lstrip()
    if start.startswith("{"):
        return records.from_record(_decoded(text, json.loads), frame=frame, source=source)
    if start.startswith("<"):
        return records.from_record(_opencv_xml(text), frame=frame, source=source)
    return _from_text(text, frame=frame, source=source)


def _from_text(text: str, *, frame: str, source: str) -> Intrinsics:
    if found := _KITTI.search(text):
        return records.from_numbers(_numbers(found.group(1)), source=source)
    if "[LEFT_CAM" in text:
        return _from_zed(text, source)
    if _REALSENSE.search(text):
        return _from_realsense(text, source)
    plain = "\n".join(_COMMENT.sub("", line) for line in text.splitlines())
    rows = [row for line in plain.splitlines() if (row := _COLMAP_ROW.match(line))]
    if rows:
        return _from_colmap(rows, frame=frame, source=source)
    if ":" in plain:
        if len(text) > _MAX_YAML_BYTES:
            raise DataError("too large for an intrinsics file in YAML")
        return records.from_record(_decoded(text, _load_yaml), frame=frame, source=source)
    if names := _column_names(text):
        numbers = _numbers(plain.lower().replace(" ".join(names), ""), names=names)
        return records.from_record(dict(zip(names, numbers, strict=True)), frame="", source=source)
    return records.from_numbers(_numbers(plain), source=source)


def _column_names(text: str) -> list[str]:
    """Names of the columns, in a first line such as `# fx fy cx cy k1 k2 p1 p2` or CSV's."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    names = re.split(r"[\s,;]+", first.lower().strip(" \t#/%,;"))
    return names if len(names) > 1 and names[0] in ("fx", "fl_x", "width", "w") else []


def _numbers(text: str, *, names: Sequence[str] = ()) -> list[float]:
    """All numbers of a text that holds nothing else, apart from a line of column names."""
    for name in names:
        text = re.sub(rf"\b{re.escape(name)}\b", " ", text)
    if not _SEPARATORS.fullmatch(_NUMBERS.sub(" ", text)):
        raise DataError("expected numbers, JSON, YAML or XML with a camera's intrinsics")
    numbers = [float(number) for number in _NUMBERS.findall(text)]
    if names and len(numbers) != len(names):
        raise DataError(f"names {len(names)} columns, but contains {len(numbers)} numbers")
    return numbers


def _load_yaml(text: str) -> object:
    import yaml

    loader: Any = type("Loader", (yaml.SafeLoader,), {})
    loader.add_constructor("tag:yaml.org,2002:opencv-matrix", loader.construct_yaml_map)
    try:
        # The first document only: `ros2 topic echo` ends each message with ---.
        documents = yaml.load_all(_OPENCV_DIRECTIVE.sub("", text), loader)
        return next(iter(documents), None)
    except yaml.YAMLError as e:
        raise ValueError(" ".join(str(e).split())) from None


def _decoded(text: str, load: Callable[[str], object]) -> Mapping[str, object]:
    try:
        values = load(text)
    except (ValueError, RecursionError) as e:
        raise DataError(f"not valid JSON or YAML: {e!s:.200}") from None
    if not isinstance(values, Mapping):
        raise DataError(f"expected an object, got {type(values).__name__}")
    return values


def _opencv_xml(text: str) -> dict[str, object]:
    """The record of an OpenCV FileStorage in XML."""
    from xml.etree import ElementTree

    if "<!" in re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL):
        raise DataError("XML with a DOCTYPE or entities")  # these can expand without bound
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 - no entities, 16 MiB at most
    except ElementTree.ParseError as e:
        raise DataError(f"not valid XML: {e}") from None
    if root.tag != "opencv_storage":
        raise DataError(f"XML with {root.tag!r:.50}: expected OpenCV's opencv_storage")
    values: dict[str, object] = {}
    for node in root:
        content = (node.findtext("data") or "") if len(node) else (node.text or "")
        words = content.split()
        if len(node) and _NUMBERS.fullmatch(words[0] if words else ""):
            values[node.tag] = words
        else:
            values[node.tag] = content.strip().strip('"')
    return values


def _from_arrays(data: bytes, source: str) -> Intrinsics:
    """NumPy files: a matrix, or an archive of a matrix and distortion (mtx, dist)."""
    try:
        if data.startswith(b"\x93NUMPY"):
            matrix = np.load(io.BytesIO(data), allow_pickle=False)
            return records.from_numbers(np.ravel(matrix).astype(float).tolist(), source=source)
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            large = [i.filename for i in archive.infolist() if i.file_size > _MAX_ARRAY_BYTES]
        if large:
            raise DataError(f"{large[0]}: too large for an intrinsics file")
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            names = [name for name in arrays if not records.is_ignored(name)]
            values = {name: arrays[name].tolist() for name in names}
    except _UNREADABLE as e:
        if isinstance(e, DataError):
            raise
        raise DataError(f"not a readable NumPy file: {e}") from None
    return records.from_record(values, frame="", source=source)


def _from_colmap(rows: Sequence[re.Match[str]], *, frame: str, source: str) -> Intrinsics:
    """COLMAP's cameras.txt: CAMERA_ID MODEL WIDTH HEIGHT PARAMS[]."""
    found = []
    for number, model, width, height, text in (row.groups() for row in rows):
        if frame not in ("", number) and frame in [row.group(1) for row in rows]:
            continue
        names = _COLMAP_MODELS.get(model)
        if names is None:
            known = ", ".join(_COLMAP_MODELS)
            raise DataError(f"camera model {model!r:.40}: expected one of {known}")
        numbers = _numbers(text)
        if len(numbers) != len(names.split()):
            raise DataError(f"{model}: expected {len(names.split())} numbers, got {len(numbers)}")
        values = dict(zip(names.split(), numbers, strict=True))
        # COLMAP's pixel centres are at half numbers, ours and OpenCV's at whole ones.
        values |= {"cx": values["cx"] - 0.5, "cy": values["cy"] - 0.5}
        values |= {"width": int(width), "height": int(height), "fisheye": "FISHEYE" in model}
        found.append(records.from_record(values, frame="", source=source))
    return at_several_sizes(found)


def _from_zed(text: str, source: str) -> Intrinsics:
    """A ZED calibration file: one section for each resolution of the left camera."""
    import configparser

    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(text)
    except configparser.Error as e:
        raise DataError(f"not valid INI text: {' '.join(str(e).split()):.200}") from None
    found = []
    for section in parser.sections():
        name = section.removeprefix("LEFT_CAM_")
        if name == section:
            continue
        if name not in _ZED_SIZES:
            raise DataError(f"[{section}]: expected one of {', '.join(_ZED_SIZES)}")
        height, width = _ZED_SIZES[name]
        values = {**parser[section], "height": height, "width": width}
        found.append(records.from_record(values, frame="", source=source))
    return at_several_sizes(found)


def _from_realsense(text: str, source: str) -> Intrinsics:
    """The output of `rs-enumerate-devices -c`: the colour stream at each of its sizes."""
    found = []
    parts = _REALSENSE.split(text)[1:]
    titles, bodies = parts[::2], parts[1::2]
    color = ["color" in title.lower() for title in titles]
    for title, body, is_color in zip(titles, bodies, color, strict=True):
        if any(color) and not is_color:
            continue
        block = re.split(r"\n\s*\n", body.lstrip("\n"), maxsplit=1)[0]
        pairs = (line.split(":", 1) for line in block.splitlines() if ":" in line)
        values = {key.strip(): value.strip() for key, value in pairs}
        coefficients = values.pop("Coeffs", "").split()
        try:
            record = {**values, "coeffs": coefficients}
            found.append(records.from_record(record, frame="", source=source))
        except DataError as e:
            raise DataError(f"{title.strip():.60}: {e}") from None
    unique = list({(one.size, one.fx, one.cx): one for one in found}.values())
    return at_several_sizes(unique)
