"""Formats that are things in space: PLY and GLB, points or a mesh, both through trimesh.

PLY keeps the camera's axes, X right, Y down, Z forward, as OpenCV, Open3D and COLMAP have them; GLB
has glTF's, X right, Y up, the camera looking along -Z, as three.js has them and Blender imports.
The camera is at the origin in both, and lengths are metres.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glpn.depth.colormaps import colorize
from glpn.errors import DataError, UsageError
from glpn.files.contents import METADATA_KEY, Contents, require_extra

# Neighbours whose depths differ by more than this share are no common surface. Rows of a floor n
# pixels below the horizon differ by 1/n: at 5 % it holds together up to 20 pixels below, which is
# 44 m away for a camera 1.6 m up with a focal length of 554 pixels (60° over 640).
DEPTH_JUMP = 0.05
_NO_FACES: NDArray[np.int64] = np.empty((0, 3), np.int64)
_UNLIT = "KHR_materials_unlit"  # the photograph carries its light already
_CAMERA_NAME = "photograph"
_NEAREST_SEEN = 0.01  # metres before the GLB's camera


def encode_ply(
    contents: Contents, *, mesh: bool = False, step: int = 1, jump: float = DEPTH_JUMP
) -> bytes:
    """Binary PLY: coloured points, or a mesh of them; the metadata is a comment.

    Args:
        contents: what to write.
        mesh: join neighbours that are no further apart in depth than `jump`. Where no two hold
            together, points alone are written.
        step, jump: as for GLB.

    Raises:
        MissingDependency: trimesh is not installed.
        DataError: no pixel is known.
        UsageError: an option is impossible.
    """
    trimesh = require_extra("trimesh", "ply")
    _require_jump(jump)
    known, points, colors = _grid(contents, step)
    faces = _faces(points[..., 2], jump) if mesh else _NO_FACES
    if len(faces):
        used, faces = _used(faces, known.size)
        vertices, colors = points.reshape(-1, 3)[used], colors.reshape(-1, 3)[used]
        shape = trimesh.Trimesh(vertices, faces, vertex_colors=colors, process=False)
    else:
        shape = trimesh.PointCloud(points[known], colors=colors[known])
    data: bytes = shape.export(file_type="ply")
    comment = f"\ncomment {METADATA_KEY} {contents.described()}\nelement ".encode("ascii")
    return data.replace(b"\nelement ", comment, 1)


def encode_glb(
    contents: Contents, *, mesh: bool = True, step: int = 1, jump: float = DEPTH_JUMP
) -> bytes:
    """Binary glTF: the photograph as a relief, cut where the depth jumps, or as points.

    It has a camera that sees what the photograph's saw, but for the lens's distortion and a
    principal point aside of the middle, which glTF cannot tell. The metadata is in the asset's
    extras.

    Args:
        contents: what to write.
        mesh: False gives points. Where no two neighbours hold together, points it is too.
        step: keep every `step`-th pixel in both directions.
        jump: neighbours whose depths differ by more than this share are not joined.

    Raises:
        MissingDependency: trimesh is not installed.
        DataError: no pixel is known.
        UsageError: an option is impossible.
    """
    trimesh = require_extra("trimesh", "glb")
    _require_jump(jump)
    known, points, colors = _grid(contents, step)
    points = points * np.array([1, -1, -1], np.float32)
    faces = _faces(points[..., 2] * np.float32(-1), jump) if mesh else _NO_FACES
    if len(faces):
        shape = _relief(trimesh, points, faces, Image.fromarray(_colors(contents)))
    else:
        shape = trimesh.PointCloud(points[known], colors=_linear(colors[known]))

    def describe(tree: dict[str, Any]) -> None:
        tree["asset"]["extras"] = {METADATA_KEY: json.loads(contents.described())}
        tree["cameras"] = [_photographs_camera(contents)]
        tree["scenes"][0]["nodes"].append(len(tree["nodes"]))
        tree["nodes"].append({"name": _CAMERA_NAME, "camera": 0})
        for material in tree.get("materials", []):
            material.update(doubleSided=True, extensions={_UNLIT: {}})
            tree["extensionsUsed"] = [*tree.get("extensionsUsed", []), _UNLIT]

    export = trimesh.exchange.gltf.export_glb
    data: bytes = export(trimesh.Scene(shape), include_normals=False, tree_postprocessor=describe)
    return data


def _photographs_camera(contents: Contents) -> dict[str, Any]:
    """glTF 2.0, section 5.13: at the origin and looking along -Z where nothing turns it."""
    height, width = contents.metres.shape
    camera = contents.metadata["camera"]
    view = {
        "yfov": 2 * math.atan(height / 2 / camera["fy"]),
        "aspectRatio": width / camera["fx"] / (height / camera["fy"]),
        "znear": _NEAREST_SEEN,
    }
    return {"name": _CAMERA_NAME, "type": "perspective", "perspective": view}


def _require_jump(jump: float) -> None:
    if not jump > 0:
        raise UsageError(f"jump: expected a share above 0, got {jump!r}")


def _grid(
    contents: Contents, step: int
) -> tuple[NDArray[np.bool_], NDArray[np.float32], NDArray[np.uint8]]:
    """Every `step`-th pixel: known [h, w], points [h, w, 3] in the camera's axes, RGB [h, w, 3]."""
    if not isinstance(step, int) or isinstance(step, bool) or step < 1:
        raise UsageError(f"step: expected a whole number from 1 on, got {step!r}")
    points = contents.points()[::step, ::step]
    known = points[..., 2] > 0
    if not known.any():
        raise DataError("no pixel has a known depth: there is nothing to put in space")
    return known, points, _colors(contents)[::step, ::step]


def _colors(contents: Contents) -> NDArray[np.uint8]:
    return colorize(contents.metres) if contents.image is None else contents.image


def _faces(metres: NDArray[np.float32], jump: float) -> NDArray[np.int64]:
    """Two triangles [F, 3] per four neighbours, counter-clockwise as the camera sees them."""
    index = np.arange(metres.size).reshape(metres.shape)
    a, b = index[:-1, :-1], index[:-1, 1:]
    c, d = index[1:, :-1], index[1:, 1:]
    corners = [np.stack(three, axis=-1).reshape(-1, 3) for three in ((a, c, b), (b, c, d))]
    faces = np.concatenate(corners)
    depths = metres.reshape(-1)[faces]
    near, far = depths.min(axis=1), depths.max(axis=1)
    kept: NDArray[np.int64] = faces[(near > 0) & (far <= near * (1 + jump))]
    return kept


def _relief(
    trimesh: Any, points: NDArray[np.float32], faces: NDArray[np.int64], texture: Any
) -> Any:
    """A mesh of the points that its faces use, with the picture laid over it."""
    height, width = points.shape[:2]
    u, v = np.meshgrid((np.arange(width) + 0.5) / width, 1 - (np.arange(height) + 0.5) / height)
    used, faces = _used(faces, height * width)
    material = trimesh.visual.material.PBRMaterial(
        baseColorTexture=texture, metallicFactor=0.0, roughnessFactor=1.0
    )
    uv = np.stack([u.reshape(-1)[used], v.reshape(-1)[used]], axis=1)
    return trimesh.Trimesh(
        vertices=points.reshape(-1, 3)[used],
        faces=faces,
        visual=trimesh.visual.TextureVisuals(uv=uv, material=material),
        process=False,
    )


def _used(faces: NDArray[np.int64], count: int) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which of so many points the faces use, and the faces in the numbering of these alone."""
    used = np.zeros(count, bool)
    used[faces] = True
    return used, (np.cumsum(used) - 1)[faces]


def _linear(colors: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """sRGB → linear light (IEC 61966-2-1), which glTF wants of vertex colours, not of textures."""
    level = np.arange(256) / 255
    linear = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    table: NDArray[np.uint8] = np.rint(linear * 255).astype(np.uint8)
    return table[colors]
