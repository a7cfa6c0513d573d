"""The bridges under examples/: their own functions, and Blender where its module is installed."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import glpn
from glpn.depth.provenance import Provenance

ROOT = Path(__file__).parents[2]
SIZE = (24, 32)
CAMERA = glpn.Camera(30.0, 31.0, 15.0, 12.5, "test")
BLENDER = """
import json, sys, bpy, numpy as np
sys.argv = ["x", "--", *sys.argv[1:]]
for thing in list(bpy.data.objects): bpy.data.objects.remove(thing)
exec(compile(open(SCRIPT).read(), SCRIPT, "exec"), {"__name__": "__main__"})
meshes = [o for o in bpy.data.objects if o.type == "MESH"]
points = [list(o.matrix_world @ v.co) for o in meshes for v in o.data.vertices]
out = {"points": points, "materials": [len(o.data.materials) for o in meshes]}
if scene_camera := bpy.context.scene.camera:
    from bpy_extras.object_utils import world_to_camera_view
    from mathutils import Vector
    bpy.context.view_layer.update()
    out["seen"] = [list(world_to_camera_view(bpy.context.scene, scene_camera, Vector(p)))
                   for p in points]
print("RESULT" + json.dumps(out))
"""


def script(name: str) -> Any:
    """An example as a module."""
    spec = importlib.util.spec_from_file_location(Path(name).name, ROOT / f"examples/{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def depth() -> Any:
    """A wall at 4 m behind a box at 2 m, and one unknown pixel."""
    metres = np.full(SIZE, 4, np.float32)
    metres[8:16, 4:12] = 2
    metres[0, 0] = 0
    image = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8)
    return glpn.Depth(metres, CAMERA, Provenance("m", "", "", ""), image)


@pytest.mark.parametrize("suffix", ["png", "npz"])
def test_blender_reads_metres_and_the_camera(depth: Any, tmp_path: Path, suffix: str) -> None:
    blender, path = script("blender_import"), depth.save(tmp_path / f"wall.{suffix}")
    metres, record = (
        blender.read_npz(path) if suffix == "npz" else blender.read_png(path.read_bytes())
    )
    np.testing.assert_allclose(metres, depth.metres, atol=5e-4)
    assert [record["camera"][key] for key in ("fx", "fy", "cx", "cy")] == [30, 31, 15, 12.5]


def test_blender_refuses_other_pngs(tmp_path: Path) -> None:
    from PIL import Image

    blender, path = script("blender_import"), tmp_path / "grey.png"
    Image.fromarray(np.full(SIZE, 900, np.uint16)).save(path)
    with pytest.raises(ValueError, match="not a depth PNG of glpn"):
        blender.read_png(path.read_bytes())


def test_the_mesh_has_the_points_of_the_library_and_is_cut_at_the_box(depth: Any) -> None:
    blender = script("blender_import")
    vertices, triangles, texture = blender.mesh_of(depth.metres, vars(CAMERA))
    x, y, z = depth.points().reshape(-1, 3).T
    np.testing.assert_allclose(vertices, np.stack([x, z, -y], 1), atol=1e-5)
    sides = depth.metres.ravel()[triangles]
    assert (sides.min(1) == sides.max(1)).all() and 0 not in triangles
    assert (triangles[:, 0] != triangles[:, 1]).all()
    assert texture[0].tolist() == pytest.approx([0.5 / 32, 1 - 0.5 / 24])


def in_blender(*arguments: Any) -> Any:
    """What Blender's scene holds after the script."""
    code = f"SCRIPT = {str(ROOT / 'examples/blender_import.py')!r}\n{BLENDER}"
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        env=dict(os.environ),
    )
    assert "RESULT" in done.stdout, done.stderr[-2000:]
    return json.loads(done.stdout.rpartition("RESULT")[2])


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("bpy") is None, reason="bpy is not installed")
class TestInBlender:
    def test_a_depth_file_becomes_a_mesh_seen_by_its_camera(
        self, depth: Any, tmp_path: Path
    ) -> None:
        photo = tmp_path / "photo.png"
        from PIL import Image

        Image.fromarray(depth.image).save(photo)
        found = in_blender(depth.save(tmp_path / "wall.png"), "--photo", photo)
        x, y, z = depth.points().reshape(-1, 3).T
        np.testing.assert_allclose(found["points"], np.stack([x, z, -y], 1), atol=1e-4)
        assert found["materials"] == [1]
        # Pixel centres, from the lower left corner, in fractions of the picture.
        row, column = np.mgrid[: SIZE[0], : SIZE[1]]
        pixels = np.stack([(column + 0.5) / SIZE[1], 1 - (row + 0.5) / SIZE[0]], -1)
        known = depth.metres.ravel() > 0
        seen = np.array(found["seen"])[known, :2]
        np.testing.assert_allclose(seen, pixels.reshape(-1, 2)[known], atol=2e-4)

    @pytest.mark.parametrize("suffix", ["ply", "glb"])
    def test_points_of_other_files_lie_in_the_same_axes(
        self, depth: Any, tmp_path: Path, suffix: str
    ) -> None:
        found = in_blender(depth.save(tmp_path / f"wall.{suffix}"))
        x, y, z = depth.points()[depth.metres > 0].reshape(-1, 3).T
        points = np.array(found["points"])
        expected = np.stack([x, z, -y], 1)
        np.testing.assert_allclose(points.min(0), expected.min(0), atol=1e-4)
        np.testing.assert_allclose(points.max(0), expected.max(0), atol=1e-4)


@pytest.mark.slow
def test_the_gradio_function_gives_colours_words_and_a_mesh(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo = script("gradio_demo")
    monkeypatch.setattr(demo.tempfile, "mkdtemp", lambda prefix: str(tmp_path))
    estimator = glpn.load(threads=1)
    photo = str(ROOT / "examples/lobby.jpg")
    colours, words, mesh = demo.measure(estimator, photo, 70)
    assert colours.shape == (240, 320, 3) and colours.dtype == np.uint8
    assert "median" in words and "given field of view of 70" in words
    assert Path(mesh).read_bytes().startswith(b"glTF")
    with pytest.raises(ValueError, match="choose a photo"):
        demo.measure(estimator, None, 0)


def test_the_ros_node_answers_images_and_logs_what_it_refuses() -> None:
    ros = script("ros2/glpn_ros/conversion")
    sys.modules["conversion"] = ros
    node = script("ros2/glpn_ros/node")
    estimator = glpn.load(threads=1)
    logged: list[Any] = []
    pixels = np.full((120, 160, 3), 90, np.uint8)
    header = ros.Header(ros.Time(5, 6), "camera_optical_frame")
    image = ros.Image(header, 120, 160, "rgb8", 0, 480, pixels.tobytes())
    info = ros.CameraInfo(header, 120, 160, k=[150.0, 0, 80, 0, 150, 60, 0, 0, 1])
    wanted = {"encoding": "32FC1", "make": ros.Image, "log": logged.append}
    message, same = node.answer(estimator, image, info, **wanted)
    assert (message.header, same) == (header, info)
    sent = np.frombuffer(message.data, "<f4").reshape(120, 160)
    np.testing.assert_array_equal(sent, estimator(pixels, camera=message_camera()).metres)
    image.encoding = "yuv422"
    assert node.answer(estimator, image, info, **wanted) is None
    assert "yuv422" in logged[0]


def message_camera() -> Any:
    return glpn.Camera(150, 150, 80, 60, "camera_info")
