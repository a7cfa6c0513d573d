"""Catalogues: the models of a folder, with true sizes, by kind.

A folder holds catalogues of Sweet Home 3D (`*.sh3f`: archives with OBJ files and a table of sizes),
OBJ files in metres with z up, or both, at any depth.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from glpn.errors import DataError, MissingInput
from glpn.synthetic.furniture_models.facing import quarter_turns
from glpn.synthetic.furniture_models.kinds import Size, kind_of
from glpn.synthetic.furniture_models.obj import Mesh, read_obj

MAX_OBJ_BYTES = 800_000  # larger models cost seconds to read and are rarely worth it
_CACHED_MODELS = 700
_TABLE = "PluginFurnitureCatalog.properties"
_MAX_LOOSE_SIDE = 4.0  # metres: a loose file that is larger is a building or not in metres
# From OBJ axes (x right, y up, z to the front) to those of a piece (y to the front, z up).
_Y_UP = np.array([[-1.0, 0, 0], [0, 0, 1], [0, 1, 0]])


class Model(NamedTuple):
    """One model of a catalogue.

    Attributes:
        name: the model's name in words.
        kind: the result of `kinds.kind_of`.
        source: the archive or the folder that holds it; file: its path there.
        size: width, depth, height in metres; None as in the file.
        elevation: metres of its lowest point above the floor.
        turn: nine numbers, the rotation that the catalogue applies first; None for none.
        creator, licence: the names in the catalogue.
    """

    name: str
    kind: str
    source: Path
    file: str
    size: Size | None = None
    elevation: float = 0.0
    turn: tuple[float, ...] | None = None
    creator: str = "unknown"
    licence: str = "unknown"


class Library:
    """The models of a folder by kind; meshes are read when they are first needed."""

    def __init__(self, models: list[Model]) -> None:
        self.models = models
        self.kinds: dict[str, list[Model]] = {}
        for model in models:
            self.kinds.setdefault(model.kind, []).append(model)
        self.load = lru_cache(maxsize=_CACHED_MODELS)(_load)

    def pick(self, rng: np.random.Generator, kinds: tuple[str, ...]) -> Model | None:
        """A random model of these kinds; None if there is none."""
        found = [model for kind in kinds for model in self.kinds.get(kind, ())]
        return found[int(rng.random() * len(found))] if found else None

    def digest(self) -> str:
        """A short hash of which models there are; rooms of a seed depend on it."""
        rows = sorted(f"{model.kind} {model.source.name} {model.file}" for model in self.models)
        return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:12]

    def credits(self) -> str:
        """The creators, licences and models, one catalogue per paragraph, as licences ask for."""
        groups: dict[tuple[str, str], dict[str, set[str]]] = {}
        for model in self.models:
            group = groups.setdefault((model.source.name, model.licence), {})
            group.setdefault(model.creator, set()).add(model.name)
        lines = []
        for (source, licence), creators in sorted(groups.items()):
            lines += [f"{source}: {licence}", ""]
            lines += [
                f"- {who}: {', '.join(sorted(names))}" for who, names in sorted(creators.items())
            ]
            lines.append("")
        return "\n".join(lines)


@lru_cache(maxsize=4)
def open_library(path: str | Path) -> Library:
    """The library of a folder, or of one `.sh3f` file.

    Raises:
        MissingInput: nothing is there.
        DataError: no model of a known kind is in it.
    """
    root = Path(path)
    if not root.exists():
        raise MissingInput(f"{root}: no such folder of furniture")
    archives = [root] if root.is_file() else sorted(root.rglob("*.sh3f"))
    models = [model for archive in archives for model in _archive(archive)]
    if root.is_dir():
        models += _loose(root)
    if not models:
        raise DataError(f"{root}: expected *.sh3f catalogues or OBJ files of furniture; found none")
    return Library(models)


def _archive(path: Path) -> Iterator[Model]:
    """The models of a catalogue of Sweet Home 3D."""
    try:
        with zipfile.ZipFile(path) as archive:
            table = _properties(archive.read(_TABLE).decode("latin-1"))
            sizes = {info.filename: info.file_size for info in archive.infolist()}
    except (KeyError, OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: not a catalogue of Sweet Home 3D: {error}") from None
    licence = table.get("license", "unknown")
    for key, file in table.items():
        if not key.startswith("model#"):
            continue
        number = key.partition("#")[2]
        row = {name: table.get(f"{name}#{number}", "") for name in _COLUMNS}
        size = tuple(float(row[side]) / 100 for side in ("width", "depth", "height"))
        elevation = float(row["elevation"] or 0) / 100
        name, file = row["name"] or row["id"].rpartition("#")[2], file.lstrip("/")
        kind = kind_of(name, row["category"], (size[0], size[1], size[2]), elevation)
        if kind is None or not 0 < sizes.get(file, 0) <= MAX_OBJ_BYTES:
            continue
        turn = tuple(map(float, row["modelRotation"].split())) if row["modelRotation"] else None
        yield Model(
            name, kind, path, file, (size[0], size[1], size[2]), elevation, turn,
            row["creator"] or "unknown", licence,
        )  # fmt: skip


_COLUMNS = (
    "id", "name", "category", "width", "depth", "height", "elevation", "modelRotation", "creator",
)  # fmt: skip


def _properties(text: str) -> dict[str, str]:
    """A Java properties file: lines of key=value."""
    rows = (line.partition("=") for line in text.splitlines() if not line.startswith("#"))
    return {key.strip(): _unescaped(value.strip()) for key, mark, value in rows if mark}


def _unescaped(text: str) -> str:
    return re.sub(r"\\u([0-9a-fA-F]{4})", lambda match: chr(int(match[1], 16)), text)


def _loose(root: Path) -> Iterator[Model]:
    """OBJ files in metres, z up; the file names give their kinds."""
    licence = "see LICENSE beside the models"
    for path in sorted(root.rglob("*.obj")):
        if path.stat().st_size > MAX_OBJ_BYTES:
            continue
        low, high = _extent(path)
        size = (float(high[0] - low[0]), float(high[1] - low[1]), float(high[2] - low[2]))
        if max(size) > _MAX_LOOSE_SIDE:
            continue
        name = _words(path.stem)
        # Either horizontal side may be the width; models that hang have no elevation in the file.
        for width, depth in ((0, 1), (1, 0)):
            kind = kind_of(name, "", (size[width], size[depth], size[2]))
            if kind is not None:
                yield Model(name, kind, root, path.relative_to(root).as_posix(), licence=licence)
                break


def _words(stem: str) -> str:
    """Turn "residential_ChairA_01" into "residential Chair A 01"."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", stem).replace("_", " ")


def _extent(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lowest and highest corner of the vertices of a file."""
    with path.open("rb") as file:
        rows = [line.split()[1:4] for line in file if line.startswith(b"v ")]
    points = np.array(rows, np.float64).reshape(-1, 3) if rows else np.zeros((1, 3))
    return points.min(0), points.max(0)


def _load(model: Model) -> Mesh:
    """The mesh as a piece of furniture: z = 0 the floor, y = 0 the back, x = 0 the middle."""
    if model.source.suffix == ".sh3f":
        with zipfile.ZipFile(model.source) as archive:
            mesh = read_obj(model.file, archive.read)
    else:
        mesh = read_obj(model.file, lambda name: (model.source / name).read_bytes())
    if model.size is None:
        turns = quarter_turns(mesh, model.kind)
        quarter = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
        matrix = np.linalg.matrix_power(quarter, turns)
        scale = np.ones(3)
    else:
        turn = np.eye(3) if model.turn is None else np.array(model.turn).reshape(3, 3)
        matrix = _Y_UP @ turn
        extent = np.ptp(mesh.placed(matrix, np.zeros(3)).bounds, axis=0)
        scale = np.array(model.size) / np.maximum(extent, 1e-6)
    matrix = np.diag(scale) @ matrix
    low, high = mesh.placed(matrix, np.zeros(3)).bounds
    at = -np.array([(low[0] + high[0]) / 2, low[1], low[2]])
    return mesh.placed(matrix, at)
