"""A rendered room in PLY and GLB: its walls stand where the room's plan says, bent lens or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from glpn.camera.camera import Camera
from glpn.depth.depth import Depth
from glpn.depth.provenance import Provenance
from glpn.synthetic.rendering.renderer import render_scenes
from tests.synthetic.scenes import block, scene, view

SIZE = (96, 128)
EXACT = 1e-4  # of the distance from the camera
# A room 4 m deep, 5 m wide and 2.6 m high with a box in it; its surfaces are x, y or z = const.
ROOM = (
    block((4, 4.2), (-3, 3), (-1, 3)),
    block((-1, 5), (-2.7, -2.5), (-1, 3)),
    block((-1, 5), (2.5, 2.7), (-1, 3)),
    block((-1, 5), (-3, 3), (-0.2, 0)),
    block((-1, 5), (-3, 3), (2.6, 2.8)),
    block((2, 2.5), (-0.8, -0.2), (0, 0.75)),
)
SURFACES = ((0, 4), (1, -2.5), (1, 2.5), (2, 0), (2, 2.6), (0, 2), (1, -0.2), (2, 0.75))
EYE = (0.0, 0.3, 1.5)
LENSES = {"straight": (0.0, 0.0), "barrel": (-0.15, 0.02), "pincushion": (0.12, 0.03)}


@pytest.fixture(scope="module", params=LENSES)
def room(request: pytest.FixtureRequest) -> tuple[Depth, np.ndarray]:
    """The depth of the room through a lens, and its camera's axes in the room."""
    eye = view(EYE, yaw=-0.15, pitch=-0.2, roll=0.03, fov=75, distortion=LENSES[request.param])
    rendering = render_scenes([scene(*ROOM, view=eye)], SIZE)
    straight = rendering.cameras[0]
    values = (straight.fx, straight.fy, straight.cx, straight.cy, "rendered")
    camera = Camera(*values, distortion=tuple(rendering.distortion[0].tolist()))
    provenance = Provenance("the room itself", "", "", "")
    image = rendering.image[0].numpy()
    return Depth(rendering.depth[0].numpy(), camera, provenance, image), eye.axes


def in_the_room(points: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """Points in the camera's axes [N, 3] → in the room's."""
    return np.asarray(EYE) + points @ axes


def errors(points: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """How far each point is from the nearest surface of the room, per metre from the camera."""
    at = in_the_room(points, axes)
    off = np.min([np.abs(at[:, axis] - where) for axis, where in SURFACES], axis=0)
    return off / np.linalg.norm(points, axis=1)


def test_every_point_of_the_ply_lies_on_a_surface_of_the_room(
    room: tuple[Depth, np.ndarray], tmp_path: Path
) -> None:
    depth, axes = room
    cloud: Any = trimesh.load(depth.save(tmp_path / "room.ply"))
    assert len(cloud.vertices) == SIZE[0] * SIZE[1]
    assert errors(cloud.vertices, axes).max() < EXACT


def test_every_corner_of_the_glb_lies_on_a_surface_of_the_room(
    room: tuple[Depth, np.ndarray], tmp_path: Path
) -> None:
    depth, axes = room
    [mesh] = trimesh.load_scene(depth.save(tmp_path / "room.glb")).geometry.values()
    assert len(mesh.vertices) > 0.95 * SIZE[0] * SIZE[1]
    assert errors(mesh.vertices * [1, -1, -1], axes).max() < EXACT


def test_no_triangle_spans_from_the_box_to_the_wall_behind(
    room: tuple[Depth, np.ndarray], tmp_path: Path
) -> None:
    depth, axes = room
    [mesh] = trimesh.load_scene(depth.save(tmp_path / "room.glb")).geometry.values()
    corners = in_the_room(mesh.vertices * [1, -1, -1], axes)[mesh.faces]  # [F, 3, 3]
    on_the_box = np.abs(corners[:, :, 0] - 2) < 1e-3
    behind = corners[:, :, 0] > 2.6
    assert on_the_box.any(axis=1).sum() > 50
    assert not (on_the_box.any(axis=1) & behind.any(axis=1)).any()


def test_distances_between_pixels_are_the_rooms_own(room: tuple[Depth, np.ndarray]) -> None:
    depth, axes = room
    rng = np.random.default_rng(0)
    places = rng.integers(0, (SIZE[1], SIZE[0]), (200, 2)).astype(float)
    points = np.array([depth.point(x, y) for x, y in places])
    at = in_the_room(points, axes)
    # Each point moved onto its surface: the true one, as far as one coordinate tells.
    for number, point in enumerate(at):
        axis, where = min(SURFACES, key=lambda s: abs(point[s[0]] - s[1]))
        at[number, axis] = where
    for i, j in zip(range(0, 200, 2), range(1, 200, 2), strict=True):
        true = np.linalg.norm(at[i] - at[j])
        if true > 0.3:
            between = depth.between(tuple(places[i]), tuple(places[j]))
            assert between == pytest.approx(true, rel=EXACT)


def test_a_bent_lens_taken_for_a_straight_one_bends_the_walls(
    room: tuple[Depth, np.ndarray],
) -> None:
    depth, axes = room
    camera = Camera(depth.camera.fx, depth.camera.fy, depth.camera.cx, depth.camera.cy, "wrong")
    points = Depth(depth.metres, camera, depth.provenance).points().reshape(-1, 3)
    bent = errors(points, axes).max() > 50 * EXACT
    assert bent == bool(depth.camera.distortion)
