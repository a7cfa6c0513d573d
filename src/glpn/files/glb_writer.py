"""Writes GLB: binary glTF in its own axes, X right, Y up, the camera looking along -Z, in metres.

three.js uses the same axes and Blender imports them. The camera is at the origin.
"""

from __future__ import annotations

import json
import math
import struct
from types import ModuleType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glpn.files.contents import (
    MAX_METADATA_CHARACTERS,
    METADATA_KEY,
    Contents,
    require_package,
)
from glpn.files.surface import (
    DEPTH_JUMP,
    grid,
    photo_colors,
    require_jump,
    triangles,
    used_points,
)

_UNLIT = "KHR_materials_unlit"  # the photo already contains its light
_CAMERA_NAME = "photograph"
_NEAR_PLANE = 0.01  # metres in front of the camera
_MAX_JSON_BYTES = 16 * MAX_METADATA_CHARACTERS


def encode(
    contents: Contents, *, mesh: bool = True, step: int = 1, jump: float = DEPTH_JUMP
) -> bytes:
    """Binary glTF: the photo as a relief, cut where the depth jumps, or as points.

    It contains a camera with the photo's field of view. glTF has no lens distortion and no
    off-centre principal point, so those are lost. The metadata is in the asset's extras.

    Args:
        contents: what to write.
        mesh: False gives points, and so does a depth map in which no neighbours can be joined.
        step: keep every `step`-th pixel in both directions.
        jump: neighbours whose depths differ by more than this share are not joined.

    Raises:
        MissingDependency: trimesh is not installed.
        DataError: no pixel is known.
        UsageError: an option is impossible.
    """
    trimesh = require_package("trimesh", "glb")
    require_jump(jump)
    known, points, colors = grid(contents, step)
    points = points * np.array([1, -1, -1], np.float32)
    faces = triangles(-points[..., 2], jump) if mesh else None
    if faces is not None and len(faces):
        shape = _relief(trimesh, points, faces, Image.fromarray(photo_colors(contents)), step)
    else:
        shape = trimesh.PointCloud(points[known], colors=_linear(colors[known]))

    def describe(tree: dict[str, Any]) -> None:
        tree["asset"]["extras"] = {METADATA_KEY: json.loads(contents.described())}
        tree["cameras"] = [_camera(contents)]
        tree["scenes"][0]["nodes"].append(len(tree["nodes"]))
        tree["nodes"].append({"name": _CAMERA_NAME, "camera": 0})
        for material in tree.get("materials", []):
            material.update(doubleSided=True, extensions={_UNLIT: {}})
            tree["extensionsUsed"] = [*tree.get("extensionsUsed", []), _UNLIT]

    export = trimesh.exchange.gltf.export_glb
    data: bytes = export(trimesh.Scene(shape), include_normals=False, tree_postprocessor=describe)
    return data


def read_metadata(file: BinaryIO) -> str | None:
    """The extras of the asset in the first chunk, JSON (glTF 2.0, section 4.4.3)."""
    length, kind = struct.unpack("<I4s", file.read(20)[12:])
    if kind != b"JSON" or length > _MAX_JSON_BYTES:
        return None
    return json.dumps(json.loads(file.read(length))["asset"]["extras"][METADATA_KEY])


def _camera(contents: Contents) -> dict[str, object]:
    """A glTF camera (glTF 2.0, section 5.13), which sits at the origin and looks along -Z."""
    height, width = contents.metres.shape
    camera = contents.camera
    view = {
        "yfov": 2 * math.atan(height / 2 / camera.fy),
        "aspectRatio": width / camera.fx / (height / camera.fy),
        "znear": _NEAR_PLANE,
    }
    return {"name": _CAMERA_NAME, "type": "perspective", "perspective": view}


def _relief(
    trimesh: ModuleType,
    points: NDArray[np.float32],
    faces: NDArray[np.int64],
    texture: Image.Image,
    step: int,
) -> Any:
    """A mesh of the points that its faces use, with the photo laid over it.

    Point (x, y) is the centre of pixel (step·x, step·y) of the texture.
    """
    height, width = points.shape[:2]
    u, v = np.meshgrid(
        (np.arange(width) * step + 0.5) / texture.width,
        1 - (np.arange(height) * step + 0.5) / texture.height,
    )
    used, faces = used_points(faces, height * width)
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


def _linear(colors: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """sRGB → linear light (IEC 61966-2-1): glTF requires it for vertex colours, not textures."""
    level = np.arange(256) / 255
    linear = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    table: NDArray[np.uint8] = np.rint(linear * 255).astype(np.uint8)
    return table[colors]
