"""Streets: the sky has no depth, the road lies where the camera's height says, far is far."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from glpn.synthetic import render, sample_scene
from tests.synthetic.scenes import rays

SIZE = (96, 128)


@pytest.fixture(scope="module")
def batch() -> Any:
    return render(range(6), SIZE, kind="street")


def test_same_seed_same_bytes(batch: Any) -> None:
    again = render([2], SIZE, kind="street")
    assert torch.equal(again.image[0], batch.image[2])
    assert torch.equal(again.depth[0], batch.depth[2])


def test_streets_reach_far_and_show_sky(batch: Any) -> None:
    depth = batch.depth.numpy()
    assert 0.02 < (depth == 0).mean() < 0.6
    assert np.percentile(depth[depth > 0], 98) > 40
    assert np.median(depth[depth > 0]) < 30


def test_the_road_is_where_the_cameras_height_says(batch: Any) -> None:
    for number in range(6):
        view = sample_scene(number, "street").view
        world = rays(batch.cameras[number], view, SIZE)
        road = batch.instance[number].numpy() == 1
        expected = view.position[2] / -world[..., 2][road]
        np.testing.assert_allclose(batch.depth[number].numpy()[road], expected, rtol=1e-3)
        assert road.mean() > 0.02


def test_cameras_are_mounted_as_on_vehicles() -> None:
    for number in range(20):
        view = sample_scene(number, "street").view
        assert 1.1 < view.position[2] < 2
        assert abs(math.asin(view.axes[2, 2])) < 0.2
