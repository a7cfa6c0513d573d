"""`glpn points`: a depth file of any camera becomes a cloud or a mesh."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from PIL import Image

from tests.cli.conftest import RunGlpn


@pytest.fixture
def kinect(tmp_path: Path) -> Path:
    """A plain 16-bit PNG in millimetres: a wall 2 m away, 40x30 pixels, one unknown."""
    units = np.full((30, 40), 2000, np.uint16)
    units[0, 0] = 0
    path = tmp_path / "kinect.png"
    Image.fromarray(units).save(path)
    return path


def vertices(path: Path) -> tuple[Any, np.ndarray]:
    [shape] = trimesh.load_scene(path).geometry.values()
    return shape, np.asarray(shape.vertices)


def test_a_depth_cameras_file_becomes_points_in_metres(
    glpn: RunGlpn, kinect: Path, tmp_path: Path
) -> None:
    (tmp_path / "K.txt").write_text("20 0 19.5\n0 20 14.5\n0 0 1\n")
    options = ("--scale", 1000, "--intrinsics", tmp_path / "K.txt")
    run = glpn("points", kinect, "-o", tmp_path / "a.ply", *options)
    assert run.code == 0, run.err
    assert "intrinsics of K.txt" in run.out
    cloud, at = vertices(tmp_path / "a.ply")
    assert len(at) == 30 * 40 - 1 and not hasattr(cloud, "faces")
    assert at.max(0).tolist() == pytest.approx([2 * 19.5 / 20, 2 * 14.5 / 20, 2])


def test_the_photograph_lends_its_colours_at_the_depths_size(
    glpn: RunGlpn, kinect: Path, tmp_path: Path
) -> None:
    picture = np.zeros((90, 120, 3), np.uint8)
    picture[:45, 60:] = (250, 0, 0)
    Image.fromarray(picture).save(tmp_path / "photo.png")
    options = ("--scale", 1000, "--focal", 20, "--photo", tmp_path / "photo.png", "--mesh")
    run = glpn("points", kinect, "-o", tmp_path / "a.ply", *options)
    assert run.code == 0, run.err
    mesh, at = vertices(tmp_path / "a.ply")
    assert len(mesh.faces) == 2 * 29 * 39 - 1
    red = mesh.visual.vertex_colors[:, 0] == 250
    np.testing.assert_array_equal(red, (at[:, 0] > 0) & (at[:, 1] < 0))  # up and to the right


def test_a_file_of_glpn_keeps_its_camera_and_takes_references(
    predict: RunGlpn, glpn: RunGlpn, photo: Path, tmp_path: Path
) -> None:
    assert predict(photo, "--fov", 70).code == 0
    depth = tmp_path / "out/room.png"
    run = glpn("points", depth, "-o", tmp_path / "a.glb", "--ref", "40,30,2.5", "--photo", photo)
    assert run.code == 0, run.err
    assert "given field of view of 70°" in run.out and "for 1 reference" in run.out
    assert glpn("points", depth, "-o", tmp_path / "a.glb").code == 0  # replaces its own file
    (tmp_path / "b.glb").write_bytes(b"of somebody else")
    run = glpn("points", depth, "-o", tmp_path / "b.glb")
    assert run.code == 73 and "b.glb" in run.err
    assert (tmp_path / "b.glb").read_bytes() == b"of somebody else"


def test_what_does_not_fit_is_refused(glpn: RunGlpn, kinect: Path, tmp_path: Path) -> None:
    assert glpn("points", kinect, "-o", tmp_path / "a.npz", "--scale", 1000).code == 2
    for name, *cloud in (("a.ply",), ("a.glb", "--cloud")):
        output = ("-o", tmp_path / name, *cloud)
        run = glpn("points", kinect, "--scale", 1000, "--jump", 0.2, *output)
        assert run.code == 2 and "--jump: the points of a cloud are not joined" in run.err
    assert "give the scale" in glpn("points", kinect, "-o", tmp_path / "a.ply").err
    Image.new("RGB", (40, 40)).save(tmp_path / "square.png")
    options = ("--scale", 1000, "--photo", tmp_path / "square.png")
    run = glpn("points", kinect, "-o", tmp_path / "a.ply", *options)
    assert run.code == 2 and "expected the same shape" in run.err
