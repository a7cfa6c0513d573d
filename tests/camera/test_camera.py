"""Camera and lens: geometry worked by hand, distortion against OpenCV, checked input."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glpn.camera.camera import ASSUMED_FOV, Camera
from glpn.depth.depth import Depth
from glpn.depth.provenance import Provenance
from glpn.depth.reading import read_depth
from glpn.errors import DataError, UsageError

SIZE = (480, 640)
# A wide action camera, a webcam, a mustache, a Kinect for Azure (rational), tangential alone.
PLANE_LENSES = {
    "barrel": (-0.28, 0.07, 0.0002, 0.00002, 0.0),
    "slight": (0.1, -0.25, -0.002, 0.003),
    "mustache": (-0.2, 0.3, 0.0, 0.0, -0.05),
    "rational": (0.5, -2.6, 0.0007, -0.0003, 1.5, 0.38, -2.4, 1.43),
    "tangential": (0.0, 0.0, 0.01, -0.02),
}
FISHEYE = (0.03, -0.01, 0.004, -0.001)


def a_camera(distortion: tuple[float, ...] = (), *, fisheye: bool = False) -> Camera:
    return Camera(400, 410, 322.5, 236.25, "calibrated", distortion, fisheye)


def matrix(camera: Camera) -> np.ndarray:
    return np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1.0]])


def some_points() -> np.ndarray:
    """Points within 42° of the axis, 0.5 to 8 m away."""
    rng = np.random.default_rng(0)
    rays = rng.uniform(-0.6, 0.6, (500, 2))
    depth = rng.uniform(0.5, 8, (500, 1))
    return np.hstack([rays * depth, depth])


def test_horizontal_field_of_view_of_90_degrees_has_half_the_width_as_focal_length() -> None:
    camera = Camera.from_fov(90, (480, 640), source="--fov 90")
    assert camera.fx == camera.fy == pytest.approx(320)
    assert (camera.cx, camera.cy) == (319.5, 239.5)
    assert camera.source == "--fov 90"


@pytest.mark.parametrize("size", [(480, 640), (640, 480)])
def test_assumed_field_of_view_lies_along_the_longer_side_and_says_so(
    size: tuple[int, int],
) -> None:
    camera = Camera.assumed(size)
    assert camera.fx == pytest.approx(320 / math.tan(math.radians(ASSUMED_FOV / 2)))
    assert camera.source == "assumed 60° field of view along the longer side"


def test_scaling_a_camera_keeps_the_ray_through_every_edge() -> None:
    camera = Camera(500, 520, 310, 250, "calibrated")
    half = camera.scaled((480, 640), (240, 320))
    # The left edge of a picture is x = -0.5 at every size, the right edge x = W - 0.5.
    assert (-0.5 - half.cx) / half.fx == pytest.approx((-0.5 - 310) / 500)
    assert (319.5 - half.cx) / half.fx == pytest.approx((639.5 - 310) / 500)
    assert (239.5 - half.cy) / half.fy == pytest.approx((479.5 - 250) / 520)
    assert half.source == "calibrated"


def test_scaling_a_camera_there_and_back_changes_nothing() -> None:
    camera = Camera(500, 520, 310, 250, "calibrated")
    back = camera.scaled((480, 640), (123, 77)).scaled((123, 77), (480, 640))
    got = (back.fx, back.fy, back.cx, back.cy)
    assert got == pytest.approx((500, 520, 310, 250), rel=1e-12)


@pytest.mark.parametrize("bad", [0, -1, math.nan, math.inf, "500", True, None])
def test_impossible_focal_length_is_refused(bad: Any) -> None:
    with pytest.raises(UsageError, match="fx"):
        Camera(bad, 500, 1, 1, "test")


@pytest.mark.parametrize("bad", [0, -5, 180, math.nan, math.inf])
def test_impossible_field_of_view_is_refused(bad: Any) -> None:
    with pytest.raises(UsageError, match="field of view"):
        Camera.from_fov(bad, (480, 640), source="test")


def test_camera_of_an_empty_picture_is_refused() -> None:
    with pytest.raises(UsageError, match="0x640"):
        Camera.from_focal(500, (0, 640), source="test")
    with pytest.raises(UsageError, match="cannot scale"):
        Camera.assumed((4, 4)).scaled((4, 4), (0, 4))


def test_numpy_numbers_become_plain_floats() -> None:
    camera = Camera(np.float32(500), np.int64(500), np.float64(1), 2, "test")
    assert all(type(value) is float for value in (camera.fx, camera.fy, camera.cx, camera.cy))


# Lenses


@pytest.mark.parametrize("name", PLANE_LENSES)
def test_radial_and_tangential_distortion_is_opencvs(name: str) -> None:
    camera, points = a_camera(PLANE_LENSES[name]), some_points()
    k = np.array(PLANE_LENSES[name])
    theirs, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), matrix(camera), k)
    ours = camera.project(points)
    seen = np.isfinite(ours).all(-1)
    assert seen.mean() > 0.9
    np.testing.assert_allclose(ours[seen], theirs[seen, 0], atol=1e-9)


def test_fisheye_distortion_is_opencvs() -> None:
    camera, points = a_camera(FISHEYE, fisheye=True), some_points()
    k = np.array(FISHEYE)
    still = np.zeros(3)
    theirs, _ = cv2.fisheye.projectPoints(points[:, None], still, still, matrix(camera), k)
    np.testing.assert_allclose(camera.project(points), theirs[:, 0], atol=1e-9)


@pytest.mark.parametrize("name", [*PLANE_LENSES, "fisheye", "none"])
def test_a_point_is_found_again_at_the_pixel_that_sees_it(name: Any) -> None:
    fisheye = name == "fisheye"
    camera = a_camera(FISHEYE if fisheye else PLANE_LENSES.get(name, ()), fisheye=fisheye)
    points = some_points()
    x, y = camera.project(points).T
    seen = np.isfinite(x)
    found = camera.unproject(x[seen], y[seen], points[seen, 2])
    np.testing.assert_allclose(found, points[seen], rtol=1e-8, atol=1e-9)


def test_undistorted_rays_are_those_of_opencvs_own_iteration_where_it_converges() -> None:
    camera = a_camera(PLANE_LENSES["barrel"])
    x, y = np.meshgrid(np.arange(120, 520, 40.0), np.arange(90, 390, 40.0))
    stop = (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 1000, 1e-14)
    pixels = np.stack([x, y], -1).reshape(-1, 1, 2)
    k = np.array(camera.distortion)
    theirs = cv2.undistortPoints(pixels, matrix(camera), k, None, None, None, stop)
    ours = np.stack(camera.rays(x, y), -1).reshape(-1, 1, 2)
    np.testing.assert_allclose(ours, theirs, atol=1e-9)


def test_undistorted_fisheye_rays_are_opencvs() -> None:
    camera = a_camera(FISHEYE, fisheye=True)
    x, y = np.meshgrid(np.arange(0, 640, 40.0), np.arange(0, 480, 40.0))
    pixels = np.stack([x, y], -1).reshape(-1, 1, 2)
    stop = (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 1000, 1e-14)
    k = np.array(FISHEYE)
    theirs = cv2.fisheye.undistortPoints(pixels, matrix(camera), k, criteria=stop)
    ours = np.stack(camera.rays(x, y), -1).reshape(-1, 1, 2)
    np.testing.assert_allclose(ours, theirs, atol=1e-8)


def test_a_fisheye_without_coefficients_measures_angles() -> None:
    camera = Camera(100, 100, 0, 0, "test", fisheye=True)
    across, down = camera.rays(100 * math.pi / 4, 0)  # 45° off the axis
    assert across == pytest.approx(1) and down == 0
    assert camera.project((1, 0, 1)) == pytest.approx((100 * math.pi / 4, 0))


def test_beyond_the_fold_of_a_barrel_there_is_no_ray() -> None:
    # r (1 - r²/3) turns back at r = 1, where it is 2/3.
    camera = Camera(300, 300, 300, 300, "test", (-1 / 3, 0, 0, 0))
    inside, outside = camera.rays([300 + 199, 300 + 201], [300, 300])[0]
    assert 0.9 < inside < 1 and np.isnan(outside)
    seen = np.isfinite(camera.project([[0.99, 0, 1], [1.01, 0, 1]]))
    assert seen.tolist() == [[True, True], [False, False]]
    points = camera.points(np.full((600, 600), 2, np.float32))
    assert not points[0, 0].any() and points[300, 300].tolist() == [0, 0, 2]
    assert np.isfinite(points).all()


def test_behind_a_fisheye_there_is_no_depth() -> None:
    camera = Camera(100, 100, 0, 0, "test", fisheye=True)
    across, _ = camera.rays([156, 158], [0, 0])  # 100 · π/2 is 157.08
    assert across[0] > 50 and np.isnan(across[1])
    assert np.isnan(camera.project((0, 0, -1))).all()


def test_a_place_without_a_ray_is_an_error_not_a_point() -> None:
    camera = Camera(3, 3, 3, 3, "test", (-1 / 3, 0, 0, 0))
    depth = Depth(np.full((7, 7), 2, np.float32), camera, Provenance("m", "", "", ""))
    assert depth.point(3, 3) == (0, 0, 2)
    with pytest.raises(DataError, match=r"no ray for \(0, 0\)"):
        depth.point(0, 0)


@given(st.floats(-0.4, 0.4), st.floats(-0.2, 0.2), st.floats(-0.01, 0.01), st.floats(-0.01, 0.01))
def test_whatever_the_lens_rays_lead_back_to_their_pixels(
    k1: float, k2: float, p1: float, p2: float
) -> None:
    camera = a_camera((k1, k2, p1, p2))
    x, y = (plane.ravel() for plane in np.meshgrid(np.linspace(0, 639, 7), np.linspace(0, 479, 5)))
    across, down = camera.rays(x, y)
    seen = np.isfinite(across)
    back = camera.project(np.stack([across, down, np.ones_like(across)], -1)[seen])
    np.testing.assert_allclose(back, np.stack([x, y], -1)[seen], atol=1e-6)
    assert np.isfinite(camera.rays(camera.cx, camera.cy)).all()


def test_scaling_keeps_the_lens() -> None:
    camera = a_camera(PLANE_LENSES["barrel"])
    half = camera.scaled(SIZE, (240, 320))
    assert half.distortion == camera.distortion
    for edge, small in ((-0.5, -0.5), (639.5, 319.5)):
        assert half.rays(small, half.cy)[0] == pytest.approx(camera.rays(edge, camera.cy)[0])


def test_trailing_zeros_change_nothing() -> None:
    assert Camera(1, 1, 0, 0, "t", [0] * 14) == Camera(1, 1, 0, 0, "t")
    assert Camera(1, 1, 0, 0, "t", (0.1,)).distortion == (0.1, 0, 0, 0)
    assert Camera(1, 1, 0, 0, "t", (0.1, 0, 0, 0, 0, 0, 0, 0)).distortion == (0.1, 0, 0, 0)
    assert Camera(1, 1, 0, 0, "t", fisheye=True).distortion == (0, 0, 0, 0)


@pytest.mark.parametrize(
    "distortion, fisheye",
    [([0.1] * 12, False), ([0.1] * 5, True), ([math.nan], False), (["a"], False), ([None], True)],
)
def test_distortion_of_no_known_model_is_refused(distortion: Any, fisheye: bool) -> None:
    with pytest.raises(UsageError, match="distortion: expected"):
        Camera(1, 1, 0, 0, "t", distortion, fisheye)


def test_record_holds_the_lens_only_if_it_distorts(tmp_path: Path) -> None:
    plain = {"fx": 400, "fy": 410, "cx": 322.5, "cy": 236.25, "source": "calibrated"}
    assert a_camera().record() == plain
    camera = a_camera(FISHEYE, fisheye=True)
    assert json.loads(json.dumps(camera.record())) == {
        **plain,
        "distortion": list(FISHEYE),
        "fisheye": True,
    }
    depth = Depth(np.ones((2, 2), np.float32), camera, Provenance("m", "", "", ""))
    for name in ("a.npz", "a.png", "a.tiff"):
        assert read_depth(depth.save(tmp_path / name)).camera == camera
