"""Writes PLY: points or a mesh in the camera's axes, X right, Y down, Z forward, in metres.

Open3D and COLMAP use the same axes as OpenCV does. The camera is at the origin.
"""

from __future__ import annotations

from typing import BinaryIO

from glpn.files.contents import METADATA_KEY, Contents, require_package
from glpn.files.surface import DEPTH_JUMP, grid, require_jump, triangles, used_points

_MAX_HEADER_BYTES = 1 << 20
_COMMENT = f"comment {METADATA_KEY} ".encode("ascii")


def encode(
    contents: Contents, *, mesh: bool = False, step: int = 1, jump: float = DEPTH_JUMP
) -> bytes:
    """Binary PLY: coloured points, or a mesh of them; the metadata is a comment.

    Args:
        contents: what to write.
        mesh: join neighbours whose depths differ by at most `jump`. Where none are joined, only
            points are written.
        step, jump: see `glb_writer.encode`.

    Raises:
        MissingDependency: trimesh is not installed.
        DataError: no pixel is known.
        UsageError: an option is impossible.
    """
    trimesh = require_package("trimesh", "ply")
    require_jump(jump)
    known, points, colors = grid(contents, step)
    faces = triangles(points[..., 2], jump) if mesh else None
    if faces is not None and len(faces):
        used, faces = used_points(faces, known.size)
        vertices, colors = points.reshape(-1, 3)[used], colors.reshape(-1, 3)[used]
        shape = trimesh.Trimesh(vertices, faces, vertex_colors=colors, process=False)
    else:
        shape = trimesh.PointCloud(points[known], colors=colors[known])
    data: bytes = shape.export(file_type="ply")
    comment = b"\n" + _COMMENT + contents.described().encode("ascii") + b"\nelement "
    return data.replace(b"\nelement ", comment, 1)


def read_metadata(file: BinaryIO) -> str | None:
    """A comment of the header."""
    header = file.read(_MAX_HEADER_BYTES).partition(b"end_header\n")[0]
    for line in header.split(b"\n"):
        if line.startswith(_COMMENT):
            return line.removeprefix(_COMMENT).decode("ascii")
    return None
