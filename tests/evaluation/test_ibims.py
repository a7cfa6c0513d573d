"""iBims errors: planes with a known tilt, edges with a known offset, sides counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from glpn.camera.camera import Camera
from glpn.errors import DataError
from glpn.evaluation.ibims import (
    boundary_error,
    canny,
    directed_error,
    nearest_edge,
    planarity,
)

SIZE = (120, 160)
CAMERA = Camera.from_fov(60, SIZE, source="test")


def plane_depth(normal: tuple[float, float, float], offset: float) -> np.ndarray:
    """Depth along the axis of the plane normal · point = offset; x right, y forward, z up."""
    y, x = np.indices(SIZE)
    across, up = (x - CAMERA.cx) / CAMERA.fx, -(y - CAMERA.cy) / CAMERA.fy
    return offset / (normal[0] * across + normal[1] + normal[2] * up)


def tilted(degrees: float) -> tuple[float, float, float]:
    angle = math.radians(degrees)
    return (math.sin(angle), math.cos(angle), 0.0)


@pytest.mark.parametrize("degrees", [0, 7, 25])
def test_a_flat_prediction_has_the_tilt_it_was_given(degrees: int) -> None:
    wall = np.zeros(SIZE, bool)
    wall[10:100, 20:140] = True
    truth, prediction = plane_depth((0, 1, 0), 3.0), plane_depth(tilted(degrees), 5.0)
    found = planarity(prediction, truth, wall, normal=(0, 1, 0), camera=CAMERA)
    assert found.orientation == pytest.approx(degrees, abs=1e-4)
    assert found.flatness == pytest.approx(0, abs=1e-6)
    turned = planarity(prediction, truth, wall, normal=(0, -1, 0), camera=CAMERA)
    assert turned.orientation == pytest.approx(degrees, abs=1e-4)  # a normal has two signs


def test_flatness_is_the_spread_around_the_plane_in_centimetres() -> None:
    wall = np.ones(SIZE, bool)
    truth = np.full(SIZE, 3.0)
    rough = truth + np.random.default_rng(0).normal(0, 0.02, SIZE)
    found = planarity(rough, truth, wall, normal=(0, 1, 0), camera=CAMERA)
    assert found.flatness == pytest.approx(2.0, rel=0.1)
    doubled = planarity(2 * rough, truth, wall, normal=(0, 1, 0), camera=CAMERA)
    assert doubled.flatness == pytest.approx(found.flatness)  # scaled to the truth first


def test_small_planes_and_planes_without_depth_are_not_scored() -> None:
    truth, wall = np.full(SIZE, 3.0), np.zeros(SIZE, bool)
    wall[:20, :20] = True
    assert planarity(truth, truth, wall, normal=(0, 1, 0), camera=CAMERA) is None
    wall[:] = True
    assert planarity(truth, truth * 0, wall, normal=(0, 1, 0), camera=CAMERA) is None


def step(column: int) -> np.ndarray:
    depth = np.full(SIZE, 2.0)
    depth[:, column:] = 5.0
    return depth


def true_edge(column: int) -> np.ndarray:
    edges = np.zeros(SIZE, bool)
    edges[:, column] = True
    return edges


def test_an_edge_in_its_place_has_no_error() -> None:
    found = boundary_error(step(80), true_edge(80))
    assert found.accuracy <= 1 and found.completeness <= 1


@pytest.mark.parametrize("shift", [3, 6])
def test_a_moved_edge_is_off_by_its_shift(shift: int) -> None:
    found = boundary_error(step(80 + shift), true_edge(80))
    assert found.accuracy == pytest.approx(shift, abs=1)
    assert found.completeness == pytest.approx(shift, abs=1)


def test_no_edge_near_the_true_one_costs_the_most_and_no_true_edge_nothing() -> None:
    assert boundary_error(np.full(SIZE, 3.0), true_edge(80)) == (10, 10)
    assert boundary_error(step(120), true_edge(80)) == (10, 10)
    assert all(math.isnan(v) for v in boundary_error(step(80), np.zeros(SIZE, bool)))


def test_distances_to_edges_are_those_to_the_nearest_one_up_to_the_cut() -> None:
    edges = np.random.default_rng(0).random((60, 90)) < 0.004
    y, x = np.indices(edges.shape)
    every = [np.hypot(y - row, x - column) for row, column in np.argwhere(edges)]
    assert np.allclose(nearest_edge(edges), np.minimum(np.min(every, axis=0), 10))


def test_canny_equals_that_of_scikit_image() -> None:
    feature = pytest.importorskip("skimage.feature")
    rng = np.random.default_rng(1)
    depth = np.full((120, 160), 0.9)
    for _ in range(12):
        y, x = rng.integers(0, 90), rng.integers(0, 120)
        depth[y : y + rng.integers(15, 50), x : x + rng.integers(15, 60)] = rng.uniform(0, 0.8)
    depth += rng.normal(0, 0.003, depth.shape)  # no two neighbours equally steep: rounding decides
    depth = (depth - depth.min()) / np.ptp(depth)
    theirs = feature.canny(depth, sigma=math.sqrt(2), low_threshold=0.15, high_threshold=0.3)
    assert theirs.sum() > 500 and np.array_equal(canny(depth), theirs)


def test_sides_of_the_plane_are_counted() -> None:
    target = np.array([[1.0, 2.0, 4.0, 5.0, 9.0]])
    prediction = np.array([[1.0, 3.5, 2.5, 5.0, 1.0]])
    valid = np.array([[True, True, True, True, False]])
    found = directed_error(prediction, target, valid)
    assert found == (0.5, 0.25, 0.25)
    assert directed_error(prediction, target, valid, plane=10.0) == (1, 0, 0)


def test_maps_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match="same shape"):
        boundary_error(step(80), np.ones((3, 3), bool))
    with pytest.raises(DataError, match="finite"):
        boundary_error(step(80) * np.nan, true_edge(80))
    with pytest.raises(DataError, match="no valid pixel"):
        directed_error(step(80), step(80), np.zeros(SIZE, bool))
