"""The picture of `glpn explain`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from glpn.camera.camera import Camera
from glpn.depth.depth import Depth
from glpn.depth.explanation import WIDTH, explanation, principal_colors
from glpn.depth.provenance import Provenance
from glpn.errors import UsageError

RNG = np.random.default_rng(0)
MAPS = tuple(RNG.random((8, 24 // k, 32 // k), dtype=np.float32) for k in (1, 2, 4, 8))
GATES = tuple(RNG.random((2, 6 * k, 8 * k), dtype=np.float32) for k in (1, 2, 4))


def a_depth(**fields: Any) -> Depth:
    metres = RNG.random((96, 128), dtype=np.float32) + 1
    image = RNG.integers(0, 256, (96, 128, 3)).astype(np.uint8)
    camera = Camera(fx=100, fy=100, cx=63.5, cy=47.5, source="test")
    values = {
        "camera": camera,
        "provenance": Provenance("model", "", "torch", "0.1.0"),
        "image": image,
        **fields,
    }
    return Depth(metres=metres, **values)


def test_the_strongest_component_is_the_red_of_the_picture() -> None:
    ramp = np.linspace(-1, 1, 32, dtype=np.float32)
    x = np.zeros((5, 16, 32), np.float32)
    x[2] = ramp  # the only channel that varies
    colors = principal_colors(x)
    assert colors.shape == (16, 32, 3)
    assert (np.diff(colors[0, :, 0].astype(int)) >= 0).all()
    assert colors[0, 0, 0] == 0 and colors[0, -1, 0] == 255


def test_a_map_of_fewer_than_three_channels_has_colours_too() -> None:
    assert principal_colors(MAPS[0][:2])[..., 2].max() == 0


def test_a_constant_map_is_one_colour() -> None:
    assert np.unique(principal_colors(np.ones((4, 8, 8), np.float32))).size == 1


def test_rows_are_result_maps_and_both_gates() -> None:
    sigma = np.full((96, 128), 0.2, np.float32)
    with_gates = explanation(a_depth(sigma=sigma), MAPS, GATES)
    without = explanation(a_depth(sigma=sigma), MAPS, ())
    assert with_gates.dtype == np.uint8
    assert with_gates.shape[1] > 4 * WIDTH
    assert with_gates.shape[0] > without.shape[0]
    assert explanation(a_depth(), MAPS, GATES).shape == with_gates.shape


@pytest.mark.parametrize("height", [24, 48, 480])
def test_the_legend_leaves_the_depth_of_a_tall_photo_its_room(height: int) -> None:
    image = np.zeros((height, 24, 3), np.uint8)
    metres = np.full((height, 24), 2, np.float32)
    metres[: height // 4] = 1
    sheet = explanation(replace(a_depth(), metres=metres, image=image), MAPS, GATES)
    middle = 12 + 28 + round(WIDTH * height / 24) // 2
    row = sheet[middle, 12 + WIDTH + 12 :][:WIDTH]  # the depth, left to right
    bright = (row[:, 0] > 200) & (row[:, 2] < 200)  # the far end of the colours
    assert bright[: WIDTH * 2 // 3].all()


def test_it_needs_the_photo() -> None:
    with pytest.raises(UsageError, match="needs the photo"):
        explanation(replace(a_depth(), image=None), MAPS, GATES)
