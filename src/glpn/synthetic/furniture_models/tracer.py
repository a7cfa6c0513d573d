"""Tracer: rays against all meshes of a scene, through Embree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from glpn.errors import MissingDependency
from glpn.synthetic.furniture_models import texture
from glpn.synthetic.furniture_models.obj import FloatArray, Mesh, unit

_NEAR = 0.05  # metres; rays start here, as `cast.NEAR`
_LAYERS = 5  # cut-out surfaces, such as leaves, that a ray may pass
_OPAQUE = 0.5  # coverage from which a texel is there
_AFTER = 1e-4  # relative step behind a surface that lets a ray pass
MISS = -1

Part = tuple[Mesh, int, tuple[float, float, float]]  # mesh in world axes, instance, tint


class Found(NamedTuple):
    """The nearest triangle per ray [N]: its depth and number, and the place in it [N, 2].

    The depth is in units of the ray's direction: inf and MISS where nothing is met.
    """

    depth: FloatArray
    triangle: NDArray[np.int32]
    place: FloatArray


class Skin(NamedTuple):
    """The surface at some hits: normal and shading [N, 3], unit, towards the ray's origin;
    colour [N, 3], linear; the part it belongs to [N]."""

    normal: FloatArray
    shading: FloatArray
    colour: FloatArray
    part: NDArray[np.int32]


class Tracer:
    """Meshes in world axes, built once per scene. `instance` has the number of each part."""

    def __init__(self, parts: Sequence[Part]) -> None:
        scene, geometry = _embree()
        meshes = [mesh for mesh, _, _ in parts]
        self.corners = np.concatenate([mesh.corners for mesh in meshes])
        self.normals = np.concatenate([mesh.normals for mesh in meshes])
        self.uv = np.concatenate([mesh.uv for mesh in meshes])
        counts = [len(mesh.corners) for mesh in meshes]
        self.part = np.repeat(np.arange(len(parts), dtype=np.int32), counts)
        self.instance = np.array([instance for _, instance, _ in parts], np.int32)
        self.tint = np.array([tint for _, _, tint in parts], np.float32)
        first = np.cumsum([0, *(len(mesh.paints) for mesh in meshes)])
        self.paint = np.concatenate(
            [mesh.paint + start for mesh, start in zip(meshes, first, strict=False)]
        )
        self._paints([paint for mesh in meshes for paint in mesh.paints])
        self._scene = scene(robust=True)
        self._geometry = geometry(self._scene, self.corners)

    def _paints(self, paints: Sequence[Any]) -> None:
        """The colours [M, 3], linear, and the textures, each once, as one bank of texels."""
        self.colour = np.array([paint.colour for paint in paints], np.float32) ** 2.2
        bank: dict[int, int] = {}
        pages = [np.zeros((1, 4), np.uint8)]
        size = 1
        self.first = np.full(len(paints), -1, np.int64)
        cut = np.zeros(len(paints), bool)
        for number, paint in enumerate(paints):
            if paint.texture is None:
                continue
            if id(paint.texture) not in bank:
                bank[id(paint.texture)] = size
                pages.append(paint.texture)
                size += len(paint.texture)
            self.first[number] = bank[id(paint.texture)]
            cut[number] = paint.texture[: texture.OFFSETS[1], 3].min() < 128
        self.bank = np.concatenate(pages)
        self.cut = cut if cut.any() else None

    def cast(self, origin: FloatArray, direction: FloatArray, *, near: float = _NEAR) -> Found:
        """The nearest opaque triangle along rays from one origin [3], directions [N, 3]."""
        count = len(direction)
        depth = np.full(count, np.inf, np.float32)
        triangle = np.full(count, MISS, np.int32)
        place = np.zeros((count, 2), np.float32)
        rays, start = np.arange(count), np.full(count, near, np.float32)
        for _ in range(_LAYERS):
            ahead = direction[rays]
            found = self._scene.run(origin + start[:, None] * ahead, ahead, output=True)
            hit = found["primID"] >= 0
            rays, start = rays[hit], start[hit] + found["tfar"][hit]
            number = found["primID"][hit]
            where = np.stack([found["u"][hit], found["v"][hit]], 1)
            solid = self._solid(number, where)
            depth[rays[solid]] = start[solid]
            triangle[rays[solid]], place[rays[solid]] = number[solid], where[solid]
            rays, start = rays[~solid], start[~solid] * (1 + _AFTER)
            if not rays.size:
                break
        return Found(depth, triangle, place)

    def _solid(self, triangle: NDArray[np.int32], place: FloatArray) -> NDArray[np.bool_]:
        """Whether the texture covers the surface at some hits."""
        solid = np.ones(len(triangle), bool)
        if self.cut is None:
            return solid
        some = np.flatnonzero(self.cut[self.paint[triangle]])
        if some.size:
            uv = _at(self.uv[triangle[some]], place[some])
            first, span = self.first[self.paint[triangle[some]]], np.zeros(len(some), np.float32)
            solid[some] = texture.sample(self.bank, first, uv, span=span)[:, 3] >= _OPAQUE
        return solid

    def skin(self, found: Found, direction: FloatArray, footprint: FloatArray) -> Skin:
        """The surface where rays with these directions [N, 3] hit; `footprint`: metres [N]."""
        corners, number = self.corners[found.triangle], found.triangle
        normal = unit(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))
        shading = unit(_at(self.normals[number], found.place))
        normal = np.where(((normal * direction).sum(1) > 0)[:, None], -normal, normal)
        shading = np.where(((shading * normal).sum(1) < 0)[:, None], -shading, shading)
        paint = self.paint[number]
        colour = self.colour[paint]
        some = np.flatnonzero(self.first[paint] >= 0)
        if some.size:
            uv = _at(self.uv[number[some]], found.place[some])
            slant = np.abs((normal * unit(direction)).sum(1))[some].clip(0.12)
            span = footprint[some] / slant * self._density(number[some])
            first = self.first[paint[some]]
            colour[some] = texture.sample(self.bank, first, uv, span=span)[:, :3]
        part = self.part[number]
        return Skin(normal, shading, np.clip(colour * self.tint[part], 0.004, 0.9), part)

    def _density(self, triangle: NDArray[np.int32]) -> FloatArray:
        """Textures per metre in some triangles [N]."""
        edge, side = (
            table[triangle, 1:] - table[triangle, :1] for table in (self.corners, self.uv)
        )
        area = np.linalg.norm(np.cross(edge[:, 0], edge[:, 1]), axis=1)
        covered = np.abs(side[:, 0, 0] * side[:, 1, 1] - side[:, 0, 1] * side[:, 1, 0])
        return np.asarray(np.sqrt(covered / np.maximum(area, 1e-12)), np.float32)


def _at(values: FloatArray, place: FloatArray) -> FloatArray:
    """Interpolate corner values of triangles [N, 3, C] at places in them [N, 2]: [N, C]."""
    u, v = place[:, :1], place[:, 1:]
    return np.asarray(values[:, 0] * (1 - u - v) + values[:, 1] * u + values[:, 2] * v)


def _embree() -> tuple[Any, Any]:
    try:
        from embreex.mesh_construction import TriangleMesh
        from embreex.rtcore_scene import EmbreeScene
    except ImportError:
        raise MissingDependency("furniture meshes need embreex", extra="synthetic") from None
    return EmbreeScene, TriangleMesh
