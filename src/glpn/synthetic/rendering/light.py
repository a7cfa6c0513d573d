"""Light: lamps with soft shadows, ambient light and its occlusion in corners.

A lamp's shadow is a blurred depth map taken from the lamp (variance shadow map, Donnelly and
Lauritzen 2006): soft everywhere, one lookup per pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from glpn.synthetic.furniture_models.tracer import Tracer
from glpn.synthetic.rendering.blur import box
from glpn.synthetic.rendering.cast import Eyes, Solids, cast
from glpn.synthetic.rendering.meshes import nearest_mesh
from glpn.synthetic.rendering.surface import Surface, dot

SHADOW_SIDE = 96  # pixels of a shadow map's side
_FARTHEST = 400.0  # metres: the depth of an empty shadow map
_BLEED = 0.25  # variance shadows below this become 0, which hides light leaks
_REACH = 0.35  # metres over which a surface occludes the ambient light of another
_SPIRAL = 8  # neighbours sampled for ambient occlusion


class Lights(NamedTuple):
    """Lights of a batch of scenes [B, L, …], as `scene.Light`; `power` is the colour."""

    position: Tensor
    axes: Tensor
    power: Tensor
    reach: Tensor
    beyond: Tensor
    falloff: Tensor
    beam: Tensor

    def lit(self) -> Lights:
        """The same without the trailing lights that are dark in all scenes."""
        count = max(1, int((self.power.amax((0, 2)) > 0).sum()))
        return Lights(*(field[:, :count] for field in self))


class Ambient(NamedTuple):
    """Radiance from above and below [B, 3]."""

    above: Tensor
    below: Tensor


def shadow_maps(
    solids: Solids, casting: Tensor, lights: Lights, tracers: Sequence[Tracer | None] = ()
) -> Tensor:
    """Blurred depth and squared depth from each light [B, L, 2, SIDE, SIDE].

    tracers: the meshes of each scene.
    """
    batch, count = lights.reach.shape
    step = (torch.arange(SHADOW_SIDE, device=casting.device) + 0.5) * (2 / SHADOW_SIDE) - 1
    grid = step * lights.reach.reshape(-1, 1)  # [BL, SIDE]
    eyes = Eyes(
        position=lights.position.flatten(0, 1),
        axes=lights.axes.flatten(0, 1),
        x=grid[:, None, :].expand(-1, SHADOW_SIDE, -1).contiguous(),
        y=grid[:, :, None].expand(-1, -1, SHADOW_SIDE).contiguous(),
    )
    repeated = Solids(*(field.repeat_interleave(count, 0) for field in solids))
    depth = cast(repeated, eyes, wanted=casting.repeat_interleave(count, 0)).depth
    for scene, tracer in enumerate(tracers):
        if tracer is not None:
            for number in range(scene * count, (scene + 1) * count):
                depth[number] = torch.minimum(depth[number], nearest_mesh(tracer, eyes, number))
    depth = depth.clamp_max(_FARTHEST)
    moments = torch.stack([depth, depth * depth], 1)
    return box(box(moments, 2), 1).reshape(batch, count, 2, SHADOW_SIDE, SHADOW_SIDE)


def illuminate(
    surface: Surface, world: Tensor, view: Tensor, *, lights: Lights, maps: Tensor
) -> tuple[Tensor, Tensor]:
    """Diffuse light on, and highlights of, each pixel [B, 3, N].

    world: positions; view: unit directions to the camera; the surface's maps are [B, C, N].
    """
    diffuse, highlight = torch.zeros_like(world), torch.zeros_like(world)
    sharpness = torch.exp2(2 + 7 * surface.gloss)
    glint = surface.specular * (sharpness + 8) / 8
    facing = dot(surface.shading, view)
    for number in range(lights.reach.shape[1]):
        light = Lights(*(field[:, number, ..., None] for field in lights))
        towards = light.position - world
        square = dot(towards, towards).clamp_min_(0.01)
        inverse = square.rsqrt()
        seen = light.axes[..., 0] @ -towards
        beam = torch.lerp(
            torch.ones_like(inverse), (seen[:, 2] * inverse).clamp_min_(0), light.beam
        )
        strength = beam / (1 + light.falloff * (square - 1))
        strength = strength * _lit(light, seen, maps[:, number])
        cosine = (dot(surface.shading, towards) * inverse).clamp_min_(0)
        diffuse.addcmul_(light.power, (strength * cosine)[:, None])
        # The half vector between light and eye; its length follows from the angle between the two.
        middle = (2 + 2 * inverse * dot(towards, view)).clamp_min_(1e-6).rsqrt_()
        shine = ((cosine + facing) * middle).clamp_(1e-4, 1).pow(sharpness)
        shine = shine * glint * strength * (cosine > 0)
        highlight.addcmul_(light.power, shine[:, None])
    return diffuse, highlight


def _lit(light: Lights, seen: Tensor, moments: Tensor) -> Tensor:
    """Fraction of a light that reaches each pixel, from its position in the light's axes."""
    depth = seen[:, 2]
    plane = seen[:, :2] / (depth.clamp_min(0.05) * light.reach)[:, None]  # [B, 2, N] in -1..1
    grid = plane.transpose(1, 2)[:, None]  # [B, 1, N, 2]
    found = F.grid_sample(moments, grid, padding_mode="border", align_corners=False)
    mean, square = found[:, :, 0].unbind(1)
    least = (mean * (1.2 / SHADOW_SIDE * light.reach) + 0.01).square_()
    variance = torch.maximum(torch.addcmul(square, mean, mean, value=-1), least)
    behind = depth - mean - 0.02
    share = variance / torch.addcmul(variance, behind, behind)
    share = ((share - _BLEED) / (1 - _BLEED)).clamp_(0, 1)
    share = share.masked_fill_(behind <= 0, 1.0)
    # Outside its map, the shadow of a light is unknown. Fade to `beyond` over the edge of the map.
    inside = ((1 - plane.abs().amax(1)) * 10).clamp_(0, 1) * (depth > 0.05)
    return torch.lerp(light.beyond.expand_as(share), share, inside)


def ambient(surface: Surface, light: Ambient) -> Tensor:
    """Ambient light on each pixel [B, 3, N], without occlusion."""
    up = (0.5 + 0.5 * surface.shading[:, 2:3]).clamp(0, 1)
    above, below = light.above[..., None], light.below[..., None]
    return torch.addcmul(below, above - below, up)


def occlusion(world: Tensor, normal: Tensor, depth: Tensor, pixels_per_metre: Tensor) -> Tensor:
    """Fraction of the ambient light that is not occluded by near surfaces [B, H, W].

    Samples a spiral of neighbours on the half-size image; those above the tangent plane of a pixel
    darken it. `pixels_per_metre` [B] is at a distance of one metre.
    """
    point, facing, near = (v[..., ::2, ::2] for v in (world, normal, depth))
    height, width = near.shape[1:]
    radius = (0.5 * _REACH * pixels_per_metre[:, None, None] / near).clamp(1.5, 30)
    row = torch.arange(height, device=near.device, dtype=torch.int32)[:, None]
    column = torch.arange(width, device=near.device, dtype=torch.int32)
    dark = torch.zeros_like(near)
    flat = point.flatten(2)
    for number, (sine, cosine) in enumerate(_spiral(height, width, str(near.device))):
        share = ((number + 0.7) / _SPIRAL) * radius
        rows = (row + (share * sine).round_().int()).clamp_(0, height - 1)
        columns = (column + (share * cosine).round_().int()).clamp_(0, width - 1)
        index = (rows * width + columns).long().flatten(1)[:, None].expand(-1, 3, -1)
        offset = flat.gather(2, index).reshape(point.shape) - point
        square = offset.square().sum(1) + 1e-4
        rise = (offset * facing).sum(1) * square.rsqrt() - 0.12
        dark = dark + rise.clamp_min(0) / (1 + square * (2 / _REACH**2))
    open_ = (1 - dark * (2.2 / _SPIRAL)).clamp(0.15, 1)[:, None]
    open_ = box(open_, 1)
    size = (world.shape[2], world.shape[3])
    return F.interpolate(open_, size=size, mode="bilinear", align_corners=False)[:, 0]


@lru_cache(maxsize=4)
def _spiral(height: int, width: int, device: str) -> tuple[tuple[Tensor, Tensor], ...]:
    """Sine and cosine [H, W] of the direction to each neighbour of a pixel."""
    row = torch.arange(height, device=device)[:, None]
    column = torch.arange(width, device=device)
    turn = 2.4 * ((row * 3 + column * 5) % 7)  # decorrelates neighbouring spirals
    angles = [turn + 2.39996 * number for number in range(_SPIRAL)]  # the golden angle
    return tuple((angle.sin(), angle.cos()) for angle in angles)
