"""Reads intrinsics from key-value records. An unknown key raises an error that names it.

Names are compared in lower case without underscores and blanks, so `cameraMatrix`, `camera_matrix`
and `Camera Matrix` are one name. A key is read, or known not to change the camera, or an error:
a principal point or a lens that is skipped in silence moves points by metres.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from glpn.camera.camera import FOV_RANGE
from glpn.camera.intrinsics import Intrinsics, at_several_sizes
from glpn.errors import DataError

_ALIASES = {
    "fx": "fx flx",
    "fy": "fy fly",
    "cx": "cx ppx",
    "cy": "cy ppy",
    "matrix": "k intrinsicmatrix cameramatrix cammat intrinsics intrinsic mtx",
    "distortion": "d distortioncoefficients distortioncoeffs distcoeffs distortion coeffs dist "
    "distortioncoeff",
    "model": "distortionmodel cameramodel model",
    "width": "width imagewidth w",
    "height": "height imageheight h",
    "resolution": "resolution",
    "fisheye": "fisheye isfisheye fisheyemodel",
    "angle": "cameraanglex",
    "skew": "skew",
    "roi": "roi",
    "binning": "binningx binningy",
    **{
        f"{letter}{i}": f"{letter}{i}"
        for letter, n in (("k", 6), ("p", 2))
        for i in range(1, n + 1)
    },
}
_CANONICAL = {alias: name for name, aliases in _ALIASES.items() for alias in aliases.split()}
# Keys of the supported formats that do not change the camera of the raw image: ROS, OpenCV, Kalibr,
# nerfstudio, RealSense, OAK, Record3D, ARKit and Polycam, in this order.
_IGNORED_NAMES = """
    header seq stamp frameid cameraname source name id key serial serialnumber date time
    timestamp comment note description device version r p rectificationmatrix projectionmatrix
    calibrationtime nframes nrofframes boardwidth boardheight squaresize markersize
    fixaspectratio flags avgreprojectionerror reprojectionerror rms perviewreprojectionerrors
    extrinsicparameters imagepoints gridpoints rvecs tvecs ret error
    camoverlaps rostopic tcamimu tcncnm1 timeshiftcamimu
    frames aabbscale plyfilepath orientationoverride appliedtransform cameraangley
    depthscale colorformat depthformat streamlengthmsec fps fov(deg)
    cameratype extrinsics lensposition spechfovdeg
    poses initpose dw dh perframeintrinsiccoeffs frametimestamps
    cameraposearframe frameindex exposureduration averageangularvelocity averagevelocity
    cameragrain motionquality blurscore neighbors manualkeyframe centerdepth points
    t00 t01 t02 t03 t10 t11 t12 t13 t20 t21 t22 t23
"""
_IGNORED = frozenset(_IGNORED_NAMES.split())
_FISHEYE_MODELS = ("equidistant", "fisheye", "opencv_fisheye", "kannala_brandt", "kannala_brandt4")
_PLANE_MODELS = (
    *("plumb_bob", "rational_polynomial", "radtan", "brown_conrady", "none"),
    *("pinhole", "perspective", "simple_pinhole", "opencv", "full_opencv"),
)
# RealSense names these for images that it has already rectified; with coefficients they are
# formulas of their own.
_RECTIFIED_MODELS = ("inverse_brown_conrady", "modified_brown_conrady")
_PLANE_COEFFICIENTS = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")
_FISHEYE_COEFFICIENTS = ("k1", "k2", "k3", "k4")
_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_MAX_SKEW = 1e-3  # fraction of fx; above it, the camera's pixels are not rectangles
_MAX_DISAGREEMENT = 0.01  # pixels between fx, fy, cx, cy and a matrix in the same record

# Azure Kinect: (binned width and height, rows cropped at the top) of its 4:3 and 16:9 modes.
_KINECT_COLOR_MODES = ((4096, 3072, 0), (3840, 2880, 360))
_KINECT_PARAMETERS = (
    *("cx", "cy", "fx", "fy", "k1", "k2", "k3", "k4", "k5", "k6", "codx", "cody", "p2", "p1"),
)


class _Plain(NamedTuple):
    fx: float
    fy: float
    cx: float | None
    cy: float | None


def is_ignored(key: str) -> bool:
    """Whether a key is known not to change the camera."""
    return _short(key) in _IGNORED


def from_record(values: Mapping[str, object], *, frame: str, source: str) -> Intrinsics:
    """Intrinsics of one record, or of the record of `frame` or of the colour camera inside.

    Raises:
        DataError: there are none, a value is impossible, or a key is not understood.
    """
    try:
        if "CalibrationInformation" in values:
            return _from_azure_kinect(values, source)
        if "cameraData" in values:
            return _from_oak(values, source)
        for name in (frame, "cam0"):  # Kalibr's name of the first camera
            inner = values.get(name)
            if isinstance(inner, Mapping):
                values = inner
                break
        return _from_fields(_canonical(values), source)
    except (KeyError, TypeError, ValueError, OverflowError) as e:
        what = str(e) if isinstance(e, DataError) else f"{type(e).__name__}: {e}"
        of = f"intrinsics of {frame}: " if frame else ""
        raise DataError(f"{of}{what:.400}") from None


def from_numbers(numbers: Sequence[float], *, source: str) -> Intrinsics:
    """Intrinsics of `fx fy cx cy` or of the numbers of a matrix.

    Raises:
        DataError: it is neither.
    """
    return Intrinsics(*_from_matrix(numbers), source=source)


def _short(key: object) -> str:
    return re.sub(r"[_\s-]", "", str(key)).lower()


def _canonical(values: Mapping[str, object]) -> dict[str, object]:
    """The record under canonical names, without empty and ignored keys.

    Raises:
        DataError: a key is not understood, or two keys of one meaning differ.
    """
    found: dict[str, list[object]] = {}
    unknown = []
    for key, value in values.items():
        name = _CANONICAL.get(_short(key))
        if name == "distortion" and isinstance(value, str):
            name = "model"  # RealSense names its model so
        if name is not None and value is not None:
            found.setdefault(name, []).append(value)
        elif name is None and not is_ignored(key):
            unknown.append(str(key))
    fields = {name: given[0] for name, given in found.items()}
    for name, given in found.items():
        if name == "model":  # Kalibr states the projection and the distortion
            models = [_model_name(value) for value in given]
            fields[name] = next((m for m in models if m in _FISHEYE_MODELS), models[0])
        elif name == "binning":
            fields[name] = max(_number(name, value) for value in given)
        elif any(value != given[0] for value in given[1:]):
            raise DataError(f"{name}: two values, {given[0]!r:.60} and {given[1]!r:.60}")
    if not fields.keys() & {"fx", "matrix", "angle"}:
        raise DataError("no fx, fy, cx, cy and no matrix (K, camera_matrix, intrinsics, ...)")
    if unknown:
        raise DataError(
            f"key {unknown[0]!r:.60} is not understood and may change the camera; remove it, or "
            "keep only fx, fy, cx, cy, width, height and the distortion"
        )
    return fields


def _model_name(value: object) -> str:
    """A model's name in lower case with underscores; RealSense prefixes it with its enum."""
    name = str(value).lower().rsplit(".", 1)[-1].strip()
    return re.sub(r"[\s-]+", "_", name) or "none"


def _from_fields(fields: Mapping[str, object], source: str) -> Intrinsics:
    fisheye = _is_fisheye(fields)
    distortion = _distortion(fields, fisheye=fisheye)
    if fields.get("model") in _RECTIFIED_MODELS and any(distortion):
        raise DataError(f"distortion model {fields['model']!r} with coefficients is unsupported")
    _require_whole_image(fields)
    size = _size(fields)
    plain = _plain(fields, size)
    return Intrinsics(
        *plain,
        size=size,
        distortion=distortion,
        fisheye=fisheye,
        source=source,
        per_width="angle" in fields and not fields.keys() & {"fx", "matrix"} and size is None,
    )


def _plain(fields: Mapping[str, object], size: tuple[int, int] | None) -> _Plain:
    """Focal lengths and principal point, from whichever keys hold them."""
    cx, cy = (None if name not in fields else _number(name, fields[name]) for name in ("cx", "cy"))
    matrix = _from_matrix(_flat("matrix", fields["matrix"])) if "matrix" in fields else None
    if "fx" in fields:
        fx = _number("fx", fields["fx"])
        plain = _Plain(fx, _number("fy", fields.get("fy", fx)), cx, cy)
        if matrix is not None:
            pairs = zip(plain, matrix, strict=True)
            if any(a is not None and abs(a - (b or 0)) > _MAX_DISAGREEMENT for a, b in pairs):
                raise DataError("fx, fy, cx, cy and the matrix differ")
        return matrix or plain
    if matrix is not None:
        return matrix
    angle = math.degrees(_number("camera_angle_x", fields["angle"]))
    if not FOV_RANGE[0] <= angle <= FOV_RANGE[1]:
        low, high = map(math.radians, FOV_RANGE)
        raise DataError(f"camera_angle_x: expected {low:.3g} to {high:.3g} radians")
    focal = 0.5 / math.tan(math.radians(angle) / 2) * (1 if size is None else size[1])
    return _Plain(focal, focal, cx, cy)


def _is_fisheye(fields: Mapping[str, object]) -> bool:
    model = fields.get("model", "none")
    if model in _FISHEYE_MODELS:
        return True
    if model not in (*_PLANE_MODELS, *_RECTIFIED_MODELS):
        known = ", ".join((*_PLANE_MODELS[:4], *_FISHEYE_MODELS[:1]))
        raise DataError(f"distortion_model {model!r:.40}: expected one of {known}")
    flag = fields.get("fisheye", False)
    if str(flag).lower() not in ("0", "1", "true", "false"):
        raise DataError(f"fisheye: expected true or false, got {flag!r:.40}")
    return str(flag).lower() in ("1", "true")


def _distortion(fields: Mapping[str, object], *, fisheye: bool) -> tuple[float, ...]:
    names = _FISHEYE_COEFFICIENTS if fisheye else _PLANE_COEFFICIENTS
    single = [name for name in _PLANE_COEFFICIENTS if name in fields]
    if "distortion" in fields:
        if single:
            raise DataError(f"distortion is there as a list and as {single[0]}")
        return tuple(_flat("distortion", fields["distortion"]))
    if extra := [name for name in single if name not in names and _number(name, fields[name])]:
        raise DataError(f"{extra[0]} is no coefficient of a fisheye")
    return tuple(_number(name, fields.get(name, 0)) for name in names) if single else ()


def _require_whole_image(fields: Mapping[str, object]) -> None:
    """Refuse what shifts or shears pixels: skew, ROS's region of interest and binning."""
    skew, fx = (_number(name, fields.get(name, 0)) for name in ("skew", "fx"))
    if abs(skew) > _MAX_SKEW * abs(fx):
        raise DataError(f"skew {skew:g}: only cameras without skew are supported")
    if _number("binning", fields.get("binning", 0)) > 1:
        raise DataError(f"binning {fields['binning']}: expected intrinsics of the full resolution")
    roi = fields.get("roi", {})
    if not isinstance(roi, Mapping):
        raise DataError(f"roi: expected an object, got {type(roi).__name__}")
    if any(_number(name, value) for name, value in roi.items() if _short(name) != "dorectify"):
        raise DataError("roi: expected intrinsics of the whole image, got a region of interest")


def _size(fields: Mapping[str, object]) -> tuple[int, int] | None:
    """(height, width) if stated; Kalibr's resolution has the width first."""
    width, height = fields.get("width"), fields.get("height")
    if "resolution" in fields:
        width, height = _flat("resolution", fields["resolution"])
    if width is None or height is None:
        return None
    size = _number("height", height), _number("width", width)
    if 0 in size:  # ROS: not calibrated at one size
        return None
    if min(size) < 1 or any(side != int(side) for side in size):
        raise DataError(f"expected a size of at least 1x1, got {width}x{height}")
    return int(size[0]), int(size[1])


def _number(name: str, value: object) -> float:
    """A number, or its text: YAML 1.1 reads 1e3 as text."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise DataError(f"{name}: expected a number, got {value!r:.60}")
    return float(value)


def _flat(name: str, matrix: object) -> list[float]:
    """The numbers of nested lists, or of the {rows, cols, data} of OpenCV and ROS."""
    if isinstance(matrix, Mapping):
        if "data" not in matrix:
            raise DataError(f"{name}: expected rows, cols and data, got no data")
        matrix = matrix["data"]
    if isinstance(matrix, str) or not isinstance(matrix, Sequence):
        raise DataError(f"{name}: expected a list of numbers, got {matrix!r:.60}")
    if any(isinstance(row, Sequence) and not isinstance(row, str) for row in matrix):
        return [number for row in matrix for number in _flat(name, row)]
    return [_number(name, value) for value in matrix]


def _from_matrix(values: Sequence[float]) -> _Plain:
    if len(values) == 4:
        return _Plain(*values)
    columns = {9: 3, 12: 4, 16: 4}.get(len(values))
    if columns is None:
        raise DataError(f"expected 4, 9, 12 or 16 numbers, got {len(values)}")
    fx, skew, cx, below = values[0], values[1], values[2], values[columns]
    fy, cy = values[columns + 1], values[columns + 2]
    if columns == 3 and cx == 0 and values[6] != 0:  # column-major: Open3D, Record3D
        cx, cy, skew, below = values[6], values[7], values[3], values[1]
    if max(abs(skew), abs(below)) > _MAX_SKEW * abs(fx):
        raise DataError(f"skew {skew or below:g}: only cameras without skew are supported")
    return _Plain(fx, fy, cx, cy)


def _from_azure_kinect(values: Mapping[str, Any], source: str) -> Intrinsics:
    """The colour camera of an Azure Kinect's raw calibration, which has units of the sensor.

    Source: Azure-Kinect-Sensor-SDK, src/transformation/mode_specific_calibration.c.
    """
    cameras = values["CalibrationInformation"]["Cameras"]
    found = [camera for camera in cameras if camera["Purpose"].endswith("PhotoVideo")]
    if not found:
        raise DataError("no colour camera (Purpose PhotoVideo) among the Cameras")
    model = found[0]["Intrinsics"]["ModelType"]
    if not model.endswith("BrownConrady"):
        raise DataError(f"ModelType {model!r:.80}: expected BrownConrady")
    numbers = [_number("ModelParameters", n) for n in found[0]["Intrinsics"]["ModelParameters"]]
    if len(numbers) < len(_KINECT_PARAMETERS):
        raise DataError(f"ModelParameters: expected 14 numbers, got {len(numbers)}")
    sensor = dict(zip(_KINECT_PARAMETERS, numbers, strict=False))
    if sensor["codx"] or sensor["cody"]:
        raise DataError("ModelParameters: a distortion centre aside of the axis is unsupported")
    sizes = []
    for width, height, cropped in _KINECT_COLOR_MODES:
        sizes.append(
            Intrinsics(
                sensor["fx"] * width,
                sensor["fy"] * height,
                sensor["cx"] * width - 0.5,
                sensor["cy"] * height - cropped - 0.5,
                size=(height - 2 * cropped, width),
                distortion=tuple(sensor[name] for name in _PLANE_COEFFICIENTS),
                source=source,
            )
        )
    return at_several_sizes(sizes)


def _from_oak(values: Mapping[str, Any], source: str) -> Intrinsics:
    """The colour camera (socket 0) of an OAK's EEPROM, as depthai writes it."""
    sockets = {int(socket): camera for socket, camera in values["cameraData"]}
    camera = dict(sockets.get(0) or next(iter(sockets.values())))
    if camera.pop("cameraType", 0) not in (0, "PERSPECTIVE"):
        camera["fisheye"] = True
        camera["distortionCoeff"] = camera.get("distortionCoeff", [])[:4]
    return _from_fields(_canonical(camera), source)
