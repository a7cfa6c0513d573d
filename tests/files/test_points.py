"""PLY and GLB: distances, axes, cuts and colours, seen through another reader."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from glpn.camera.camera import Camera
from glpn.depth.depth import Depth
from glpn.errors import DataError, UsageError
from glpn.files import valid_output
from tests.depths import NAME, a_depth, a_plane, save


def opened(path: Path, **options: Any) -> Any:
    return trimesh.load(path, **options)


def test_ply_points_lie_as_far_apart_as_the_depth_says(tmp_path: Path) -> None:
    depth = a_depth()
    cloud = opened(depth.save(tmp_path / "a.ply"))
    known = np.argwhere(depth.metres > 0)  # rows of (y, x), in the file's order
    assert len(cloud.vertices) == len(known) == 24 * 32 - 6
    for i, j in ((0, 700), (33, 34), (400, 761)):
        apart = np.linalg.norm(cloud.vertices[i] - cloud.vertices[j])
        expected = depth.between(tuple(known[i][::-1]), tuple(known[j][::-1]))
        assert apart == pytest.approx(expected, abs=1e-4)
        assert cloud.colors[i][:3].tolist() == depth.image[tuple(known[i])].tolist()


def test_ply_keeps_the_cameras_axes_and_describes_itself_in_a_comment(tmp_path: Path) -> None:
    depth = a_plane([[2, 2], [2, 2]], focal=1)
    path = depth.save(tmp_path / "a.ply")
    expected = [[-1, -1, 2], [1, -1, 2], [-1, 1, 2], [1, 1, 2]]  # X right, Y down, Z forward
    assert opened(path).vertices.tolist() == expected
    lines = path.read_bytes().split(b"\n")
    comment = next(line for line in lines if line.startswith(b"comment glpn "))
    assert json.loads(comment[13:])["camera"]["fx"] == 1


def test_step_thins_out_points(tmp_path: Path) -> None:
    path = a_plane(np.full((6, 9), 2)).save(tmp_path / "a.ply", step=3)
    assert len(opened(path).vertices) == 2 * 3
    metres = np.random.default_rng(0).uniform(1, 5, (7, 10)).astype(np.float32)
    every, some = (
        opened(a_plane(metres).save(tmp_path / f"c{step}.ply", step=step)).vertices
        for step in (1, 3)
    )
    np.testing.assert_array_equal(every.reshape(7, 10, 3)[::3, ::3].reshape(-1, 3), some)
    with pytest.raises(UsageError, match="step"):
        a_plane([[1]], focal=1).save(tmp_path / "b.ply", step=0)


def test_ply_mesh_is_cut_where_the_depth_jumps(tmp_path: Path) -> None:
    metres = np.ones((4, 6))
    metres[:, 3:] = 3
    metres[0, 0] = 0
    path = a_plane(metres).save(tmp_path / "a.ply", mesh=True)
    mesh = opened(path, process=False)
    assert len(mesh.faces) == 2 * 2 * 3 * 2 - 1 and len(mesh.vertices) == 24 - 1
    assert np.ptp(mesh.vertices[mesh.faces][:, :, 2], axis=1).max() == 0
    assert mesh.face_normals[:, 2].max() < -0.99  # towards the camera, which looks along +Z
    assert valid_output(path, "ply")


def test_ply_mesh_of_points_that_hold_nowhere_together_is_points(tmp_path: Path) -> None:
    cloud = opened(a_plane([[1, 2], [4, 8]]).save(tmp_path / "a.ply", mesh=True))
    assert len(cloud.vertices) == 4 and not hasattr(cloud, "faces")


@pytest.mark.parametrize("format", ["ply", "glb"])
@pytest.mark.parametrize("jump", [0, -1, float("nan")])
def test_impossible_jump_is_refused(tmp_path: Path, format: str, jump: Any) -> None:
    with pytest.raises(UsageError, match="jump: expected a share above 0"):
        a_plane([[1, 1], [1, 1]]).save(tmp_path / f"a.{format}", jump=jump)


@pytest.mark.parametrize(
    "lens", [{}, {"distortion": (-0.2, 0.05, 0.001, -0.001)}, {"fisheye": True}]
)
@pytest.mark.parametrize("format", ["ply", "glb"])
def test_points_of_a_file_lie_as_far_apart_as_between_says_whatever_the_lens(
    tmp_path: Path, format: str, lens: dict[str, Any]
) -> None:
    depth = a_depth()
    camera = Camera(20, 21, 15, 12, "calibrated", **lens)
    depth = Depth(depth.metres, camera, depth.provenance)
    path = save(depth, tmp_path, format, mesh=False)
    [cloud] = trimesh.load_scene(path).geometry.values()
    known = np.argwhere(depth.metres > 0)
    assert len(cloud.vertices) == len(known)
    for i, j in ((0, 700), (33, 34), (400, 761)):
        apart = np.linalg.norm(cloud.vertices[i] - cloud.vertices[j])
        expected = depth.between(tuple(known[i][::-1]), tuple(known[j][::-1]))
        assert apart == pytest.approx(expected, rel=1e-5)


def test_pixels_that_the_lens_has_no_ray_for_are_left_out(tmp_path: Path) -> None:
    camera = Camera(150, 150, 150, 150, "t", (-1 / 3, 0, 0, 0))  # folds back 100 px off the middle
    depth = Depth(np.full((301, 301), 2, np.float32), camera, a_depth().provenance)
    cloud = opened(depth.save(tmp_path / "a.ply"))
    assert len(cloud.vertices) == pytest.approx(np.pi * 100**2, rel=0.01)
    assert np.hypot(cloud.vertices[:, 0], cloud.vertices[:, 1]).max() <= 2


def test_glb_has_a_camera_that_sees_what_the_photograph_shows(tmp_path: Path) -> None:
    plane = a_plane(np.full((30, 40), 2))
    depth = Depth(plane.metres, Camera(20, 15, 19.5, 14.5, "t"), plane.provenance)
    data = depth.save(tmp_path / "a.glb").read_bytes()
    (length,) = struct.unpack_from("<I", data, 12)
    tree = json.loads(data[20 : 20 + length])
    [camera] = tree["cameras"]
    assert camera["perspective"]["yfov"] == pytest.approx(np.pi / 2)  # 2 atan(15 / 15)
    assert camera["perspective"]["aspectRatio"] == pytest.approx(1)  # 40 / 20 to 30 / 15
    [node] = [n for n in tree["scenes"][0]["nodes"] if tree["nodes"][n].get("camera") == 0]
    assert tree["nodes"][node] == {"name": "photograph", "camera": 0}


def test_glb_has_y_up_and_looks_along_minus_z(tmp_path: Path) -> None:
    path = a_plane([[2, 2], [2, 2]], focal=1).save(tmp_path / "a.glb")
    (mesh,) = opened(path).geometry.values()
    expected = {(-1, 1, -2), (1, 1, -2), (-1, -1, -2), (1, -1, -2)}
    assert {tuple(vertex) for vertex in mesh.vertices.tolist()} == expected
    assert len(mesh.faces) == 2
    assert np.allclose(mesh.face_normals, [0, 0, 1])  # towards the camera


def test_glb_is_cut_where_the_depth_jumps_and_around_unknown_pixels(tmp_path: Path) -> None:
    metres = np.ones((4, 6))
    metres[:, 3:] = 3
    (mesh,) = opened(a_plane(metres).save(tmp_path / "a.glb")).geometry.values()
    assert len(mesh.faces) == 2 * 2 * 3 * 2  # two halves, each 2 × 3 squares of two triangles
    heights = mesh.vertices[mesh.faces][:, :, 2]
    assert (heights == heights[:, :1]).all()
    metres[0, 0] = 0
    (mesh,) = opened(a_plane(metres).save(tmp_path / "b.glb")).geometry.values()
    assert len(mesh.faces) == 24 - 1 and mesh.vertices[:, 2].max() == -1


def test_glb_joins_everything_if_told_that_nothing_is_a_jump(tmp_path: Path) -> None:
    path = a_plane([[1, 3], [1, 3]]).save(tmp_path / "a.glb", jump=10)
    (mesh,) = opened(path).geometry.values()
    assert len(mesh.faces) == 2


def test_glb_lays_each_pixel_of_the_photograph_on_its_own_point(tmp_path: Path) -> None:
    image = np.random.default_rng(3).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    plane = a_plane(np.full((3, 4), 2))
    depth = Depth(plane.metres, plane.camera, plane.provenance, image)
    (mesh,) = opened(depth.save(tmp_path / "a.glb")).geometry.values()
    texture = np.asarray(mesh.visual.material.baseColorTexture.convert("RGB"))
    assert np.array_equal(texture, image)
    for (u, v), (x, y, z) in zip(mesh.visual.uv, mesh.vertices, strict=True):
        row, column = (1 - v) * 3 - 0.5, u * 4 - 0.5
        assert (x, y, z) == pytest.approx(((column - 1.5) / 50, (1 - row) / 50, -2), abs=1e-6)


def test_a_thinned_glb_keeps_its_points_on_their_pixels_of_the_photograph(tmp_path: Path) -> None:
    plane = a_plane(np.full((7, 10), 2))
    image = np.zeros((7, 10, 3), np.uint8)
    depth = Depth(plane.metres, plane.camera, plane.provenance, image)
    (mesh,) = opened(depth.save(tmp_path / "a.glb", step=3)).geometry.values()
    assert len(mesh.vertices) == 3 * 4
    columns = mesh.visual.uv[:, 0] * 10 - 0.5
    rows = (1 - mesh.visual.uv[:, 1]) * 7 - 0.5
    np.testing.assert_allclose(columns.reshape(3, 4), [[0, 3, 6, 9]] * 3, atol=1e-5)
    np.testing.assert_allclose(rows.reshape(3, 4), np.tile([[0], [3], [6]], 4), atol=1e-5)


def test_glb_points_have_linear_colours(tmp_path: Path) -> None:
    plane = a_plane(np.full((2, 2), 2))
    image = np.full((2, 2, 3), 188, np.uint8)  # ((188/255 + .055) / 1.055)^2.4 · 255 = 128.2
    depth = Depth(plane.metres, plane.camera, plane.provenance, image)
    path = depth.save(tmp_path / "a.glb", mesh=False)
    (cloud,) = opened(path).geometry.values()
    assert cloud.vertices.shape == (4, 3)
    assert (cloud.colors[:, :3] == 128).all()


def test_glb_describes_itself(tmp_path: Path) -> None:
    data = a_depth().save(tmp_path / "a.glb").read_bytes()
    (length,) = struct.unpack_from("<I", data, 12)
    facts = json.loads(data[20 : 20 + length])["asset"]["extras"]["glpn"]
    assert facts["model"] == "glpn-b0-indoor" and facts["image"] == NAME


def test_a_single_row_has_no_surface_and_becomes_points(tmp_path: Path) -> None:
    (cloud,) = opened(a_plane([[1, 1, 2]]).save(tmp_path / "a.glb")).geometry.values()
    assert len(cloud.vertices) == 3 and not hasattr(cloud, "faces")


@pytest.mark.parametrize("format", ["ply", "glb"])
def test_nothing_known_puts_nothing_in_space(tmp_path: Path, format: str) -> None:
    with pytest.raises(DataError, match="no pixel"):
        save(a_plane(np.zeros((2, 2))), tmp_path, format)
    assert os.listdir(tmp_path) == []
