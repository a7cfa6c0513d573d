"""OBJ and MTL files: triangles with normals, texture coordinates and colours.

Only the statements that a static model needs are read: v, vt, vn, f, usemtl, mtllib; newmtl, Kd,
d, map_Kd.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from glpn.errors import DataError
from glpn.synthetic.furniture_models.texture import Texture, read_texture

Reader = Callable[[str], bytes]  # the bytes of a file, by its path; KeyError or OSError if missing
FloatArray = NDArray[np.float32]

_LARGEST = 1e6  # coordinate of a model in any unit
_PLAIN = (0.6, 0.6, 0.6)  # sRGB colour of a face without a material


class Paint(NamedTuple):
    """A material: its sRGB colour 0..1, and a texture that replaces the colour."""

    colour: tuple[float, float, float] = _PLAIN
    texture: Texture | None = None


@dataclass(frozen=True)
class Mesh:
    """Triangles of one model.

    Attributes:
        corners: float32 [T, 3, 3], metres: triangle, corner, coordinate.
        normals: float32 [T, 3, 3], unit, at the corners.
        uv: float32 [T, 3, 2], texture coordinates; v points up.
        paint: int32 [T], index into `paints`.
        paints: the materials.
    """

    corners: FloatArray
    normals: FloatArray
    uv: FloatArray
    paint: NDArray[np.int32]
    paints: tuple[Paint, ...]

    def placed(self, matrix: NDArray[np.float64], at: NDArray[np.float64]) -> Mesh:
        """The mesh with corners matrix @ corner + at; the normals follow."""
        corners = self.corners @ matrix.T.astype(np.float32) + at.astype(np.float32)
        normals = self.normals @ np.linalg.inv(matrix).astype(np.float32)
        return Mesh(corners, unit(normals), self.uv, self.paint, self.paints)

    @cached_property
    def bounds(self) -> NDArray[np.float64]:
        """Lowest and highest corner [2, 3]."""
        points = self.corners.reshape(-1, 3)
        return np.stack([points.min(0), points.max(0)]).astype(np.float64)


def read_obj(name: str, read: Reader) -> Mesh:
    """Read a model with its materials and textures.

    Raises:
        DataError: the file has no triangle, or a number or an index in it is wrong.
    """
    text = read(name).decode("utf-8", "replace")
    folder = name.rpartition("/")[0]
    try:
        return _mesh(text.splitlines(), _materials(text, folder, read))
    except (ValueError, IndexError, OverflowError) as error:
        raise DataError(f"{name}: expected an OBJ file with triangles; {error}") from None


def unit(vectors: FloatArray) -> FloatArray:
    """Vectors [..., 3] at unit length; zero stays zero."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-20), np.float32)


def _mesh(lines: Iterable[str], materials: dict[str, Paint]) -> Mesh:
    numbers: dict[str, list[str]] = {"v": [], "vt": [], "vn": []}
    faces: list[str] = []
    paint: list[int] = []  # the material of each face
    counts: dict[int, list[int]] = {}  # the v, vt and vn before faces that count from the end
    rows = {name: i for i, name in enumerate(materials)}
    current = len(rows)  # the plain paint
    for line in lines:
        key, _, rest = line.strip().partition(" ")
        if key in numbers:
            numbers[key].append(rest)
        elif key == "f":
            faces.append(rest)
            paint.append(current)
            if "-" in rest:
                counts[len(faces) - 1] = [len(found) for found in numbers.values()]
        elif key == "usemtl":
            current = rows.get(rest.strip(), len(rows))
    if not faces:
        raise ValueError("it has none")
    index, face = _triangles(faces, counts)  # [T, 3 corners, 3 kinds], [T]
    corners = _picked(index[..., 0], numbers["v"], 3)
    flat = unit(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))
    normals = np.repeat(flat[:, None], 3, 1)
    uv = np.zeros((len(index), 3, 2), np.float32)
    mapped, smooth = (index[..., 1] >= 0).all(1), (index[..., 2] >= 0).all(1)
    if smooth.any():
        normals[smooth] = unit(_picked(index[smooth][..., 2], numbers["vn"], 3))
    if mapped.any():
        uv[mapped] = _picked(index[mapped][..., 1], numbers["vt"], 2)
    solid = np.abs(flat).sum(1) > 0  # triangles without an area have no normal
    paints = (*materials.values(), Paint())
    painted = np.array(paint, np.int32)[face]
    return Mesh(corners[solid], normals[solid], uv[solid], painted[solid], paints)


def _picked(index: NDArray[np.int64], lines: list[str], columns: int) -> FloatArray:
    """The first numbers of the lines at an index [..., columns]."""
    if index.min() < 0 or index.max() >= len(lines):
        raise ValueError(f"a face names row {index.max() + 1} of {len(lines)}")
    words = " ".join(lines).split()
    if len(words) % len(lines) or len(words) < columns * len(lines):  # some rows are longer
        words = [word for line in lines for word in line.split()[:columns]]
    table = np.array(words, np.float64).reshape(len(lines), -1)[:, :columns]
    if table.shape[1] < columns:
        raise ValueError(f"expected {columns} numbers a row, got {table.shape[1]}")
    if not (np.abs(table) < _LARGEST).all():  # false for NaN as well
        raise ValueError(f"a coordinate is not a number below {_LARGEST:g}")
    return table.astype(np.float32)[index]


def _triangles(
    faces: list[str], counts: dict[int, list[int]]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Polygons as fans of triangles: indices of v, vt, vn from 0, -1 for none; their faces."""
    sides = np.array([len(face.split()) for face in faces])
    text = " ".join(faces).replace("//", "/0/")
    if text.count("/") != 2 * sides.sum() or "/ " in text:
        text = " ".join(_padded(word) for word in text.split())
    numbers = np.array(text.replace("/", " ").split(), np.int64).reshape(-1, 3)
    index = numbers - 1
    if counts:
        before = np.zeros((len(faces), 3), np.int64)
        before[list(counts)] = list(counts.values())
        index = np.where(numbers < 0, numbers + np.repeat(before, sides, 0), index)
    start = np.cumsum(sides) - sides
    triangles, owner = [], []
    for number in range(1, int(sides.max()) - 1):
        some = np.flatnonzero(sides > number + 1)
        first = start[some]
        triangles.append(np.stack([first, first + number, first + number + 1], 1))
        owner.append(some)
    if not triangles:
        raise ValueError("its faces have fewer than three corners")
    return index[np.concatenate(triangles)], np.concatenate(owner)


def _padded(word: str) -> str:
    """The three indices of a corner; 0 for one that is not given."""
    return "/".join([part or "0" for part in [*word.split("/"), "0", "0"][:3]])


def _materials(text: str, folder: str, read: Reader) -> dict[str, Paint]:
    """The materials of all MTL files that an OBJ file names. Missing files count as plain."""
    materials: dict[str, Paint] = {}
    for line in text.splitlines():
        if not line.startswith("mtllib"):
            continue
        path = _joined(folder, line.partition(" ")[2].strip())
        try:
            lines = read(path).decode("utf-8", "replace").splitlines()
        except (KeyError, OSError):
            continue
        _add_materials(materials, lines, path.rpartition("/")[0], read)
    return materials


def _add_materials(
    materials: dict[str, Paint], lines: Iterable[str], folder: str, read: Reader
) -> None:
    name = ""
    for line in lines:
        key, _, rest = line.strip().partition(" ")
        rest = rest.strip()
        if key == "newmtl":
            name = rest
            materials[name] = Paint()
        elif key == "Kd" and name:
            r, g, b = (min(max(float(value), 0.0), 1.0) for value in rest.split()[:3])
            materials[name] = materials[name]._replace(colour=(r, g, b))
        elif key == "map_Kd" and name:
            file = rest.split()[-1] if rest.startswith("-") else rest  # options come first
            texture = read_texture(_joined(folder, file), read)
            materials[name] = materials[name]._replace(texture=texture)


def _joined(folder: str, name: str) -> str:
    """A path beside a file, with ".." resolved, because archives do not."""
    parts: list[str] = [part for part in folder.split("/") if part]
    for part in name.replace("\\", "/").split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in (".", ""):
            parts.append(part)
    return ("/" if folder.startswith("/") else "") + "/".join(parts)
