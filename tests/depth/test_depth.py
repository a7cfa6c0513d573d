"""Depth and Camera: geometry worked by hand, colours known from the originals, checked input."""

from __future__ import annotations

import copy
import math
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import glpn
from glpn.camera.camera import Camera
from glpn.depth.colormaps import COLORMAPS, UNKNOWN_COLOR, color_range, color_table, colorize
from glpn.depth.depth import Depth
from glpn.depth.provenance import Provenance
from glpn.depth.reading import read_depth
from glpn.errors import DataError, UsageError

PROVENANCE = Provenance("tiny", "ab12", "onnxruntime", "0.1.0", image="room.jpg", max_depth=10.0)


def a_depth(metres: object, camera: Camera | None = None, **values: object) -> Depth:
    array = np.asarray(metres, np.float32)
    size = (array.shape[0], array.shape[1])
    return Depth(array, camera or Camera.from_focal(100, size, source="test"), PROVENANCE, **values)


# Probing


def test_at_whole_positions_is_the_pixels_own_value_column_first() -> None:
    depth = a_depth([[1, 2, 3], [4, 5, 6.1]])
    assert depth.at(0, 0) == 1
    assert depth.at(2, 0) == 3
    assert depth.at(2, 1) == float(np.float32(6.1))


def test_at_between_pixels_is_bilinear() -> None:
    depth = a_depth([[1, 2], [3, 8]])
    assert depth.at(0.5, 0) == 1.5
    assert depth.at(0, 0.25) == 1.5
    # (1·¾ + 2·¼)·½ + (3·¾ + 8·¼)·½
    assert depth.at(0.25, 0.5) == pytest.approx(2.75)


@pytest.mark.parametrize("x, y", [(-1, 0), (-0.001, 0), (3, 0), (2.001, 0), (0, 2), (math.nan, 0)])
def test_position_outside_the_picture_is_refused_with_its_limits(x: Any, y: int) -> None:
    with pytest.raises(UsageError, match="x goes from 0 to 2, y from 0 to 1"):
        a_depth(np.ones((2, 3))).at(x, y)


def test_unknown_depth_is_an_error_not_zero_metres() -> None:
    depth = a_depth([[1, 0], [1, 1]])
    assert depth.at(0, 0.5) == 1  # its neighbours with weight are known
    for position in ((1, 0), (0.5, 0), (0.5, 0.5)):
        with pytest.raises(DataError, match="unknown"):
            depth.at(*position)


def test_distance_across_a_wall_at_two_metres_with_ninety_degrees() -> None:
    # fx = 100 and cx = 100: columns 0 and 200 are seen at ±45°, so X = ±2 m at Z = 2 m.
    depth = a_depth(np.full((201, 201), 2))
    assert depth.point(0, 100) == pytest.approx((-2, 0, 2))
    assert depth.between((0, 100), (200, 100)) == pytest.approx(4)
    assert depth.between((100, 0), (100, 200)) == pytest.approx(4)
    assert depth.between((0, 0), (200, 200)) == pytest.approx(4 * math.sqrt(2))


def test_distance_between_different_depths() -> None:
    metres = np.ones((201, 201))
    metres[100, 200] = 3  # at 45°: (3, 0, 3); the middle pixel is (0, 0, 1)
    assert a_depth(metres).between((100, 100), (200, 100)) == pytest.approx(math.sqrt(9 + 4))


def test_different_focal_lengths_scale_their_own_axis() -> None:
    depth = a_depth(np.full((3, 3), 6), Camera(2, 3, 1, 1, "test"))
    assert depth.point(2, 2) == pytest.approx((3, 2, 6))


def test_points_agree_with_single_points_and_are_zero_where_unknown() -> None:
    rng = np.random.default_rng(0)
    metres = rng.uniform(0.5, 9, (5, 7))
    metres[2, 3] = 0
    depth = a_depth(metres, Camera(90, 110, 2.5, 1.75, "test"))
    points = depth.points()
    assert points.shape == (5, 7, 3) and points.dtype == np.float32
    assert not points[2, 3].any()
    for x, y in ((0, 0), (6, 4), (1, 3)):
        assert points[y, x] == pytest.approx(depth.point(x, y), rel=1e-6)


@given(
    st.floats(0.1, 80), st.floats(0.1, 80), st.floats(20, 150), st.integers(0, 8), st.integers(0, 5)
)
def test_distance_is_symmetric_and_at_least_the_difference_in_depth(
    near: float, far: float, fov: float, x: float, y: float
) -> None:
    metres = np.full((6, 9), near, np.float32)
    metres[5, 8] = far
    depth = a_depth(metres, Camera.from_fov(fov, (6, 9), source="test"))
    there, back = depth.between((x, y), (8, 5)), depth.between((8, 5), (x, y))
    assert there == back
    assert there >= abs(depth.at(x, y) - depth.at(8, 5)) - 1e-9


# The record


def test_summary_gives_size_range_and_median() -> None:
    metres = np.full((480, 640), 2.1)
    metres[0, :3] = [0.71, 4.32, 0]
    assert str(a_depth(metres)) == "640x480, 0.71-4.32 m, median 2.1 m"
    assert str(a_depth(np.zeros((2, 3)))) == "3x2, depth unknown"
    one = a_depth(np.full((1, 1), 2345), Camera(1, 1, 0, 0, "test"))
    assert str(one) == "1x1, 2345-2345 m, median 2345 m"


def test_metres_are_read_only_float32() -> None:
    depth = a_depth([[1, 2]])
    assert depth.metres.dtype == np.float32
    assert depth.size == depth.shape == (1, 2)
    with pytest.raises(ValueError, match="read-only"):
        depth.metres[0, 0] = 5


def test_numpy_reads_a_depth_as_its_metres() -> None:
    depth = a_depth([[1, 2]])
    assert np.asarray(depth) is depth.metres
    assert np.asarray(depth, np.float64).tolist() == [[1.0, 2.0]]
    copy = np.array(depth)
    copy[0, 0] = 7
    assert depth.at(0, 0) == 1


@pytest.mark.parametrize(
    "bad", [[[1, math.nan]], [[math.inf, 1]], [[-0.1, 1]]], ids=["NaN", "infinite", "negative"]
)
def test_impossible_metres_are_refused(bad: list[list[Any]] | list[list[float]]) -> None:
    with pytest.raises(DataError, match="finite metres of at least 0"):
        a_depth(bad)


@pytest.mark.parametrize("shape", [(3,), (1, 2, 3), (0, 3)])
def test_arrays_other_than_maps_are_refused(shape: tuple[int, ...]) -> None:
    camera = Camera.assumed((3, 3))
    with pytest.raises(DataError, match="expected shape"):
        Depth(np.ones(shape, np.float32), camera, PROVENANCE)


@pytest.mark.parametrize(
    "image", [np.zeros((2, 2, 3), np.uint8), np.zeros((1, 2, 3)), np.zeros((1, 2), np.uint8)]
)
def test_photo_of_another_size_or_type_is_refused(image: Any) -> None:
    with pytest.raises(UsageError, match=r"expected uint8 \[1, 2, 3\]"):
        a_depth([[1, 2]], image=image)


def test_provenance_keeps_the_name_of_the_photo_without_its_folder() -> None:
    assert PROVENANCE.for_image("/home/someone/private/kitchen.jpg").image == "kitchen.jpg"


def test_public_names_open_without_torch_or_any_extra() -> None:
    code = (
        "import sys, glpn, glpn.depth.depth, glpn.files;"
        "assert glpn.read_depth is glpn.depth.reading.read_depth;"
        "found = {'torch', 'onnxruntime', 'trimesh', 'OpenEXR', 'matplotlib'} & sys.modules.keys();"
        "sys.exit(', '.join(found) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# Colours


@pytest.mark.parametrize(
    "name, index, color",
    [
        ("inferno", 0, "000004"),
        ("inferno", 255, "fcffa4"),
        ("magma", 255, "fcfdbf"),
        ("plasma", 0, "0d0887"),
        ("plasma", 255, "f0f921"),
        ("viridis", 0, "440154"),
        ("viridis", 128, "21918c"),
        ("viridis", 255, "fde725"),
        ("turbo", 0, "30123b"),
        ("turbo", 255, "7a0403"),
        ("spectral_r", 0, "5e4fa2"),
        ("spectral_r", 51, "66c2a5"),
        ("spectral_r", 255, "9e0142"),
        ("gray", 77, "4d4d4d"),
    ],
)
def test_colour_tables_match_the_originals(name: str, index: int, color: str) -> None:
    got = color_table(name)[index].astype(int)
    assert np.abs(got - list(bytes.fromhex(color))).max() <= 2


def test_every_colour_map_has_256_colours() -> None:
    for name in COLORMAPS:
        assert color_table(name).shape == (256, 3)


def test_explicit_range_puts_its_ends_on_the_first_and_last_colour() -> None:
    picture = colorize(np.array([[0.5, 1, 2, 3, 9, 0]], np.float32), "gray", near=1, far=3)
    assert picture[0, :, 0].tolist() == [0, 0, 128, 255, 255, UNKNOWN_COLOR[0]]


def test_a_given_end_is_kept_where_no_depth_lies_on_its_other_side() -> None:
    metres = np.linspace(3, 5, 100, dtype=np.float32)[None, :]
    assert color_range(metres, far=2) == (1, 2)
    assert color_range(metres, far=0.5) == (0, 0.5)
    assert color_range(metres, near=9) == (9, 10)
    assert (a_depth(metres).colorize("gray", far=2) == 255).all()


def test_default_range_leaves_out_the_extreme_two_per_cent() -> None:
    metres = np.linspace(1, 2, 1001, dtype=np.float32)[None, :]
    metres[0, -1] = 1000  # one wild pixel does not darken the others
    picture = a_depth(metres).colorize("gray")
    assert picture[0, :20].max() == 0 and picture[0, 981:].min() == 255
    assert abs(int(picture[0, 500, 0]) - 128) <= 1


def test_unknown_pixels_are_grey_and_one_depth_everywhere_is_one_color() -> None:
    picture = a_depth([[2, 2, 0]]).colorize("viridis")
    assert picture[0].tolist() == [[0x44, 0x01, 0x54], [0x44, 0x01, 0x54], [*UNKNOWN_COLOR]]
    assert (a_depth(np.zeros((2, 2))).colorize() == UNKNOWN_COLOR).all()


@pytest.mark.parametrize("near, far", [(2, 1), (1, 1), (-1, 2), (math.nan, 2), (0, math.inf)])
def test_impossible_range_is_refused(near: Any, far: Any) -> None:
    with pytest.raises(UsageError, match="near < far"):
        a_depth([[1, 2]]).colorize(near=near, far=far)


def test_unknown_colour_map_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"inferno.*turbo.*'jet'"):
        a_depth([[1, 2]]).colorize("jet")


# Reading


def test_depth_read_back_measures_the_same_distance(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    depth = a_depth(rng.uniform(0.5, 9, (6, 8)), Camera.from_fov(70, (6, 8), source="--fov 70"))
    again = read_depth(depth.save(tmp_path / "a.npz"))
    assert again.between((0, 0), (7, 5)) == depth.between((0, 0), (7, 5))
    assert again.camera == depth.camera
    assert again.provenance == PROVENANCE


def test_read_depth_is_a_public_name(tmp_path: Path) -> None:
    path = a_depth([[1, 2]]).save(tmp_path / "a.png")
    assert str(glpn.read_depth(path)) == "2x1, 1-2 m, median 1.5 m"


def test_encoded_bytes_are_those_of_the_saved_file(tmp_path: Path) -> None:
    depth = a_depth([[1.5, 2.0], [0.0, 4.25]])
    for format in ("png16", "tiff", "vis"):
        path = depth.save(tmp_path / f"depth.{format}", format)
        assert depth.encode(format) == path.read_bytes()
    with pytest.raises(UsageError, match="expected one of"):
        depth.encode("jpeg")
    with pytest.raises(UsageError, match="has no option 'step'"):
        depth.encode("npz", step=2)


@pytest.mark.parametrize("place", [(-1, 0), (2, 0), (0, 1), (math.nan, 0)])
def test_sigma_outside_the_image_is_refused(place: tuple[float, float]) -> None:
    depth = a_depth([[1, 2]], sigma=np.ones((1, 2)))
    assert depth.sigma_at(1, 0) == 1
    with pytest.raises(UsageError, match="outside"):
        depth.sigma_at(*place)


def test_masked_metres_are_refused() -> None:
    masked = np.ma.masked_array([[1.0, 2.0]], mask=[[True, False]])
    camera = Camera.from_focal(100, (1, 2), source="test")
    with pytest.raises(DataError, match="depth: a masked array"):
        Depth(masked, camera, PROVENANCE)


@pytest.mark.slow
def test_numbers_of_numpy_are_numbers() -> None:
    depth = a_depth([[1, 2], [3, 4]])
    assert depth.encode("png16", scale=np.float32(500)) == depth.encode("png16", scale=500.0)
    assert depth.encode("ply", step=np.int64(1)) == depth.encode("ply", step=1)


def test_a_copy_and_a_pickle_are_read_only_too() -> None:
    depth = a_depth([[1, 2]], sigma=np.ones((1, 2)), image=np.zeros((1, 2, 3), np.uint8))
    for again in (copy.deepcopy(depth), pickle.loads(pickle.dumps(depth))):
        assert np.array_equal(again.metres, depth.metres)
        for array in (again.metres, again.sigma, again.image):
            assert array is not None and not array.flags.writeable
