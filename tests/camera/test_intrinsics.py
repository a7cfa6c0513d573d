"""Intrinsics files: every form gives the same camera, and a wrong one is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from glpn.camera.camera import Camera
from glpn.camera.intrinsics import read_intrinsics
from glpn.errors import DataError, MissingInput

K = [[500.5, 0, 310.25], [0, 510.5, 250.75], [0, 0, 1]]
D = [-0.28, 0.07, 0.001, -0.002, 0.01]
PLAIN = (500.5, 510.5, 310.25, 250.75)
SIZE = (480, 640)

ROS_YAML = """\
image_width: 640
image_height: 480
camera_name: head
camera_matrix:
  rows: 3
  cols: 3
  data: [500.5, 0., 310.25, 0., 510.5, 250.75, 0., 0., 1.]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: [-0.28, 0.07, 0.001, -0.002, 0.01]
rectification_matrix: {rows: 3, cols: 3, data: [1, 0, 0, 0, 1, 0, 0, 0, 1]}
"""
ROS_MESSAGE = """\
header: {frame_id: camera}
height: 480
width: 640
distortion_model: plumb_bob
d: [-0.28, 0.07, 0.001, -0.002, 0.01]
k: [500.5, 0.0, 310.25, 0.0, 510.5, 250.75, 0.0, 0.0, 1.0]
---
"""
KALIBR = """\
cam0:
  camera_model: pinhole
  intrinsics: [500.5, 510.5, 310.25, 250.75]
  distortion_model: equidistant
  distortion_coeffs: [0.03, -0.01, 0.004, -0.001]
  resolution: [640, 480]
"""


def write(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def read_camera(path: Path, size: tuple[int, int]) -> Camera:
    return read_intrinsics(path).fitted(size)


def plain(camera) -> tuple[float, ...]:
    return camera.fx, camera.fy, camera.cx, camera.cy


@pytest.mark.parametrize(
    "name, content",
    [
        ("K.txt", "500.5 0 310.25\n0 510.5 250.75\n0 0 1\n"),
        ("four.txt", "500.5, 510.5, 310.25, 250.75"),
        ("numpy.txt", "[[5.005e+02 0. 310.25]\n [0. 510.5 250.75]\n [0. 0. 1.]]"),
        ("numbers.json", {"fx": 500.5, "fy": 510.5, "cx": 310.25, "cy": 250.75}),
        ("K.json", {"K": K}),
        (
            "open3d.json",
            {"width": 640, "height": 480, "intrinsic_matrix": np.ravel(K, "F").tolist()},
        ),
        (
            "nerfstudio.json",
            {"fl_x": 500.5, "fl_y": 510.5, "cx": 310.25, "cy": 250.75, "w": 640, "h": 480},
        ),
        ("numbers.yaml", "fx: 500.5\nfy: 510.5\ncx: 310.25\ncy: 250.75\n"),
    ],
)
def test_every_form_gives_the_same_camera(tmp_path, name, content):
    camera = read_camera(write(tmp_path / name, content), SIZE)
    assert plain(camera) == PLAIN and camera.distortion == ()
    assert camera.source == f"intrinsics of {name}"


@pytest.mark.parametrize("name, content", [("head.yaml", ROS_YAML), ("echo.yaml", ROS_MESSAGE)])
def test_ros_camera_info_tells_lens_and_size(tmp_path, name, content):
    path = write(tmp_path / name, content)
    camera = read_camera(path, SIZE)
    assert plain(camera) == PLAIN
    assert (camera.distortion, camera.fisheye) == (tuple(D), False)
    assert read_intrinsics(path).size == SIZE


def test_kalibr_file_of_a_fisheye(tmp_path):
    camera = read_camera(write(tmp_path / "camchain.yaml", KALIBR), SIZE)
    assert plain(camera) == PLAIN
    assert (camera.distortion, camera.fisheye) == ((0.03, -0.01, 0.004, -0.001), True)


@pytest.mark.parametrize("suffix", ["yml", "json"])
def test_what_opencv_writes_is_read(tmp_path, suffix):
    path = tmp_path / f"calibration.{suffix}"
    file = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    file.write("image_width", 640)
    file.write("image_height", 480)
    file.write("camera_matrix", np.array(K))
    file.write("distortion_coefficients", np.array([D]))
    file.release()
    camera = read_camera(path, SIZE)
    assert plain(camera) == PLAIN and camera.distortion == pytest.approx(tuple(D))


def test_single_coefficients_are_opencvs_by_name(tmp_path):
    values = {"fx": 500.5, "fy": 510.5, "cx": 310.25, "cy": 250.75}
    path = write(
        tmp_path / "a.json", {**values, "k1": 0.1, "k2": 0.2, "p1": 0.3, "p2": 0.4, "k3": 0.5}
    )
    assert read_camera(path, SIZE).distortion == (0.1, 0.2, 0.3, 0.4, 0.5)
    fisheye = {
        **values,
        "camera_model": "OPENCV_FISHEYE",
        "k1": 0.1,
        "k2": 0.2,
        "k3": 0.3,
        "k4": 0.4,
    }
    camera = read_camera(write(tmp_path / "b.json", fisheye), SIZE)
    assert (camera.distortion, camera.fisheye) == ((0.1, 0.2, 0.3, 0.4), True)


def test_missing_middle_is_the_pictures(tmp_path):
    camera = read_camera(write(tmp_path / "a.json", {"fx": 500}), SIZE)
    assert plain(camera) == (500, 500, 319.5, 239.5)


def test_calibration_at_another_size_is_scaled_edge_to_edge(tmp_path):
    camera = read_camera(write(tmp_path / "head.yaml", ROS_YAML), (960, 1280))
    assert plain(camera) == (1001, 1021, 621, 502)  # (310.25 + 0.5) · 2 - 0.5
    assert camera.distortion == tuple(D)


@pytest.mark.parametrize("size", [(640, 480), (720, 1280), (480, 480)])
def test_calibration_of_another_shape_is_refused(tmp_path, size):
    path = write(tmp_path / "head.yaml", ROS_YAML)
    with pytest.raises(DataError, match=r"head\.yaml: holds for 640x480 pixels, .* no enlargement"):
        read_camera(path, size)


def test_camera_that_looks_past_the_photograph_is_refused(tmp_path):
    path = write(tmp_path / "K.txt", "1400 0 960 0 1400 540 0 0 1")
    with pytest.raises(DataError, match=r"K\.txt: the principal point \(960, 540\) lies outside"):
        read_camera(path, SIZE)


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("words.txt", "hello, this is no camera", "expected numbers, JSON or YAML"),
        ("photo.txt", "\x89PNG 1 2 3 4", "expected numbers"),
        ("five.txt", "1 2 3 4 5", "4, 9, 12 or 16 numbers, got 5"),
        ("empty.txt", "", "got 0"),
        ("zero.txt", "0 0 3 4", "positive focal lengths"),
        ("negative.json", {"fx": -5, "cx": 1, "cy": 1}, "positive focal lengths"),
        ("nan.json", '{"fx": NaN, "fy": 1, "cx": 1, "cy": 1}', "positive focal lengths"),
        ("middle.json", '{"fx": 1, "fy": 1, "cx": Infinity, "cy": 1}', "camera cx"),
        ("cut.json", '{"fx": 1', "not valid JSON"),
        ("other.json", {"model": "glpn"}, "no fx, fy, cx, cy and no matrix"),
        ("list.yaml", "- a: 1\n- b: 2\n", "expected an object, got list"),
        ("broken.yaml", "a: [1, 2\nb: {", "not valid JSON or YAML"),
        ("tag.yaml", "fx: !!python/object/apply:os.system ['touch canary']\n", "not valid"),
        ("text.json", {"fx": "wide"}, "could not convert"),
        ("nodata.yaml", "camera_matrix: {rows: 3}\n", "KeyError: 'data'"),
        ("lens.json", {"fx": 500, "D": [1, 2, 3, 4, 5, 6, 7, 8, 9]}, "distortion: expected"),
        ("model.json", {"fx": 500, "distortion_model": "mei"}, "distortion_model 'mei'"),
        ("size.json", {"fx": 500, "width": -640, "height": 480}, "at least 1x1"),
        ("deep.json", '{"a": ' + "[" * 100_000, "not valid"),
    ],
)  # fmt: skip
def test_wrong_file_is_refused_by_name(tmp_path, monkeypatch, name, content, message):
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / name, content)
    with pytest.raises(DataError, match=f"{name}: .*{message}"):
        read_camera(path, SIZE)
    assert not (tmp_path / "canary").exists()


def test_aliases_that_would_fill_the_memory_are_refused_at_once(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    path = write(tmp_path / "bomb.yaml", "\n".join([*lines, "K: *a29"]))
    with pytest.raises(DataError, match=r"bomb\.yaml"):
        read_camera(path, SIZE)


def test_absent_folder_and_large_files_are_refused(tmp_path):
    with pytest.raises(MissingInput, match=r"none\.json: no such intrinsics file"):
        read_camera(tmp_path / "none.json", SIZE)
    with pytest.raises(MissingInput, match="no such intrinsics file"):
        read_camera(tmp_path, SIZE)
    path = write(tmp_path / "long.yaml", "a: " + "b" * 70_000)
    with pytest.raises(DataError, match=r"long\.yaml: too large"):
        read_camera(path, SIZE)


def test_real_calibrations_are_read(real_data):
    hololens = read_intrinsics(real_data / "hololens_office/K.txt")
    assert (round(hololens.fx, 3), round(hololens.cy, 3)) == (495.568, 169.194)
    car = read_intrinsics(real_data / "dgp_driving/intrinsics.json", "scene_01_0_CAMERA_05")
    assert (round(car.fx, 3), car.size) == (1062.365, (1216, 1936))
