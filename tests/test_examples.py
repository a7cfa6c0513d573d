"""The example scripts, run as a reader runs them, and their parts against what they stand for."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import glpn

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PHOTO = ROOT / "examples/coffee.jpg"


def script(name: str) -> Any:
    """An example as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / f"examples/{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def estimator() -> glpn.DepthEstimator:
    return glpn.load(threads=1)


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return np.asarray(Image.open(PHOTO).resize((160, 120)))  # RGB


@pytest.fixture(scope="module")
def depth(estimator: glpn.DepthEstimator, photo: np.ndarray) -> glpn.Depth:
    return estimator(photo)


def python_commands() -> list[str]:
    text = (ROOT / "examples/README.md").read_text("utf-8")
    blocks = re.findall(r"^```bash\n(.*?)^```", text, re.M | re.S)
    return [line for b in blocks for line in b.splitlines() if line.startswith("python ")]


@pytest.mark.parametrize("command", python_commands())
def test_the_commands_of_the_page_run(command: Any, tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    arguments = [sys.executable, *shlex.split(command)[1:]]
    run = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() and not run.stderr.strip()


@pytest.fixture(scope="module")
def ros() -> Any:
    return script("ros2/glpn_ros/conversion")


def sent(ros: Any, photo: np.ndarray, encoding: str, padding: int = 0) -> Any:
    channels = ros.CHANNELS[encoding]
    pixels = photo[..., ::-1] if encoding.startswith("bgr") else photo
    if channels == 4:
        pixels = np.dstack([pixels, np.full(pixels.shape[:2], 7, np.uint8)])
    if channels == 1:
        pixels = pixels[..., 1]
    rows = np.ascontiguousarray(pixels).reshape(pixels.shape[0], -1)
    data = np.pad(rows, ((0, 0), (0, padding)), constant_values=99)
    height, width = pixels.shape[:2]
    return ros.Image(ros.Header(), height, width, encoding, 0, data.shape[1], data.tobytes())


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "rgba8", "bgra8"])
@pytest.mark.parametrize("padding", [0, 5])
def test_colours_and_rows_are_found_in_every_layout(
    ros: Any, photo: np.ndarray, encoding: str, padding: int
) -> None:
    message = sent(ros, photo, encoding, padding)
    assert np.array_equal(ros.picture_pixels(message), photo)


def test_grey_has_three_equal_channels(ros: Any, photo: np.ndarray) -> None:
    pixels = ros.picture_pixels(sent(ros, photo, "mono8"))
    assert all(np.array_equal(pixels[..., c], photo[..., 1]) for c in range(3))


def test_a_short_message_and_an_unknown_encoding_are_refused(ros: Any, photo: np.ndarray) -> None:
    message = sent(ros, photo, "rgb8")
    message.data = message.data[:-1]
    with pytest.raises(ValueError, match="120 rows of step 480"):
        ros.picture_pixels(message)
    message.encoding = "bayer_rggb8"
    with pytest.raises(ValueError, match="bayer_rggb8"):
        ros.picture_pixels(message)


def test_depth_is_that_of_the_estimator_with_this_camera(
    ros: Any, estimator: glpn.DepthEstimator, photo: np.ndarray
) -> None:
    k = [150.0, 0, 80.5, 0, 151.0, 60.5, 0, 0, 1]
    info = ros.CameraInfo(ros.Header(), 120, 160, k=k)
    depth = ros.estimate(estimator, sent(ros, photo, "bgr8"), info)
    camera = glpn.Camera(150, 151, 80.5, 60.5, "camera_info")
    assert depth.camera == camera
    assert np.array_equal(depth.metres, estimator(photo, camera=camera).metres)


def test_nobody_calibrated_means_a_camera_that_is_assumed(
    ros: Any, estimator: glpn.DepthEstimator, photo: np.ndarray
) -> None:
    depth = ros.estimate(estimator, sent(ros, photo, "rgb8"), ros.CameraInfo())
    assert "assumed" in depth.camera.source


def test_a_camera_of_another_size_is_refused(ros: Any) -> None:
    info = ros.CameraInfo(ros.Header(), 480, 640, k=[500.0] + [0.0] * 8)
    with pytest.raises(ValueError, match="480x640"):
        ros.camera_of(info, (120, 160))


def flat(*metres: Any) -> glpn.Depth:
    row = np.array([metres], np.float32)
    provenance = glpn.load(threads=1).provenance
    return glpn.Depth(row, glpn.Camera.assumed(row.shape), provenance)


def test_metres_travel_as_floats_and_the_unknown_as_nan(ros: Any) -> None:
    header = ros.Header(ros.Time(3, 4), "camera")
    message = ros.depth_message(flat(0, 1.5, 80), header)
    assert (message.encoding, message.step, message.is_bigendian) == ("32FC1", 12, 0)
    assert message.header is header
    values = np.frombuffer(message.data, "<f4")
    assert np.isnan(values[0]) and values[1:].tolist() == [1.5, 80]


def test_millimetres_travel_as_whole_numbers_and_what_is_too_far_as_unknown(ros: Any) -> None:
    message = ros.depth_message(flat(0, 1.2344, 65.535, 80), None, encoding="16UC1")
    assert (message.encoding, message.step, message.width) == ("16UC1", 8, 4)
    assert np.frombuffer(message.data, "<u2").tolist() == [0, 1234, 65535, 0]
    with pytest.raises(ValueError, match="8UC1"):
        ros.depth_message(flat(1), None, encoding="8UC1")


def test_records_have_the_fields_of_the_messages(ros: Any) -> None:
    # sensor_msgs/msg/Image.msg and CameraInfo.msg of ROS 2, without binning and roi.
    image = ["header", "height", "width", "encoding", "is_bigendian", "step", "data"]
    info = ["header", "height", "width", "distortion_model", "d", "k", "r", "p"]
    assert list(vars(ros.Image())) == image
    assert list(vars(ros.CameraInfo())) == info


@pytest.fixture(scope="module")
def opencv() -> Any:
    pytest.importorskip("cv2", reason="needs opencv-python-headless")
    return script("opencv_depth")


def test_blue_and_red_are_not_confused(
    opencv: Any, estimator: glpn.DepthEstimator, photo: np.ndarray, depth: glpn.Depth
) -> None:
    bgr = np.ascontiguousarray(photo[..., ::-1])
    assert np.array_equal(opencv.metres_of(estimator, bgr).metres, depth.metres)
    assert not np.array_equal(opencv.metres_of(estimator, photo.copy()).metres, depth.metres)


def test_the_overlay_keeps_the_frame_and_shows_the_colours_beside_it(
    opencv: Any, photo: np.ndarray, depth: glpn.Depth
) -> None:
    bgr = np.ascontiguousarray(photo[..., ::-1])
    before = bgr.copy()
    both = opencv.overlay(bgr, depth)
    assert both.shape == (120, 320, 3) and np.array_equal(bgr, before)
    untouched = both[0, :160], both[0, 160:]  # no label reaches the first row
    assert np.array_equal(untouched[0], bgr[0])
    assert np.array_equal(untouched[1], depth.colorize()[0, :, ::-1])
    assert (both[20, 26] == 255).all()  # the dot of the first place: (1/6 of 160, of 120)


def test_a_video_keeps_its_frames_and_rate(opencv: Any, photo: np.ndarray, tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    video = tmp_path / "walk.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"MJPG"), 12.0, (160, 120))
    for shift in range(3):
        writer.write(np.roll(photo[..., ::-1], 4 * shift, axis=1))
    writer.release()
    output = tmp_path / "metres.avi"
    command = [sys.executable, ROOT / "examples/opencv_depth.py", video, output]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert "3 frames" in run.stdout
    capture = cv2.VideoCapture(str(output))
    frames = list(opencv.frames_of(capture, None))
    assert [frame.shape for frame in frames] == [(120, 320, 3)] * 3
    assert capture.get(cv2.CAP_PROP_FPS) == 12


def test_what_cannot_be_opened_is_named(
    opencv: Any, estimator: glpn.DepthEstimator, tmp_path: Path
) -> None:
    missing = tmp_path / "nowhere.jpg"
    with pytest.raises(SystemExit, match="nowhere"):
        opencv.convert_picture(estimator, missing, tmp_path / "out.jpg")
