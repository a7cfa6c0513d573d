"""Edges: what a pixel's corners see is mixed in there, and nowhere else."""

from __future__ import annotations

import numpy as np
import torch

from glpn.synthetic.rendering.cast import Eyes
from glpn.synthetic.rendering.edges import blend, corners_at_edges
from glpn.synthetic.rendering.renderer import render_scenes
from tests.synthetic.scenes import block, scene, view


def eyes(height: int, width: int) -> Eyes:
    x, y = torch.meshgrid(torch.arange(width), torch.arange(height), indexing="xy")
    return Eyes(torch.zeros(1, 3), torch.eye(3)[None], x[None].float(), y[None].float())


def test_corners_lie_between_pixels_that_see_different_things() -> None:
    solid = torch.tensor([[[0, 0, 1], [0, 0, 1], [0, 0, 1]]])
    corners = corners_at_edges(solid, torch.zeros_like(solid), eyes(3, 3))
    assert corners.x[corners.real].tolist() == [1.5, 1.5]
    assert corners.y[corners.real].tolist() == [0.5, 1.5]
    assert [index[0, 0].item() for index in corners.around] == [1, 2, 4, 5]


def test_a_picture_of_one_face_has_no_edges() -> None:
    flat = torch.zeros(1, 4, 4, dtype=torch.int32)
    assert corners_at_edges(flat, flat, eyes(4, 4)) is None


def test_each_pixel_moves_an_eighth_towards_each_of_its_corners() -> None:
    solid = torch.tensor([[[0, 1, 1], [0, 1, 1]]])
    corners = corners_at_edges(solid, torch.zeros_like(solid), eyes(2, 3))
    blended = blend(torch.zeros(1, 3, 6), corners, torch.ones(1, 3, corners.x.shape[1]))
    expected = torch.tensor([0.125, 0.125, 0, 0.125, 0.125, 0])
    assert torch.equal(blended[0, 0], expected)


def test_colours_are_mixed_along_an_edge_and_depth_is_not() -> None:
    box, wall = block((2, 2.1), (-3, 0.2), (-3, 3)), block((4, 4.1), (-9, 9), (-9, 9))
    rendering = render_scenes([scene(wall, box, view=view((0.0, 0.0, 0.5), roll=0.2))], (64, 64))
    depth = rendering.depth[0].numpy()
    assert set(np.unique(depth.round(3))) == {2, 4}
    row = rendering.image[0, 32].float().mean(-1).numpy()
    step = int(np.flatnonzero(np.diff(depth[32]))[0])
    low, high = sorted((row[step - 3], row[step + 4]))
    assert high - low > 20
    assert ((row > low + 3) & (row < high - 3))[step - 1 : step + 3].any()
