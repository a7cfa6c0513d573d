"""Depth and normals against distances worked out in float64 by other formulas."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from glpn.synthetic.rendering.cast import NEAR
from glpn.synthetic.rendering.renderer import render_scenes
from glpn.synthetic.scenes.solids import BOX, CUSHION, CYLINDER, ELLIPSOID, Piece, turn_about_z
from tests.synthetic.scenes import block, focal, rays, scene, solid, view

SIZE = (45, 64)  # rows do not fill whole tiles


def drawn(*pieces: Any, looking_from: Any) -> tuple[Any, Any, Any]:
    rendering = render_scenes([scene(*pieces, view=looking_from)], SIZE)
    world = rays(rendering.cameras[0], looking_from, SIZE)
    return rendering, rendering.depth[0].numpy(), world


def test_a_wall_straight_ahead_has_one_depth_everywhere() -> None:
    _, depth, _ = drawn(block((3, 3.2), (-9, 9), (-9, 9)), looking_from=view((0, 0, 1)))
    np.testing.assert_allclose(depth, 3, rtol=1e-6)


def test_floor_depth_is_height_over_the_rays_fall() -> None:
    eye = view((0.0, 0.0, 1.5), yaw=0.7, pitch=-0.5, roll=0.1)
    _, depth, world = drawn(block((-99, 99), (-99, 99), (-1, 0)), looking_from=eye)
    expected = 1.5 / -world[..., 2]
    seen = (expected > 0) & (expected < 90)
    np.testing.assert_allclose(depth[seen], expected[seen], rtol=2e-5)


def test_turned_box_is_hit_where_the_nearest_of_its_six_face_planes_says() -> None:
    eye = view((0.0, 0.0, 1.2), pitch=-0.1)
    piece, half, yaw, centre = Piece(), np.array([0.4, 0.7, 0.5]), 0.6, np.array([2.5, 0.2, 1.0])
    low, high = (-0.4, -0.7, -0.5), half
    piece.add(block(*zip(low, high, strict=True)), tuple(centre), yaw)
    rendering, depth, world = drawn(piece, looking_from=eye)
    axes = turn_about_z(yaw).T
    expected = np.full(SIZE, np.inf)
    for axis in range(3):
        for side in (-1, 1):
            normal = side * axes[axis]
            slope = world @ normal
            t = (half[axis] + (centre - eye.position) @ normal) / slope
            local = (np.asarray(eye.position) + t[..., None] * world - centre) @ axes.T
            inside = (np.abs(local) <= half + 1e-9).all(-1) & (t > 0)
            expected = np.where(inside & (t < expected), t, expected)
    agree = (depth > 0) == np.isfinite(expected)
    assert (~agree).sum() <= 2  # pixels that graze an edge
    both = agree & (depth > 0)
    assert both.sum() > 150
    np.testing.assert_allclose(depth[both], expected[both], rtol=1e-5)
    assert (rendering.instance[0].numpy() == (depth > 0)).all()


def test_ball_is_hit_where_the_quadratic_formula_says() -> None:
    eye, centre, radius = view((0.0, 0.0, 0.0)), np.array([2.0, 0.1, -0.2]), 0.5
    spans = [(c - radius, c + radius) for c in centre]
    rendering, depth, world = drawn(solid(ELLIPSOID, *spans), looking_from=eye)
    a, b = (world**2).sum(-1), world @ -centre
    root = b**2 - a * (centre @ centre - radius**2)
    seen = (root > 1e-3) & (depth > 0)
    assert seen.sum() > 300
    expected = (-b[seen] - np.sqrt(root[seen])) / a[seen]
    np.testing.assert_allclose(depth[seen], expected, rtol=1e-5)
    outward = (expected[:, None] * world[seen] - centre) / radius
    normal = rendering.normal[0].numpy()[seen] @ eye.axes
    np.testing.assert_allclose(normal, outward, atol=1e-4)


def test_standing_pole_is_hit_on_its_round_side() -> None:
    eye = view((0.0, 0.0, 1.0))
    pole = solid(CYLINDER, (2.9, 3.1), (-0.1, 0.1), (-5, 5))
    _, depth, world = drawn(pole, looking_from=eye)
    flat = world[..., :2] / np.linalg.norm(world[..., :2], axis=-1, keepdims=True)
    aside = 3 * np.abs(flat[..., 1])
    along = 3 * flat[..., 0] - np.sqrt(np.maximum(0.01 - aside**2, 0))
    expected = along / np.linalg.norm(world[..., :2], axis=-1)
    seen = aside < 0.095
    assert seen.sum() > 100
    np.testing.assert_allclose(depth[seen], expected[seen], rtol=1e-5)
    assert (depth[aside > 0.105] == 0).all()


def test_nearer_of_two_things_hides_the_other() -> None:
    wall, box = block((5, 5.2), (-9, 9), (-9, 9)), block((2, 2.5), (-0.3, 0.3), (0.8, 1.2))
    rendering, depth, _ = drawn(wall, box, looking_from=view((0.0, 0.0, 1.0)))
    assert depth[22, 32] == pytest.approx(2) and depth[2, 2] == pytest.approx(5)
    assert rendering.instance[0, 22, 32] == 2 and rendering.instance[0, 2, 2] == 1


def test_sky_has_depth_normal_and_instance_zero() -> None:
    floor = block((-9, 9), (-9, 9), (-1, 0))
    rendering, depth, _ = drawn(floor, looking_from=view((0.0, 0.0, 1.0), pitch=1.0))
    assert (depth == 0).all()
    assert (rendering.normal == 0).all() and (rendering.instance == 0).all()


def test_nothing_within_the_near_limit_is_seen() -> None:
    _, depth, _ = drawn(block((NEAR / 2, 9), (-9, 9), (-9, 9)), looking_from=view((0.0, 0.0, 1.0)))
    assert (depth == 0).all()


def test_normals_are_unit_and_face_the_camera() -> None:
    pieces = [block((4, 4.2), (-9, 9), (-9, 9)), block((-9, 9), (-9, 9), (-1, 0))]
    for number, shape in enumerate((BOX, CYLINDER, ELLIPSOID, CUSHION)):
        y = 0.65 * number - 1.2
        pieces.append(solid(shape, (2, 2.6), (y, y + 0.5), (0, 1)))
    eye = view((0.0, 0.0, 1.4), pitch=-0.3)
    rendering, depth, _ = drawn(*pieces, looking_from=eye)
    normal = rendering.normal[0].numpy()[depth > 0]
    np.testing.assert_allclose(np.linalg.norm(normal, axis=-1), 1, atol=1e-5)
    camera = rendering.cameras[0]
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    x, y = (columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy
    ray = np.stack([x, y, np.ones_like(x)], -1)[depth > 0]
    assert ((normal * ray).sum(-1) < 1e-4).all()


def test_a_point_lies_at_one_place_whatever_camera_sees_it() -> None:
    pieces = [block((4, 4.2), (-9, 9), (-9, 9)), block((-9, 9), (-9, 9), (-1, 0))]
    pieces.append(solid(ELLIPSOID, (2, 2.8), (-0.4, 0.4), (0.2, 1.2)))
    first, second = view((0.0, 0.0, 1.4)), view((0.3, -0.5, 1.1), yaw=0.2, roll=0.05)
    _, depth, world = drawn(*pieces, looking_from=first)
    points = np.asarray(first.position) + depth[..., None] * world
    rendering, other, _ = drawn(*pieces, looking_from=second)
    seen = (points - second.position) @ second.axes.T
    camera = rendering.cameras[0]
    column = np.rint(camera.fx * seen[..., 0] / seen[..., 2] + camera.cx).astype(int)
    row = np.rint(camera.fy * seen[..., 1] / seen[..., 2] + camera.cy).astype(int)
    inside = (column >= 0) & (column < SIZE[1]) & (row >= 0) & (row < SIZE[0]) & (depth > 0)
    gap = np.abs(other[row[inside], column[inside]] - seen[..., 2][inside])
    assert inside.mean() > 0.4
    # Rounded to a pixel, a smooth surface differs by little; what one camera alone sees, by much.
    assert (gap < 0.05 * seen[..., 2][inside]).mean() > 0.9


def test_camera_has_the_field_of_view_of_its_view() -> None:
    rendering, _, _ = drawn(block((3, 4), (-9, 9), (-9, 9)), looking_from=view((0, 0, 1), fov=70))
    camera = rendering.cameras[0]
    assert camera.fx == camera.fy == pytest.approx(focal(70, SIZE[1]))
    assert (camera.cx, camera.cy) == (31.5, 22)


def test_distorted_rays_obey_the_radial_model() -> None:
    k1, k2 = -0.05, 0.01
    floor = block((-99, 99), (-99, 99), (-1, 0))
    eye = view((0.0, 0.0, 2.0), pitch=-math.pi / 2, distortion=(k1, k2))
    wall = scene(floor, block((0.5, 0.7), (-9, 9), (0, 0.01)), view=eye)
    rendering = render_scenes([wall], (64, 64))
    camera = rendering.cameras[0]
    # The edge at x = 0.5 on the floor, 2 m below (1.99 to its top): tangent r, then the model.
    edge = rendering.instance[0, 32].numpy()
    row = rendering.instance[0, :, 32].numpy()
    assert set(np.unique(row)) | set(np.unique(edge)) == {1, 2}
    tangent = 0.5 / 1.99
    expected = camera.cy - camera.fy * tangent * (1 + k1 * tangent**2 + k2 * tangent**4)
    assert (row == 2).nonzero()[0].max() == math.floor(expected)
    torch.testing.assert_close(rendering.distortion, torch.tensor([[k1, k2]]))
