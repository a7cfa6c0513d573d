"""Open a photo's depth in Blender: a mesh in metres, and the camera that took the photo.

    blender --python examples/blender_import.py -- depth/lobby.png --photo examples/lobby.jpg
    blender --python examples/blender_import.py -- lobby.glb

It reads the 16-bit PNG and the NPZ of glpn, which record their camera (or pass `--intrinsics
fx,fy,cx,cy`), and its GLB and PLY through Blender's own importers. It needs only what Blender
brings: Python and NumPy. Blender's axes are X right, Y forward, Z up, in metres.
"""

from __future__ import annotations

import argparse
import json
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

JUMP = 0.05  # relative depth step at which the mesh is cut, as in glpn's GLB
SENSOR_MM = 36.0  # any width will do; the focal length in millimetres is relative to it
UP_FILTER = 2  # of PNG rows: the only one that glpn writes
ENDS = (slice(None, -1), slice(1, None))  # all but the last row or column; all but the first
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def read_png(data: bytes) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Metres [H, W] and the metadata of a 16-bit PNG of glpn.

    Raises:
        ValueError: the file is not one of those.
    """
    if not data.startswith(SIGNATURE):
        raise ValueError("not a PNG")
    header, compressed, record = b"", b"", {}
    place = len(SIGNATURE)
    while place + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        content = data[place + 8 : place + 8 + length]
        if kind == b"IHDR":
            header = content
        elif kind == b"IDAT":
            compressed += content
        elif kind in (b"tEXt", b"iTXt") and content.startswith(b"glpn\0"):
            record = json.loads(content[content.index(b"{") :])
        place += length + 12
    width, height, bits, colours = struct.unpack_from(">IIBB", header)
    if (bits, colours) != (16, 0) or "scale" not in record:
        raise ValueError("not a depth PNG of glpn: expected 16-bit grey with its scale")
    rows = np.frombuffer(zlib.decompress(compressed), np.uint8).reshape(height, 1 + 2 * width)
    if (rows[:, 0] != UP_FILTER).any():
        raise ValueError("another program rewrote this PNG; use the NPZ instead")
    units = np.cumsum(rows[:, 1:], axis=0, dtype=np.uint8).view(">u2")
    return (units / record["scale"]).astype(np.float32), record


def read_npz(path: Path) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Metres [H, W] and the metadata of an NPZ of glpn."""
    with np.load(path, allow_pickle=False) as arrays:
        return arrays["metres"], json.loads(str(arrays["glpn"]))


def mesh_of(
    metres: NDArray[np.float32], camera: dict[str, float], step: int = 1
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
    """Vertices [N, 3] in Blender's axes, triangles [M, 3], and texture positions [N, 2].

    Args:
        metres: along the optical axis; 0 is unknown and gets no triangle.
        camera: fx, fy, cx, cy in pixels.
        step: keep every step-th row and column.
    """
    height, width = metres.shape
    y, x = np.mgrid[0:height:step, 0:width:step]
    z = metres[::step, ::step]
    right = (x - camera["cx"]) / camera["fx"] * z
    down = (y - camera["cy"]) / camera["fy"] * z
    vertices = np.stack([right, z, -down], axis=-1).reshape(-1, 3).astype(np.float32)
    texture = np.stack([(x + 0.5) / width, 1 - (y + 0.5) / height], axis=-1).reshape(-1, 2)
    index = np.arange(z.size).reshape(z.shape)
    a, b, c, d = (index[i, j].ravel() for i in ENDS for j in ENDS)
    triangles = np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)])
    depths = z.ravel()[triangles]
    near = depths.min(axis=1)
    joined = (near > 0) & (depths.max(axis=1) <= near * (1 + JUMP))
    return vertices, triangles[joined], texture.astype(np.float32)


def add_mesh(
    name: str, metres: NDArray[np.float32], camera: dict[str, float], photo: Path | None, step: int
) -> None:
    """Add the mesh, with the photo as its colours, to Blender's scene."""
    import bpy

    vertices, triangles, texture = mesh_of(metres, camera, step)
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(vertices.tolist(), [], triangles.tolist())
    layer = mesh.uv_layers.new(name="photo")
    corners = texture[triangles.ravel()]
    layer.data.foreach_set("uv", corners.ravel())
    thing = bpy.data.objects.new(name, mesh)
    bpy.context.scene.collection.objects.link(thing)
    if photo is not None:
        material = bpy.data.materials.new(f"{name} photo")
        material.use_nodes = True
        nodes = material.node_tree.nodes
        nodes.clear()
        image = nodes.new("ShaderNodeTexImage")
        image.image = bpy.data.images.load(str(photo.resolve()))
        shine, out = nodes.new("ShaderNodeEmission"), nodes.new("ShaderNodeOutputMaterial")
        links = material.node_tree.links
        links.new(image.outputs["Color"], shine.inputs["Color"])
        links.new(shine.outputs["Emission"], out.inputs["Surface"])
        mesh.materials.append(material)


def add_camera(name: str, size: tuple[int, int], camera: dict[str, float]) -> None:
    """Add the photo's camera at the origin, looking along +Y, and set the size of renderings."""
    import bpy

    height, width = size
    lens = bpy.data.cameras.new(f"{name} camera")
    lens.sensor_fit = "HORIZONTAL"
    lens.sensor_width = SENSOR_MM
    lens.lens = camera["fx"] / width * SENSOR_MM
    lens.shift_x = ((width - 1) / 2 - camera["cx"]) / width  # in widths of the picture
    tall = camera["fx"] / camera["fy"]  # height of a pixel in widths
    lens.shift_y = (camera["cy"] - (height - 1) / 2) * tall / width
    thing = bpy.data.objects.new(f"{name} camera", lens)
    thing.rotation_euler = (np.pi / 2, 0, 0)  # Blender's cameras look along -Z
    scene = bpy.context.scene
    scene.collection.objects.link(thing)
    scene.camera = thing
    scene.render.resolution_x, scene.render.resolution_y = width, height
    # Blender allows no aspect below 1.
    scene.render.pixel_aspect_x, scene.render.pixel_aspect_y = max(1, 1 / tall), max(1, tall)


def open_file(path: Path, photo: Path | None, intrinsics: str | None, step: int) -> None:
    """Add one file of glpn to Blender's scene."""
    import bpy

    if path.suffix == ".glb":
        bpy.ops.import_scene.gltf(filepath=str(path))
        return
    if path.suffix == ".ply":  # X right, Y down, Z forward
        bpy.ops.wm.ply_import(filepath=str(path), forward_axis="Z", up_axis="NEGATIVE_Y")
        return
    metres, record = read_npz(path) if path.suffix == ".npz" else read_png(path.read_bytes())
    camera = record.get("camera", {})
    if intrinsics is not None:
        camera = dict(zip(("fx", "fy", "cx", "cy"), map(float, intrinsics.split(",")), strict=True))
    if camera.get("distortion"):
        raise SystemExit(
            "this camera's lens distorts: import the GLB, whose points are undistorted"
        )
    add_mesh(path.stem, metres, camera, photo, step)
    add_camera(path.stem, metres.shape, camera)


def main() -> None:
    """Read the arguments that follow `--` on Blender's command line."""
    parser = argparse.ArgumentParser(prog="blender_import.py")
    parser.add_argument("file", type=Path, help=".png, .npz, .glb or .ply of glpn")
    parser.add_argument("--photo", type=Path, help="colours of the mesh")
    parser.add_argument("--intrinsics", help="fx,fy,cx,cy in pixels, instead of the file's")
    parser.add_argument("--step", type=int, default=1, help="keep every step-th pixel")
    arguments = parser.parse_args(sys.argv[sys.argv.index("--") + 1 :])
    open_file(arguments.file, arguments.photo, arguments.intrinsics, arguments.step)


if __name__ == "__main__":
    main()
