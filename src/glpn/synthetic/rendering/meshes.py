"""Meshes in pictures: where they are nearer than the solids, and how their surface looks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glpn.synthetic.furniture_models.tracer import Found, Tracer
from glpn.synthetic.rendering.cast import Eyes
from glpn.synthetic.rendering.surface import Pixels, Surface
from glpn.synthetic.scenes.scene import MAX_SOLIDS

_SPECULAR, _GLOSS = 0.03, 0.35
# Edges inside one mesh: a new edge code wherever the normal turns or the depth jumps.
_NORMALS, _DEPTHS = 27, 64
_DEPTH_STEPS = 12.0  # per octave


class Overlay(NamedTuple):
    """Pixels that show a mesh: their places [n] among all, depth, surface and instance.

    `edge` is equal for neighbours that show the same part of a mesh; it continues the numbers of
    the solids.
    """

    where: Tensor
    depth: Tensor
    surface: Surface
    instance: Tensor
    edge: Tensor

    def over(self, pixels: Pixels, seen: Surface) -> tuple[Pixels, Surface]:
        """Pixels and surfaces of solids with those of the meshes instead where they are nearer."""
        depth = pixels.depth.index_copy(0, self.where, self.depth)
        fields = (
            below.index_copy(below.ndim - 1, self.where, above.to(below.dtype))
            for below, above in zip(seen, self.surface, strict=True)
        )
        return pixels._replace(depth=depth), Surface(*fields)


def overlay(
    tracers: Sequence[Tracer | None], eyes: Eyes, at: tuple[Tensor, Tensor], *,
    depth: Tensor, focal: Tensor,
) -> Overlay | None:  # fmt: skip
    """The meshes that are nearer than `depth` [B, N] along rays x and y [B, N].

    focal [B]: pixels per metre at one metre. None if no mesh is in any picture.
    """
    device, count = depth.device, depth.shape[1]
    found = [
        _picture(tracer, eyes, at, depth=depth, focal=focal, number=number, count=count)
        for number, tracer in enumerate(tracers)
        if tracer is not None
    ]
    if not found:
        return None
    where, metres, instance, edge, *maps = (
        torch.from_numpy(np.concatenate(column, -1)).to(device)
        for column in zip(*found, strict=True)
    )
    normal, shading, colour = maps
    flat = torch.zeros_like(metres)
    surface = Surface(
        normal, shading, colour, flat + _SPECULAR, flat + _GLOSS, flat, torch.zeros_like(instance)
    )
    return Overlay(where, metres, surface, instance, edge)


def _picture(
    tracer: Tracer, eyes: Eyes, at: tuple[Tensor, Tensor], *,
    depth: Tensor, focal: Tensor, number: int, count: int,
) -> tuple[NDArray[np.generic], ...]:  # fmt: skip
    """The columns of one picture's overlay; pixels count from number · count."""
    origin, direction = _rays(eyes, at, number)
    found = tracer.cast(origin, direction)
    nearer = np.flatnonzero(found.depth < depth[number].cpu().numpy())
    found = Found(found.depth[nearer], found.triangle[nearer], found.place[nearer])
    ray = direction[nearer]
    length = np.linalg.norm(ray, axis=1)
    footprint = found.depth * length / float(focal[number])
    skin = tracer.skin(found, ray, footprint)
    turn = ((skin.normal * 1.4).round() + 1) @ np.array([9, 3, 1])
    step = np.floor(np.log2(np.maximum(found.depth, 1e-3)) * _DEPTH_STEPS).astype(np.int64)
    edge = MAX_SOLIDS + (skin.part * _NORMALS + turn) * _DEPTHS + step % _DEPTHS
    instance = tracer.instance[skin.part]
    return (
        nearer + number * count, found.depth, instance, edge.astype(np.int32),
        np.ascontiguousarray(skin.normal.T), np.ascontiguousarray(skin.shading.T),
        np.ascontiguousarray(skin.colour.T),
    )  # fmt: skip


def nearest_mesh(tracer: Tracer, eyes: Eyes, number: int) -> Tensor:
    """The depth of the meshes along the rays of one of several eyes [H, W]; inf without any."""
    origin, direction = _rays(eyes, (eyes.x.flatten(1), eyes.y.flatten(1)), number)
    depth = tracer.cast(origin, direction).depth
    return torch.from_numpy(depth).to(eyes.x.device).reshape(eyes.x.shape[1:])


def _rays(
    eyes: Eyes, at: tuple[Tensor, Tensor], number: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The origin [3] and the world directions [N, 3] of one picture's rays."""
    x, y = (field[number] for field in at)
    direction = torch.stack([x, y, torch.ones_like(x)], 1) @ eyes.axes[number]
    return eyes.position[number].cpu().numpy(), direction.cpu().contiguous().numpy()
