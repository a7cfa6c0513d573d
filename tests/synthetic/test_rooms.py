"""What rooms from seeds promise: repeatable, independent of the batch, plausible."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from glpn.errors import UsageError
from glpn.synthetic import render, sample_scene, sample_scenes
from glpn.synthetic.scenes.scene import MAX_LIGHTS, MAX_SOLIDS

SIZE = (96, 128)
MAPS = ("image", "depth", "normal", "instance", "distortion")


@pytest.fixture(scope="module")
def batch() -> Any:
    return render(range(5), SIZE)


def test_shapes_and_types(batch: Any) -> None:
    assert batch.image.shape == (5, *SIZE, 3) and batch.image.dtype == torch.uint8
    assert batch.depth.shape == (5, *SIZE) and batch.depth.dtype == torch.float32
    assert batch.normal.shape == (5, *SIZE, 3) and batch.normal.dtype == torch.float32
    assert batch.instance.shape == (5, *SIZE) and batch.instance.dtype == torch.int32
    assert len(batch) == len(batch.cameras) == 5


@pytest.mark.parametrize("seeds", [[3], [4, 3], [3, 3, 1, 0]])
def test_a_seed_gives_the_same_bytes_in_any_batch(batch: Any, seeds: list[int]) -> None:
    again = render(seeds, SIZE)
    place = seeds.index(3)
    for name in MAPS:
        assert torch.equal(getattr(again, name)[place], getattr(batch, name)[3]), name
    assert again.cameras[place] == batch.cameras[3]


def test_views_of_one_place_differ_by_their_camera_alone() -> None:
    before, *views = sample_scenes([5, 6, 7, 8], views=3)
    assert all(scene.solids is views[0].solids for scene in views)
    assert all(scene.lights is views[0].lights for scene in views)
    assert len({scene.view.position for scene in views}) == 3
    assert before.solids is not views[0].solids


def test_a_view_gives_the_same_bytes_alone_and_beside_the_others() -> None:
    together, alone = render(range(3), SIZE, views=3), render([1], SIZE, views=3)
    for name in MAPS:
        assert torch.equal(getattr(together, name)[1], getattr(alone, name)[0]), name


def test_different_seeds_give_different_rooms(batch: Any) -> None:
    assert not torch.equal(batch.depth[0], batch.depth[1])


def test_all_of_a_room_is_closed_and_within_reach(batch: Any) -> None:
    depth = batch.depth.numpy()
    assert (depth > 0).mean() > 0.999
    medians = np.median(depth.reshape(5, -1), 1)
    assert (medians > 0.8).all() and (medians < 9).all()
    assert depth.max() < 30


def test_normals_are_unit_and_face_the_camera(batch: Any) -> None:
    there = batch.depth > 0
    length = batch.normal.norm(dim=-1)[there]
    assert (length - 1).abs().max() < 1e-4
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    for normal, camera, seen, k in zip(
        batch.normal.numpy(), batch.cameras, there.numpy(), batch.distortion, strict=True
    ):
        if k.any():
            continue
        x, y = (columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy
        facing = normal[..., 0] * x + normal[..., 1] * y + normal[..., 2]
        assert (facing[seen] < 1e-3).mean() > 0.999


@pytest.mark.slow
def test_scenes_keep_their_limits() -> None:
    for seed in range(20, 40):
        scene = sample_scene(seed)
        assert 20 < len(scene.solids) <= MAX_SOLIDS
        assert 1 <= len(scene.lights) <= MAX_LIGHTS
        assert scene.material.max() < len(scene.materials)
        assert np.isfinite(scene.solids).all() and (scene.solids[:, 12:15] > 0).all()
        assert 45 <= scene.view.fov <= 85
        assert 0.2 < scene.view.position[2] < 4.5


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["indoor", "street"])
def test_no_solid_of_many_scenes_is_flat_or_turned_inside_out(kind: str) -> None:
    for seed in range(2000, 2300):
        scene = sample_scene(seed, kind)
        assert np.isfinite(scene.solids).all(), seed
        assert (scene.solids[:, 12:15] > 0).all(), seed
        axes = scene.solids[:, 3:12].reshape(-1, 3, 3)
        np.testing.assert_allclose(axes @ axes.transpose(0, 2, 1), np.eye(3) + 0 * axes, atol=1e-5)


def test_pictures_are_neither_black_nor_white(batch: Any) -> None:
    means = batch.image.float().mean((1, 2, 3))
    assert (means > 8).all() and (means < 247).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seeds": []}, "expected scenes"),
        ({"seeds": [-1]}, "seed"),
        ({"seeds": [0], "kind": "underwater"}, "indoor"),
        ({"seeds": [0], "size": (0, 9)}, "size"),
        ({"seeds": [0], "views": 0}, "views"),
    ],
)
def test_wrong_calls_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        render(**arguments)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_and_cpu_give_the_same_picture(batch: Any) -> None:
    other = render(range(5), SIZE, device="cuda")
    close = (other.depth.cpu() - batch.depth).abs() < 1e-3 * batch.depth.clamp_min(0.1)
    assert close.float().mean() > 0.999
    difference = (other.image.cpu().int() - batch.image.int()).abs()
    assert (difference <= 3).float().mean() > 0.98
