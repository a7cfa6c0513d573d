"""The scenes of iBims-1 in its MATLAB release: image, depth, edges, camera and planes.

The release "ibims1_core_mat" (Koch et al. 2018) has one MATLAB v5 file per scene. The fields are
those that the published evaluation script reads.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glpn.camera.camera import Camera
from glpn.errors import DataError, MissingDependency, MissingInput

SCENE_SUFFIX = ".mat"
PLANE_KINDS = ("wall", "table", "floor")  # ordered as in the published evaluation

_MASKS = ("mask_invalid", "mask_transp")  # 1 is valid; transparent objects are unreliable
_MAPS = ("depth", "edges", *_MASKS)
_LARGEST_FILE = 64 << 20  # bytes; a scene has about 4 MB


@dataclass(frozen=True)
class Plane:
    """A plane of a scene.

    Attributes:
        kind: one of `PLANE_KINDS`.
        mask: its pixels, bool [H, W].
        normal: x to the right, y forward, z up.
    """

    kind: str
    mask: NDArray[np.bool_]
    normal: tuple[float, float, float]


@dataclass(frozen=True)
class Scene:
    """One scene.

    Attributes:
        image: RGB uint8 [H, W, 3].
        depth: metres float64 [H, W], 0 where unknown, invalid or transparent.
        edges: depth edges, bool [H, W].
        camera: pixel centres at whole numbers from 0.
        planes: walls, then tables, then floors.
    """

    image: NDArray[np.uint8]
    depth: NDArray[np.float64]
    edges: NDArray[np.bool_]
    camera: Camera
    planes: tuple[Plane, ...]


def scene_files(root: str | Path, names: Iterable[str]) -> dict[str, Path]:
    """Return the MATLAB files NAME.mat in or below the folder, by name; others are left out."""
    found = {path.stem: path for path in sorted(Path(root).rglob(f"*{SCENE_SUFFIX}"))}
    return {name: found[name] for name in names if name in found}


def read_scene(path: str | Path) -> Scene:
    """Read NAME.mat of the published dataset; do not pass files from untrusted sources.

    A type code that MATLAB does not define can crash scipy, and the process with it (scipy pull
    request 25349).

    Raises:
        MissingInput: there is no such file.
        DataError: the file is damaged or of another kind; the message names it and the field.
        MissingDependency: scipy is not installed.
    """
    path = Path(path)
    fields = _load(path)
    try:
        image = fields["rgb"]
        depth, edges, invalid, transparent = (_map(fields, name) for name in _MAPS)
        if image.dtype != np.uint8 or image.shape != (*depth.shape, 3):
            raise DataError(
                f"rgb: expected uint8 {[*depth.shape, 3]}, got {_type_and_shape(image)}"
            )
        known = np.isfinite(depth) & (depth > 0) & (invalid != 0) & (transparent != 0)
        return Scene(
            image=np.ascontiguousarray(image),
            depth=np.where(known, depth, 0).astype(np.float64),
            edges=edges != 0,
            camera=_camera(fields["calib"]),
            planes=tuple(p for kind in PLANE_KINDS for p in _planes(fields, kind)),
        )
    except KeyError as e:
        raise DataError(f"{path}: no field {e} in 'data'") from None
    except DataError as e:
        raise DataError(f"{path}: {e}") from None


def _load(path: Path) -> Mapping[str, np.ndarray]:
    """The fields of the structure `data`."""
    if not path.is_file():
        raise MissingInput(f"{path}: no such file")
    if path.stat().st_size > _LARGEST_FILE:
        raise DataError(f"{path}: larger than {_LARGEST_FILE:,} bytes, so no scene of iBims-1")
    try:
        from scipy.io import loadmat
        from scipy.io.matlab import MatReadError
    except ImportError:
        raise MissingDependency(f"{path}: reading it needs scipy", extra="train") from None
    damage = (MatReadError, OSError, ValueError, TypeError, KeyError, IndexError, zlib.error)
    try:
        data = loadmat(str(path), variable_names=["data"])["data"]
        return {name: data[name][0, 0] for name in data.dtype.names or ()}
    except (*damage, NotImplementedError, OverflowError, MemoryError) as e:
        raise DataError(f"{path}: expected a MATLAB v5 file with 'data': {e}") from None


def _map(fields: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """A numeric field with the shape of the depth [H, W]."""
    values, shape = fields[name], fields["depth"].shape
    if (
        values.dtype.kind not in "buif"
        or values.ndim != 2
        or values.shape != shape
        or not all(shape)
    ):
        raise DataError(
            f"{name}: expected numbers of the depth's shape [H, W], got {_type_and_shape(values)}"
        )
    return values


def _camera(calib: np.ndarray) -> Camera:
    """The camera of a 3x3 matrix or of its transpose, which MATLAB's toolbox uses."""
    if calib.dtype.kind not in "iuf" or calib.shape != (3, 3) or not np.isfinite(calib).all():
        raise DataError(f"calib: expected 3x3 finite numbers, got {_type_and_shape(calib)}")
    matrix = calib.astype(np.float64)
    if matrix[0, 2] == 0 and matrix[1, 2] == 0:
        matrix = matrix.T
    if not (matrix[0, 0] > 0 and matrix[1, 1] > 0):
        raise DataError(f"calib: expected focal lengths above 0, got {matrix.tolist()}")
    # MATLAB's pixels count from 1.
    middle = (matrix[0, 2] - 1, matrix[1, 2] - 1)
    return Camera(matrix[0, 0], matrix[1, 1], *middle, source="the dataset's calibration")


def _planes(fields: Mapping[str, np.ndarray], kind: str) -> list[Plane]:
    """The planes of one kind: row i of the parameters belongs to label i + 1 of the mask."""
    name = f"mask_{kind}"
    parameters = fields[f"{name}_paras"]
    if parameters.size == 0:
        return []
    labels = _map(fields, name)
    number = parameters.dtype.kind in "iuf" and parameters.ndim == 2 and parameters.shape[1] == 4
    if not number or not np.isfinite(parameters).all():
        raise DataError(
            f"{name}_paras: expected finite rows of 4, got {_type_and_shape(parameters)}"
        )
    return [
        Plane(kind, labels == label, (float(x), float(y), float(z)))
        for label, (x, y, z, _) in enumerate(parameters, 1)
    ]


def _type_and_shape(values: np.ndarray) -> str:
    return f"{values.dtype} {list(values.shape)}"
