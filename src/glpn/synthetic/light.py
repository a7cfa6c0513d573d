"""Light: lamps with soft shadows, ambient light and its occlusion in corners.

A lamp's shadow is a blurred depth map taken from the lamp (variance shadow map, Donnelly and
Lauritzen 2006): soft everywhere, one lookup per pixel.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from glpn.synthetic.cast import Eyes, Solids, cast
from glpn.synthetic.surface import Surface

SHADOW_SIDE = 96  # pixels of a shadow map's side
_FARTHEST = 400.0  # metres at which an empty shadow map ends
_BLEED = 0.25  # variance shadows below this are dark: hides light leaks
_REACH = 0.35  # metres over which a surface darkens another's ambient light
_SPIRAL = 8  # neighbours looked at for ambient occlusion


class Lights(NamedTuple):
    """Lights of a batch of scenes [B, L, …]: as `scene.Light`; `power` is its colour."""

    position: Tensor
    axes: Tensor
    power: Tensor
    reach: Tensor
    beyond: Tensor
    falloff: Tensor
    beam: Tensor


class Ambient(NamedTuple):
    """Radiance from above and below [B, 3]."""

    above: Tensor
    below: Tensor


def shadow_maps(solids: Solids, casting: Tensor, lights: Lights) -> Tensor:
    """Blurred depth and its square as each light sees them [B, L, 2, SIDE, SIDE]."""
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
    depth = depth.clamp_max(_FARTHEST)
    moments = torch.stack([depth, depth * depth], 1)
    blurred = F.avg_pool2d(moments, 5, stride=1, padding=2, count_include_pad=False)
    blurred = F.avg_pool2d(blurred, 3, stride=1, padding=1, count_include_pad=False)
    return blurred.reshape(batch, count, 2, SHADOW_SIDE, SHADOW_SIDE)


def illuminate(
    surface: Surface, world: Tensor, view: Tensor, *, lights: Lights, maps: Tensor
) -> tuple[Tensor, Tensor]:
    """Diffuse light on, and highlights of, each pixel [B, 3, H, W].

    world: positions; view: unit directions to the camera; the surface's maps are [B, C, H, W].
    """
    diffuse = torch.zeros_like(world)
    highlight = torch.zeros_like(world)
    sharpness = torch.exp2(2 + 7 * surface.gloss)
    for number in range(lights.reach.shape[1]):
        light = Lights(*(field[:, number, ..., None, None] for field in lights))
        towards = light.position - world
        square = towards.square().sum(1).clamp_min(0.01)
        towards = towards * square.rsqrt()[:, None]
        seen = -torch.einsum("bij,bjhw->bihw", light.axes[..., 0, 0], towards)
        strength = (1 - light.beam) + light.beam * seen[:, 2].clamp_min(0)
        strength = strength / (1 + light.falloff * (square - 1))
        strength = strength * _lit(light, seen * square.sqrt()[:, None], maps[:, number])
        cosine = (surface.shading * towards).sum(1).clamp_min(0)
        power = light.power * strength[:, None]
        diffuse = diffuse + power * cosine[:, None]
        middle = towards + view
        middle = middle * middle.square().sum(1, keepdim=True).clamp_min(1e-6).rsqrt()
        shine = (surface.shading * middle).sum(1).clamp_min(1e-4).pow(sharpness)
        shine = shine * surface.specular * (sharpness + 8) / 8 * (cosine > 0)
        highlight = highlight + power * shine[:, None]
    return diffuse, highlight


def _lit(light: Lights, seen: Tensor, moments: Tensor) -> Tensor:
    """Share of a light that reaches each pixel, from its position in the light's axes."""
    depth = seen[:, 2]
    plane = seen[:, :2] / (depth.clamp_min(0.05) * light.reach)[:, None]  # [B, 2, H, W] in -1..1
    mean, square = F.grid_sample(
        moments, plane.permute(0, 2, 3, 1), padding_mode="border", align_corners=False
    ).unbind(1)
    texel = 2 / SHADOW_SIDE * light.reach * mean
    variance = (square - mean * mean).clamp_min((0.01 + 0.6 * texel).square())
    behind = depth - mean - 0.02
    share = variance / (variance + behind * behind)
    share = ((share - _BLEED) / (1 - _BLEED)).clamp(0, 1)
    share = torch.where(behind <= 0, 1.0, share)
    # Beyond its map a light's shadow is unknown; fade into the one answer over the map's edge.
    inside = ((1 - plane.abs().amax(1)) * 10).clamp(0, 1) * (depth > 0.05)
    return light.beyond + (share - light.beyond) * inside


def ambient(surface: Surface, light: Ambient, occlusion: Tensor) -> Tensor:
    """Light from all around on each pixel [B, 3, H, W]."""
    up = (0.5 + 0.5 * surface.shading[:, 2:3]).clamp(0, 1)
    above, below = light.above[..., None, None], light.below[..., None, None]
    return (below + (above - below) * up) * occlusion[:, None]


def occlusion(world: Tensor, normal: Tensor, depth: Tensor, pixels_per_metre: Tensor) -> Tensor:
    """Share of the ambient light that corners and near things let through [B, H, W].

    Looks at a spiral of neighbours on the half-size picture: those that rise above a pixel's
    tangent plane darken it. `pixels_per_metre` [B] at one metre's distance.
    """
    point, facing, near = (v[..., ::2, ::2] for v in (world, normal, depth))
    height, width = near.shape[1:]
    radius = (0.5 * _REACH * pixels_per_metre[:, None, None] / near).clamp(1.5, 30)
    row = torch.arange(height, device=near.device)[:, None]
    column = torch.arange(width, device=near.device)
    turn = 2.4 * ((row * 3 + column * 5) % 7)  # decorrelates neighbouring spirals
    dark = torch.zeros_like(near)
    flat = point.flatten(2)
    for number in range(_SPIRAL):
        share = ((number + 0.7) / _SPIRAL) * radius
        angle = turn + 2.39996 * number  # the golden angle
        rows = (row + (share * angle.sin()).round().long()).clamp(0, height - 1)
        columns = (column + (share * angle.cos()).round().long()).clamp(0, width - 1)
        index = (rows * width + columns).flatten(1)[:, None].expand(-1, 3, -1)
        offset = flat.gather(2, index).reshape(point.shape) - point
        square = offset.square().sum(1) + 1e-4
        rise = (offset * facing).sum(1) * square.rsqrt() - 0.12
        dark = dark + rise.clamp_min(0) / (1 + square * (2 / _REACH**2))
    open_ = (1 - dark * (2.2 / _SPIRAL)).clamp(0.15, 1)[:, None]
    open_ = F.avg_pool2d(open_, 3, stride=1, padding=1, count_include_pad=False)
    size = (world.shape[2], world.shape[3])
    return F.interpolate(open_, size=size, mode="bilinear", align_corners=False)[:, 0]
