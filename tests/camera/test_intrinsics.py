"""Intrinsics files: every form gives the same camera, and a wrong one is refused by name."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from glpn.camera.camera import Camera
from glpn.camera.intrinsics_files import read_intrinsics
from glpn.errors import DataError, MissingInput

K: list[list[float]] = [[500.5, 0, 310.25], [0, 510.5, 250.75], [0, 0, 1]]
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
    return read_intrinsics(path).for_size(size)


def plain(camera: Camera) -> tuple[float, ...]:
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
def test_every_form_gives_the_same_camera(
    tmp_path: Path, name: str, content: str | dict[str, Any]
) -> None:
    camera = read_camera(write(tmp_path / name, content), SIZE)
    assert plain(camera) == PLAIN and camera.distortion == ()
    assert camera.source == f"intrinsics of {name}"


@pytest.mark.parametrize("name, content", [("head.yaml", ROS_YAML), ("echo.yaml", ROS_MESSAGE)])
def test_ros_camera_info_gives_lens_and_size(tmp_path: Path, name: str, content: str) -> None:
    path = write(tmp_path / name, content)
    camera = read_camera(path, SIZE)
    assert plain(camera) == PLAIN
    assert (camera.distortion, camera.fisheye) == (tuple(D), False)
    assert read_intrinsics(path).size == SIZE


def test_kalibr_file_of_a_fisheye(tmp_path: Path) -> None:
    camera = read_camera(write(tmp_path / "camchain.yaml", KALIBR), SIZE)
    assert plain(camera) == PLAIN
    assert (camera.distortion, camera.fisheye) == ((0.03, -0.01, 0.004, -0.001), True)


@pytest.mark.parametrize("suffix", ["yml", "json"])
def test_what_opencv_writes_is_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"calibration.{suffix}"
    file = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    file.write("image_width", 640)
    file.write("image_height", 480)
    file.write("camera_matrix", np.array(K))
    file.write("distortion_coefficients", np.array([D]))
    file.release()
    camera = read_camera(path, SIZE)
    assert plain(camera) == PLAIN and camera.distortion == pytest.approx(tuple(D))


def test_single_coefficients_are_opencvs_by_name(tmp_path: Path) -> None:
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


def test_a_missing_principal_point_is_the_middle_of_the_image(tmp_path: Path) -> None:
    camera = read_camera(write(tmp_path / "a.json", {"fx": 500}), SIZE)
    assert plain(camera) == (500, 500, 319.5, 239.5)


def test_calibration_at_another_size_is_scaled_edge_to_edge(tmp_path: Path) -> None:
    camera = read_camera(write(tmp_path / "head.yaml", ROS_YAML), (960, 1280))
    assert plain(camera) == (1001, 1021, 621, 502)  # (310.25 + 0.5) · 2 - 0.5
    assert camera.distortion == tuple(D)


@pytest.mark.parametrize("size", [(640, 480), (720, 1280), (480, 480)])
def test_calibration_of_another_shape_is_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    path = write(tmp_path / "head.yaml", ROS_YAML)
    with pytest.raises(
        DataError, match=r"head\.yaml: made for 640x480 pixels, .* aspect ratio differs"
    ):
        read_camera(path, size)


def test_camera_whose_axis_misses_the_photo_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "K.txt", "1400 0 960 0 1400 540 0 0 1")
    with pytest.raises(DataError, match=r"K\.txt: the principal point \(960, 540\) is outside"):
        read_camera(path, SIZE)


# The same camera, as each tool writes it; `K` and `D` are those above.

FLAT = [number for row in K for number in row]
REALSENSE_TEXT = """\
 Intrinsic of "Depth" / 640x480 / {Z16}
  Width:      \t640
  Height:     \t480
  PPX:        \t300
  PPY:        \t200
  Fx:         \t400
  Fy:         \t400
  Distortion: \tBrown Conrady
  Coeffs:     \t0  \t0  \t0  \t0  \t0
  FOV (deg):  \t70 x 60

 Intrinsic of "Color" / 1280x960 / {RGB8}
  Width:      \t1280
  Height:     \t960
  PPX:        \t621
  PPY:        \t502
  Fx:         \t1001
  Fy:         \t1021
  Distortion: \tInverse Brown Conrady
  Coeffs:     \t0  \t0  \t0  \t0  \t0

 Intrinsic of "Color" / 640x480 / {RGB8}
  Width:      \t640
  Height:     \t480
  PPX:        \t310.25
  PPY:        \t250.75
  Fx:         \t500.5
  Fy:         \t510.5
  Distortion: \tInverse Brown Conrady
  Coeffs:     \t0  \t0  \t0  \t0  \t0
"""
KITTI_OBJECT = """\
P0: 1 0 2 0 0 1 2 0 0 0 1 0
P2: 500.5 0 310.25 45.7 0 510.5 250.75 -0.3 0 0 1 0.005
R0_rect: 1 0 0 0 1 0 0 0 1
"""
COLMAP = """\
# Camera list with one line of data per camera:
#   CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]
# Number of cameras: 1
1 {model} 640 480 500.5 510.5 310.75 251.25{rest}
"""
FIVE = "-0.28, 0.07, 0.001, -0.002"


@pytest.mark.parametrize(
    "name, content",
    [
        ("realsense.txt", REALSENSE_TEXT),
        (
            "realsense.json",
            {"width": 640, "height": 480, "ppx": 310.25, "ppy": 250.75, "fx": 500.5, "fy": 510.5}
            | {"model": "distortion.inverse_brown_conrady", "coeffs": [0, 0, 0, 0, 0]},
        ),
        ("kitti.txt", KITTI_OBJECT),
        ("cameras.txt", COLMAP.format(model="PINHOLE", rest="")),
        ("columns.txt", "# fx fy cx cy\n500.5 510.5 310.25 250.75\n"),
        ("columns.csv", "fx,fy,cx,cy,width,height\n500.5,510.5,310.25,250.75,640,480\n"),
        (
            "comments.txt",
            "# K of the left camera, 3x3\n500.5 0 310.25  // row 1\n0 510.5 250.75\n0 0 1",
        ),
        ("arkit.json", {"intrinsics": FLAT, "cameraPoseARFrame": [0] * 16, "frame_index": 7}),
        ("record3d.json", {"K": np.ravel(K, "F").tolist(), "w": 640, "h": 480, "poses": [[1, 2]]}),
        ("both.json", {"fx": 500.5, "fy": 510.5, "cx": 310.25, "cy": 250.75, "K": K}),
    ],
)
def test_pinhole_files_of_recorders_and_datasets_give_the_same_camera(
    tmp_path: Path, name: str, content: Any
) -> None:
    camera = read_camera(write(tmp_path / name, content), SIZE)
    assert plain(camera) == PLAIN and camera.distortion == ()


@pytest.mark.parametrize(
    "name, content",
    [
        ("cameras.txt", COLMAP.format(model="OPENCV", rest=" -0.28 0.07 0.001 -0.002")),
        ("columns.txt", f"# fx fy cx cy k1 k2 p1 p2\n500.5 510.5 310.25 250.75 {FIVE}"),
        (
            "oak.json",
            {
                "boardName": "OAK-D",
                "cameraData": [
                    [
                        1,
                        {
                            "intrinsicMatrix": [[1, 0, 1], [0, 1, 1], [0, 0, 1]],
                            "width": 2,
                            "height": 2,
                        },
                    ],
                    [
                        0,
                        {"cameraType": 0, "distortionCoeff": [*D[:4], *[0] * 10], "width": 640}
                        | {
                            "height": 480,
                            "intrinsicMatrix": K,
                            "lensPosition": 0,
                            "specHfovDeg": 68,
                        },
                    ],
                ],
            },
        ),
        (
            "zed.conf",
            "[LEFT_CAM_HD]\nfx=700\nfy=700\ncx=640\ncy=360\nk1=0\n"
            "[LEFT_CAM_VGA]\nfx=500.5\nfy=510.5\ncx=310.25\ncy=250.75\n"
            "k1=-0.28\nk2=0.07\np1=0.001\np2=-0.002\n[RIGHT_CAM_VGA]\nfx=1\n[STEREO]\nBaseline=120\n",
        ),
    ],
)
def test_calibrations_with_a_lens_give_the_same_camera(
    tmp_path: Path, name: str, content: Any
) -> None:
    size = (376, 672) if name == "zed.conf" else SIZE
    camera = read_camera(write(tmp_path / name, content), size)
    assert plain(camera) == PLAIN and camera.distortion == tuple(D[:4])


def test_numpy_files_and_opencv_xml_are_read(tmp_path: Path) -> None:
    np.save(tmp_path / "K.npy", np.array(K))
    np.savez(tmp_path / "cv.npz", mtx=np.array(K), dist=np.array([D]), rvecs=np.ones((3, 3)))
    file = cv2.FileStorage(str(tmp_path / "cv.xml"), cv2.FILE_STORAGE_WRITE)
    for name, value in (("image_width", 640), ("image_height", 480), ("flags", 0)):
        file.write(name, value)
    file.write("calibration_time", "Sun Nov 29 2026")
    file.write("camera_matrix", np.array(K))
    file.write("distortion_coefficients", np.array([D]))
    file.release()
    assert plain(read_camera(tmp_path / "K.npy", SIZE)) == PLAIN
    for name in ("cv.npz", "cv.xml"):
        camera = read_camera(tmp_path / name, SIZE)
        assert plain(camera) == PLAIN and camera.distortion == pytest.approx(tuple(D))
    assert read_intrinsics(tmp_path / "cv.xml").size == SIZE


def test_azure_kinect_units_of_the_sensor_become_pixels(tmp_path: Path) -> None:
    lens = [0.5, -2.6, 1.5, 0.38, -2.4, 1.43]
    parameters = [0.5, 0.52, 0.48, 0.64, *lens, 0, 0, -0.0003, 0.0007]
    camera = {
        "Purpose": "CALIBRATION_CameraPurposePhotoVideo",
        "Intrinsics": {
            "ModelParameters": parameters,
            "ModelType": "CALIBRATION_LensDistortionModelBrownConrady",
        },
    }
    content = {"CalibrationInformation": {"Cameras": [{"Purpose": "Depth"}, camera]}}
    path = write(tmp_path / "kinect.json", content)
    full = read_camera(path, (1536, 2048))
    assert plain(full) == pytest.approx((983.04, 983.04, 1023.5, 798.22))
    # 1080p is the middle of 1920x1440.
    wide = read_camera(path, (1080, 1920))
    assert plain(wide) == pytest.approx((921.6, 921.6, 959.5, 0.52 * 1440 - 180 - 0.5))
    assert wide.distortion == (0.5, -2.6, 0.0007, -0.0003, 1.5, 0.38, -2.4, 1.43)


def test_horizontal_angle_of_nerf_needs_no_size(tmp_path: Path) -> None:
    angle = {"camera_angle_x": 2 * math.atan(0.5), "frames": []}
    camera = read_camera(write(tmp_path / "transforms.json", angle), (400, 800))
    assert plain(camera) == pytest.approx((800, 800, 399.5, 199.5))
    sized = read_camera(write(tmp_path / "sized.json", {**angle, "w": 1600, "h": 800}), (400, 800))
    assert plain(sized) == pytest.approx(plain(camera))


def test_realsense_scales_the_size_of_the_photos_shape(tmp_path: Path) -> None:
    path = write(tmp_path / "realsense.txt", REALSENSE_TEXT)
    assert plain(read_camera(path, (960, 1280))) == (1001, 1021, 621, 502)


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("shift.json", {"fx": 500, "lens_shift_x": 3}, "key 'lens_shift_x' is not understood"),
        ("crop.yaml", "fx: 500\ncrop_x: 10\n", "key 'crop_x' is not understood"),
        ("prism.json", {"K": K, "s1": 0.1}, "key 's1' is not understood"),
        ("true.json", {"fx": True}, "fx: expected a number, got True"),
        ("digits.json", {"fx": "5_0"}, "fx: expected a number, got '5_0'"),
        ("huge.json", {"fx": 500, "k1": 1e300}, "coefficients of at most 10000, got 1e.300"),
        ("tiny.json", {"fx": 0.001}, r"focal length: expected 16 to 40000 px for 640x480 pixels"),
        ("denormal.json", {"fx": 1e-320}, "expected a focal length of 0.001"),
        ("skew.json", {"fx": 500, "skew": 9}, "skew 9: only cameras without skew"),
        ("skew.txt", "500 30 320 0 500 240 0 0 1", "skew 30"),
        (
            "roi.yaml",
            "K: [500, 0, 9, 0, 500, 9, 0, 0, 1]\nroi: {x_offset: 8}\n",
            "region of interest",
        ),
        ("binned.yaml", "K: [500, 0, 9, 0, 500, 9, 0, 0, 1]\nbinning_x: 2\n", "full resolution"),
        ("twice.json", {"fx": 500, "fl_x": 400}, "fx: two values, 500 and 400"),
        ("differ.json", {"fx": 400, "cx": 310, "cy": 250, "K": K}, "and the matrix differ"),
        ("angle.json", {"camera_angle_x": 3.1415926}, "camera_angle_x: expected"),
        ("cameras.txt", "1 FOV 640 480 500 500 320 240 0.9", "camera model 'FOV'"),
        ("cameras.txt", "1 PINHOLE 640 480 500 500 320", "PINHOLE: expected 4 numbers, got 3"),
        (
            "two.txt",
            "1 PINHOLE 64 48 50 50 32 24\n2 PINHOLE 64 48 60 60 32 24",
            "2 different cameras",
        ),
        (
            "rs.json",
            {"fx": 500, "model": "Inverse Brown Conrady", "coeffs": [0.1, 0, 0, 0]},
            "unsupported",
        ),
        ("bomb.xml", '<!DOCTYPE a [<!ENTITY b "c">]><opencv_storage/>', "DOCTYPE or entities"),
        ("other.xml", "<calibration/>", "expected OpenCV's opencv_storage"),
    ],
)
def test_a_file_that_would_be_half_read_is_refused(
    tmp_path: Path, name: str, content: dict[str, Any] | str, message: str
) -> None:
    path = write(tmp_path / name, content)
    with pytest.raises(DataError, match=f"{name}: .*{message}"):
        read_camera(path, SIZE)


def test_hostile_numpy_files_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "object.npy", np.array([{"fx": 1}], dtype=object), allow_pickle=True)
    np.savez_compressed(tmp_path / "large.npz", mtx=np.zeros((3, 3)), bomb=np.zeros(1_000_000))
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04 and no more")
    for name, message in (
        ("object.npy", "NumPy"),
        ("large.npz", "too large"),
        ("cut.npz", "NumPy"),
    ):
        with pytest.raises(DataError, match=f"{name}: .*{message}"):
            read_intrinsics(tmp_path / name)


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("words.txt", "hello, this is no camera", "expected numbers, JSON, YAML or XML"),
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
        ("text.json", {"fx": "wide"}, "fx: expected a number, got 'wide'"),
        ("nodata.yaml", "camera_matrix: {rows: 3}\n", "matrix: expected rows, cols and data"),
        ("lens.json", {"fx": 500, "D": [1, 2, 3, 4, 5, 6, 7, 8, 9]}, "distortion: expected"),
        ("model.json", {"fx": 500, "distortion_model": "mei"}, "distortion_model 'mei'"),
        ("size.json", {"fx": 500, "width": -640, "height": 480}, "at least 1x1"),
        ("deep.json", '{"a": ' + "[" * 100_000, "not valid"),
    ],
)  # fmt: skip
def test_wrong_file_is_refused_by_name(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    content: str | dict[str, Any],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / name, content)
    with pytest.raises(DataError, match=f"{name}: .*{message}"):
        read_camera(path, SIZE)
    assert not (tmp_path / "canary").exists()


def test_aliases_that_would_fill_the_memory_are_refused_at_once(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    path = write(tmp_path / "bomb.yaml", "\n".join([*lines, "K: *a29"]))
    with pytest.raises(DataError, match=r"bomb\.yaml"):
        read_camera(path, SIZE)


def test_absent_folder_and_large_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match=r"none\.json: no such intrinsics file"):
        read_camera(tmp_path / "none.json", SIZE)
    with pytest.raises(MissingInput, match="no such intrinsics file"):
        read_camera(tmp_path, SIZE)
    path = write(tmp_path / "long.yaml", "a: " + "b" * 70_000)
    with pytest.raises(DataError, match=r"long\.yaml: too large"):
        read_camera(path, SIZE)


def test_real_calibrations_are_read(real_data: Path) -> None:
    hololens = read_intrinsics(real_data / "hololens_office/K.txt")
    assert (round(hololens.fx, 3), round(hololens.cy, 3)) == (495.568, 169.194)
    car = read_intrinsics(real_data / "dgp_driving/intrinsics.json", "scene_01_0_CAMERA_05")
    assert (round(car.fx, 3), car.size) == (1062.365, (1216, 1936))
